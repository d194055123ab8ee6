"""Hand-made faults in the runner of the benchmarks and its regression check."""

from __future__ import annotations

from tests.mutants.mutants import Mutant

# ruff: noqa: E501 - a table reads best with one row per line

MEASURING, CHECK, RUN = (f"benchmarks/test_{name}.py" for name in ("measuring", "check", "run"))
CASES = "benchmarks/test_cases.py::test_simpleitk_measures_in_mm benchmarks/test_cases.py::test_the_large_map_has_its_targets"
_B, _M, _T = "../benchmarks/benchmark.py", "../benchmarks/measure.py", "../benchmarks/tables.py"
_C, _R, _P = "../benchmarks/check.py", "../benchmarks/run.py", "../benchmarks/cases_maps.py"
_S, SCALE = (
    "../benchmarks/precompute_report.py",
    "benchmarks/test_precompute_report.py::test_hours_of_a_thousand_volumes",
)
BENCHMARKS = [
    Mutant("ratio of ours to the peer", _B, '"ratio": peer / ours}', '"ratio": ours / peer}', MEASURING),
    Mutant("part of the work taken for all", _B, '* record["scale"].get(case, 1.0)', "* 1.0", MEASURING),
    Mutant(
        "target of memory met without a measurement", _B, "len(tests) == wanted and all(tests)", "all(tests)", MEASURING
    ),
    Mutant(
        "floor in the wrong unit", _B, "bytes_touched / gb_per_s / 1e9", "bytes_touched / gb_per_s / 2**30", MEASURING
    ),
    Mutant("floor met from below", _B, "ratio <= target", "ratio >= target", MEASURING),
    Mutant("quick run judged", _B, "judged=not quick)", "judged=True)", MEASURING),
    Mutant("quick run leaves tiles out", _B, "        elif quick:\n", "        elif False:\n", MEASURING),
    Mutant("copy counted once", _M, "2 * self.source.nbytes", "self.source.nbytes", MEASURING),
    Mutant("slow case repeated", _M, "> budget_s:", "> 10 * budget_s:", MEASURING),
    Mutant(
        "results of every round",
        _M,
        "if first is not None and number == 0:\n                first",
        "if first is not None:\n                first",
        MEASURING,
    ),
    Mutant("check looks the other way", _C, "worse = change > 1 + tolerance", "worse = change < 1 - tolerance", CHECK),
    Mutant("check takes a fixed tolerance", _C, "worse = change > 1 + tolerance", "worse = change > 1.25", CHECK),
    Mutant("check of milliseconds", _C, '1 / result["ratio"], 0.0', 'result["ours_ms"], 0.0', CHECK),
    Mutant("megabytes of noise count", _C, "and now[0] - before[0] > noise", "", CHECK),
    Mutant(
        "floors left out of the check",
        _C,
        'if floor is not None and floor["target"] is not None:',
        "if floor is None:",
        CHECK,
    ),
    Mutant("red check exits with 0", _R, "return int(any(one.worse for one in found))", "return 0", RUN),
    Mutant("nothing measured twice", _R, "if again and not options.source:", "if False:", RUN),
    Mutant("quick compared with full", _R, 'if run["quick"] != quick:', "if False:", RUN),
    Mutant(
        "file written anew", _R, "kept = load_runs(options.json) if options.json.exists() else []", "kept = []", RUN
    ),
    Mutant("measured anew, kept twice", _T, 'if name not in run["benchmarks"]}', "if name}", RUN),
    Mutant("missing peers not said", _T, 'for name in record["missing"]:', "for name in ():", RUN),
    Mutant("spacing of SimpleITK in array order", _P, "SetSpacing(spacing[::-1])", "SetSpacing(spacing)", CASES),
    Mutant(
        "shares without a remainder", _S, "ceil(ceil(VOLUMES / shards) / number)", "VOLUMES / shards / number", SCALE
    ),
    Mutant(
        "hours of volumes of any size", _S, "VOXELS * sum(values) / sum(voxels)", "sum(values) / len(values)", SCALE
    ),
    Mutant("floor of two passes", _P, "PASS_BYTES = 3 * 2 * 4", "PASS_BYTES = 2 * 2 * 4", CASES),
]
