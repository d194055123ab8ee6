"""Hand-made faults in the distance sweep that numba compiles."""

from __future__ import annotations

from tests.mutants.mutants import Mutant

# ruff: noqa: E501 - a table reads best with one row per line

NUMBA, MAP = "unit/test_numba_distance.py", "unit/test_distance_map.py"
_E, _L, _F, _S, _N = (
    "kernels/_envelope.py",
    "kernels/_lanes.py",
    "kernels/_signed_field.py",
    "kernels/_engines.py",
    "kernels/_finish_loops.py",
)
NUMBA_DISTANCE = [
    Mutant("scan forgets what comes after", _E, "nearer = min(line[x], steps)", "nearer = line[x]", NUMBA),
    Mutant("scan inside is positive", _E, "line[x] = -nearer if before else nearer", "line[x] = nearer", NUMBA),
    Mutant("full row taken for an empty one", _E, "_EMPTY if total == 0 else _FULL", "_EMPTY", NUMBA),
    Mutant("rows without spacing", _E, "steps * steps * weights[2]", "steps * steps", NUMBA),
    Mutant("slices without spacing", _E, "_sweep(rows, at, tops, count, own, below, weights[1],", "_sweep(rows, at, tops, count, own, below, weights[2],", NUMBA),
    Mutant("own source is no bound", _E, "reach = min(reach, math.sqrt(tops[source]))", "reach = min(reach, 0.5 * math.sqrt(tops[source]))", NUMBA),
    Mutant("reach a voxel short", _E, "steps = int(reach / size) + 1", "steps = int(reach / size) - 1", NUMBA),
    Mutant("search bounded by the wrong neighbour", _E, "high = last[place + half] if", "high = first[place + half] if", NUMBA),
    Mutant("search starts beyond its neighbour", _E, "low = first[place - half] if", "low = last[place - half] + 1 if", NUMBA),
    Mutant("nothing near means 0", _E, "out[place, lane] = limit * limit", "out[place, lane] = 0", NUMBA),
    Mutant("largest of the lanes is that of the first", _E, "        top = max(top, row[lane])\n", "        top = max(top, row[0])\n", NUMBA),
    Mutant("inside not subtracted", _E, "field[0, z + boxes[1, 0], lane] -= field[1, z, lane]", "pass", NUMBA),
    Mutant("inside written at the wrong slice", _E, "field[0, z + boxes[1, 0], lane] -=", "field[0, z, lane] -=", NUMBA),
    Mutant("rows of the inside skipped", _E, "if side == 1 and not held[1, y]:", "if side == 1 and not held[0, y]:", NUMBA),
    Mutant("unit not multiplied back", _E, "math.sqrt(abs(values[lane])) * unit", "math.sqrt(abs(values[lane]))", NUMBA),
    Mutant("offset inside taken for that outside", _E, "sign * (distance - inside)", "sign * (distance - outside)", NUMBA),
    Mutant("complement without the offsets", _E, "np.float32(-1), inside - outside, clip", "np.float32(-1), np.float32(0), clip", NUMBA),
    Mutant("lower clip left out", _E, "out[lane] = value if value > -clip else -clip", "out[lane] = value", NUMBA),
    Mutant("last columns written past the row", _E, "width = min(LANES, steps[2] - left)", "width = LANES", NUMBA),
    Mutant("minimum takes the farther", _L, 'builder.fcmp_ordered("<", new[0], best[0])', 'builder.fcmp_ordered(">", new[0], best[0])', NUMBA),
    Mutant("minimum leaves out the last source", _L, 'builder.cbranch(builder.icmp_signed("<=", following, high), loop, done)', 'builder.cbranch(builder.icmp_signed("<", following, high), loop, done)', NUMBA),
    Mutant("parabola without its weight", _L, "builder.fmul(weight, builder.fmul(step, step))", "builder.fmul(step, step)", NUMBA),
    Mutant("search range from one lane", _L, '("smin", "smax")', '("smax", "smax")', NUMBA),
    Mutant("margin of the inside too small", _F, "max(int(occupied[0]) - 1, 0)", "int(occupied[0])", NUMBA),
    Mutant("held of the last columns kept", _F, "        self.held[...] = False\n", "", NUMBA),
    Mutant("spacing not squared", _F, "[size * size for size in spacing]", "list(spacing)", NUMBA),
    Mutant("strided output not copied back", _F, "                array[...] = copy\n", "                pass\n", NUMBA),
    Mutant("limit in mm", _S, "math.inf if limit is None else limit / scale,", "math.inf if limit is None else limit,", NUMBA),
    Mutant("fused: spacing without its unit", _S, "unit=scale, offsets=offsets", "offsets=offsets", NUMBA),
    Mutant("seeds measured from inside", _S, "signed_field(seeds, spacing, out, inside=False", "signed_field(seeds, spacing, out, inside=True", NUMBA),
    Mutant("compiled sum takes the sign", _N, "inner += abs(value) if own", "inner += -value if own", MAP),
    Mutant("compiled sums of the wrong side", _N, "own = mask[z, y, x] == inside", "own = mask[z, y, x]", MAP),
    Mutant("compiled product on the wrong side", _N, "if mask[z, y, x] == inside else one", "if mask[z, y, x] != inside else one", MAP),
]  # fmt: skip
