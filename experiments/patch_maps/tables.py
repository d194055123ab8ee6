"""Tables and pictures of benchmarks/patch_maps.py."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.patch_maps.patches import PatchVolume, draw_box, local_map, volume_map
from experiments.wmh_isles.table import mean_of, spread
from monai_boundary.kernels.distance import DistanceMapOptions
from monai_boundary.reports.figures import save_figure

Row = dict[str, Any]
ARM_NAMES = {
    "region": "region loss alone",
    "patch-zero": "map of the patch, zero where absent",
    "patch-far": "map of the patch, far where absent",
    "volume": "map of the volume",
}
SCORES = {"dice": (".3f", "Dice"), "hd95_mm": (".2f", "HD95 mm"), "assd_mm": (".2f", "ASSD mm")}
LESIONS = {
    "lesion_f1": (".3f", "lesion F1"), "lesion_recall": (".3f", "recall"), "lesion_precision": (".3f", "precision"),
    "far_components": (".0f", "far components"), "far_voxels": (".0f", "far voxels"),
}  # fmt: skip


def tables(rows: Sequence[Row]) -> str:
    """All tables in Markdown."""
    kinds = {kind: [row for row in rows if row["kind"] == kind] for kind in ("difference", "time", "training")}
    parts = [_zero_table, _difference_table, _time_table, _training_table]
    chosen = [kinds["difference"], kinds["difference"], kinds["time"], kinds["training"]]
    chosen = [sorted(lines, key=lambda row: (row["data"], row.get("edge", 0))) for lines in chosen]
    return "\n\n".join("\n".join(part(lines)) for part, lines in zip(parts, chosen, strict=True) if lines)


def _zero_table(rows: Sequence[Row]) -> list[str]:
    lines = [
        "### Patches that see nothing",
        "",
        "`absent` in mm with clip 10: what the volume's map is there on average, and how far a local map of 0 and one "
        "of +10 mm are from it.",
        "",
        "| data | patch | patches | without foreground | local maps that are zero | volume's map there | off with "
        '`"zero"` | off with `"far"` |',
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        zero, far = (_find(row, 10.0, absent, "absent") for absent in ("zero", "far"))
        cells = (
            ["-"] * 3 if zero is None else [f"{v:.1f} mm" for v in (zero["true_mm"], zero["mean_mm"], far["mean_mm"])]
        )
        lines.append(
            f"| {row['data']} | {row['edge']}³ | {row['patches']} | {100 * row['without_foreground']:.0f} % | "
            f"{100 * row['zero']:.0f} % | {' | '.join(cells)} |"
        )
    return lines


def _difference_table(rows: Sequence[Row]) -> list[str]:
    lines = [
        "### Local map against the volume's",
        "",
        'Absolute differences, mean over patches and classes, `absent="far"`. Patch has the class: mean; largest voxel '
        "of a patch, mean (worst patch); voxels off by more than 1 mm. Last columns: sum of |differences| over sum "
        "of |map| as the loss takes it (robust preset), all patches, with either setting of `absent`.",
        "",
        "| data | patch | clip | has the class: mean | largest | off | all: mean | all: off | relative, `far` | "
        "relative, `zero` |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        for clip in (None, 20.0, 10.0):
            have, every = (_find(row, clip, "far", pairs) for pairs in ("present", "all"))
            if have is None or every is None:
                continue
            zero = _find(row, clip, "zero", "all") or every
            shares = [each["loss_relative"] for each in (every, zero)]
            relative = " | ".join("" if share is None else f"{100 * share:.1f} %" for share in shares)
            lines.append(
                f"| {row['data']} | {row['edge']}³ | {'none' if clip is None else f'{clip:g} mm'} | "
                f"{have['mean_mm']:.2f} mm | {have['max_mm']:.1f} ({have['max_mm_worst']:.1f}) mm | "
                f"{100 * have['off']:.1f} % | {every['mean_mm']:.2f} mm | {100 * every['off']:.1f} % | {relative} |"
            )
    return lines


def _find(row: Row, clip: float | None, absent: str, pairs: str) -> Row | None:
    wanted = {"clip": clip, "absent": absent, "pairs": pairs}
    return next((each for each in row["rows"] if all(each[key] == value for key, value in wanted.items())), None)


def _time_table(rows: Sequence[Row]) -> list[str]:
    host = rows[0]["machine"]
    lines = [
        "### Time per patch",
        "",
        f"{host['cpu']}, one thread; {host['date']}; medians of CPU ms, all classes, finished for the loss. "
        "The machine was busy: wall times, in the JSON file, say little. The volume's map is float16 with clip 20 mm.",
        "",
        "| data | patch | computed from the patch | cut from a map in memory | read from the store | whole map, once |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [f"{row['ms'][key]['cpu_s']:.2f}" for key in ("patch", "memory", "store")]
        lines.append(f"| {row['data']} | {row['edge']}³ | {' | '.join(cells)} | {row['precompute_cpu_s']:.2f} s |")
    return lines


def runs_of(rows: Sequence[Row]) -> dict[str, dict[str, list[Row]]]:
    """Runs by data set and number of steps, then by arm in their order, by seed."""
    groups: dict[str, dict[str, list[Row]]] = {}
    for row in rows:
        name = f"{row['data']}, {row['epochs'] * row['steps']} steps"
        groups.setdefault(name, {arm: [] for arm in ARM_NAMES})[row["arm"]].append(row)
    return {
        name: {arm: sorted(runs, key=lambda row: row["seed"]) for arm, runs in arms.items() if runs}
        for name, arms in sorted(groups.items())
    }


def value_of(run: Row, key: str) -> float:
    """Mean of a score over the cases and classes of a run."""
    return mean_of(score[key] for case in run["cases"] for score in case["scores"])


def _training_table(rows: Sequence[Row]) -> list[str]:
    lines = ["### What the network learns"]
    for name, arms in runs_of(rows).items():
        scores = {**SCORES, **(LESIONS if "lesions" in name else {})}
        first = next(iter(arms.values()))[0]
        lines += [
            "",
            f"{name} of {first['batch']} patches of {first['edge']}³, {len(first['cases'])} held-out case(s), features "
            f"{tuple(first['features'])}. Mean ± standard deviation over seeds; in brackets the difference to the map "
            "of the patch (far), seed by seed.",
            "",
            f"| arm | seeds | {' | '.join(title for _, title in scores.values())} | map, CPU ms per patch |",
            "|---" * (len(scores) + 3) + "|",
        ]
        for arm, runs in arms.items():
            cells = [_cell(runs, arms.get("patch-far", []), key, form) for key, (form, _) in scores.items()]
            cost = float(np.mean([run["map_cpu_ms"] for run in runs]))
            lines.append(f"| {ARM_NAMES[arm]} | {len(runs)} | {' | '.join(cells)} | {cost:.2f} |")
    return lines


def _cell(runs: Sequence[Row], default: Sequence[Row], key: str, form: str) -> str:
    text = spread([value_of(run, key) for run in runs], form)
    by_seed = {run["seed"]: value_of(run, key) for run in default}
    pairs = [value_of(run, key) - by_seed[run["seed"]] for run in runs if run["seed"] in by_seed]
    return text if not pairs or runs == default else f"{text} ({spread(pairs, '+' + form)})"


def draw_scores(rows: Sequence[Row], path: Path) -> None:
    """One panel per data set and score, one point per seed and arm."""
    groups = runs_of([row for row in rows if row["kind"] == "training"])
    if not groups:
        return
    keys = [*SCORES, "far_voxels"]
    titles = {key: title for key, (_, title) in {**SCORES, **LESIONS}.items()}
    figure = Figure(figsize=(3.2 * len(keys), 2.6 * len(groups)), layout="constrained")
    axes = figure.subplots(len(groups), len(keys), squeeze=False)
    for line, (name, arms) in zip(axes, groups.items(), strict=True):
        for axis, key in zip(line, keys, strict=True):
            for place, arm in enumerate(ARM_NAMES):
                values = [value_of(run, key) for run in arms.get(arm, [])]
                axis.plot([place] * len(values), values, "o", color=f"C{place}", alpha=0.7)
                if values:
                    axis.plot([place - 0.25, place + 0.25], [np.mean(values)] * 2, color=f"C{place}")
            axis.set_title(f"{name}\n{titles[key]}", fontsize=9)
            axis.set_xticks(range(len(ARM_NAMES)), [arm.replace("-", "\n") for arm in ARM_NAMES], fontsize=8)
            axis.grid(axis="y", alpha=0.25)
    save_figure(figure, path, dpi=100)


def draw_differences(cases: Sequence[PatchVolume], path: Path, edge: int = 48, clip: float = 20.0) -> None:
    """A patch at a lesion, and one without where there is one: labels, both maps, and their difference."""
    volume, generator = cases[0], np.random.default_rng(5)
    options = DistanceMapOptions(clip=clip, absent="far")
    whole = volume_map(volume, options)[0]
    boxes = [draw_box(volume, edge, generator, forced=True)]
    drawn = (draw_box(volume, edge, generator, forced=False) for _ in range(10_000))  # a small volume has none without
    bare = (box for box in drawn if not volume.labels[0][box].any() and whole[box].min() < clip / 2)
    boxes += [box for box in [next(bare, None)] if box is not None]
    figure = Figure(figsize=(12, 2.8 * len(boxes)), layout="constrained")
    for line, box in zip(figure.subplots(len(boxes), 4, squeeze=False), boxes, strict=True):
        local = local_map(volume, box, options)[0]
        # the slice in which the two differ most
        at = int(np.abs(local - whole[box]).sum((0, 1)).argmax())
        labels = volume.labels[0][box][..., at].T
        maps = {"map of the patch": local[..., at].T, "map of the volume": whole[box][..., at].T}
        image = labels if volume.image is None else volume.image[0][box][..., at].T
        line[0].imshow(image, cmap="gray", origin="lower")
        line[0].set_title("FLAIR, lesion outlined" if labels.any() else "FLAIR, no lesion in the patch", fontsize=10)
        for axis, (title, values) in zip(line[1:], maps.items(), strict=False):
            shown = axis.imshow(values, cmap="RdBu_r", vmin=-clip, vmax=clip, origin="lower")
            axis.set_title(f"{title}, mm", fontsize=10)
        figure.colorbar(shown, ax=line[1:3], shrink=0.8)
        first, second = maps.values()
        shown = line[3].imshow(first - second, cmap="viridis", vmin=0, vmax=clip, origin="lower")
        line[3].set_title("patch minus volume, mm", fontsize=10)
        figure.colorbar(shown, ax=line[3], shrink=0.8)
        for axis in line:
            axis.set_axis_off()
            if labels.any():
                axis.contour(labels, [0.5], colors="lime", linewidths=1)
    save_figure(figure, path, dpi=100)
