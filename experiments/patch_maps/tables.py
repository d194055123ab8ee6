"""Tables of the comparison, from its journal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.patch_maps.training import ARMS
from experiments.shared.tables import grouped, markdown, mean_of, spread

Row = dict[str, Any]
SCORES = {"dice": (".3f", "Dice"), "hd95_mm": (".2f", "HD95 mm"), "assd_mm": (".2f", "ASSD mm")}
LESIONS = {
    "lesion_f1": (".3f", "lesion F1"), "lesion_recall": (".3f", "recall"), "lesion_precision": (".3f", "precision"),
    "far_components": (".0f", "far components"), "far_voxels": (".0f", "far voxels"),
}  # fmt: skip


def tables(rows: Sequence[Row]) -> str:
    """Return all tables."""
    kinds = grouped(sorted(rows, key=lambda row: (row["data"], row.get("edge", 0))), lambda row: row["kind"])
    parts = {
        "difference": (_absent_table, _difference_table), "time": (_time_table,), "training": (_training_tables,)
    }  # fmt: skip
    return "\n\n".join(part(kinds[kind]) for kind, each in parts.items() if kind in kinds for part in each)


def _absent_table(rows: Sequence[Row]) -> str:
    cells = []
    for row in rows:
        zero, far = (_find(row, 10.0, absent, "absent") for absent in ("zero", "far"))
        shares = [f"{100 * row[key]:.0f} %" for key in ("without_foreground", "zero")]
        mm = [f"{v:.1f} mm" for v in (zero["true_mm"], zero["mean_mm"], far["mean_mm"])] if zero and far else ["-"] * 3
        cells.append([row["data"], f"{row['edge']}³", row["patches"], *shares, *mm])
    header = ("data", "patch", "patches", "without foreground", "local maps that are zero", "volume's map there",
              'off with `"zero"`', 'off with `"far"`')  # fmt: skip
    return (
        "### Patches that see nothing\n\n`absent` in mm with clip 10: what the volume's map is there on average, and "
        f"how far a local map of 0 and one of +10 mm are from it.\n\n{markdown(header, cells)}"
    )


def _difference_table(rows: Sequence[Row]) -> str:
    cells = []
    for row in rows:
        for clip in (None, 20.0, 10.0):
            have, every = (_find(row, clip, "far", pairs) for pairs in ("present", "all"))
            if have is None or every is None:
                continue
            shares = [each["loss_relative"] for each in (every, _find(row, clip, "zero", "all") or every)]
            cells.append([
                row["data"], f"{row['edge']}³", "none" if clip is None else f"{clip:g} mm", f"{have['mean_mm']:.2f} mm",
                f"{have['max_mm']:.1f} ({have['max_mm_worst']:.1f}) mm", f"{100 * have['off']:.1f} %",
                f"{every['mean_mm']:.2f} mm", f"{100 * every['off']:.1f} %",
                *("" if share is None else f"{100 * share:.1f} %" for share in shares),
            ])  # fmt: skip
    header = ("data", "patch", "clip", "has the class: mean", "largest", "off", "all: mean", "all: off",
              "relative, `far`", "relative, `zero`")  # fmt: skip
    return (
        "### Local map against the volume's\n\n"
        'Absolute differences, mean over patches and classes, `absent="far"`. Patch has the class: mean; largest voxel '
        "of a patch, mean (worst patch); voxels off by more than 1 mm. Last columns: sum of |differences| over sum "
        "of |map| as the loss takes it (robust preset), all patches, with either setting of `absent`.\n\n"
        f"{markdown(header, cells)}"
    )


def _find(row: Row, clip: float | None, absent: str, pairs: str) -> Row | None:
    wanted = {"clip": clip, "absent": absent, "pairs": pairs}
    return next((each for each in row["rows"] if wanted.items() <= each.items()), None)


def _time_table(rows: Sequence[Row]) -> str:
    host = rows[0]["machine"]
    cells = [
        [row["data"], f"{row['edge']}³", *(f"{row['ms'][key]['cpu_s']:.2f}" for key in ("patch", "memory", "store")),
         f"{row['precompute_cpu_s']:.2f} s"]
        for row in rows
    ]  # fmt: skip
    header = ("data", "patch", "computed from the patch", "cut from a map in memory", "read from the store",
              "whole map, once")  # fmt: skip
    return (
        f"### Time per patch\n\n{host['cpu']}, one thread; {host['date']}; medians of CPU ms, all classes, finished "
        "for the loss. The machine was busy: wall times, in the JSON file, say little. The volume's map is float16 "
        f"with clip 20 mm.\n\n{markdown(header, cells)}"
    )


def runs_by_arm(rows: Sequence[Row]) -> dict[str, dict[str, list[Row]]]:
    """Return trainings by data set and number of steps, then by arm in their order, by seed."""
    trainings = [row for row in rows if row["kind"] == "training"]
    groups = grouped(trainings, lambda row: f"{row['data']}, {row['epochs'] * row['steps']} steps")
    found = {}
    for name, runs in sorted(groups.items()):
        by_arm = grouped(sorted(runs, key=lambda row: row["seed"]), lambda row: row["arm"])
        found[name] = {arm: by_arm[arm] for arm in ARMS if arm in by_arm}
    return found


def value_of(run: Row, key: str) -> float:
    """Mean of a score over the cases and classes of a run."""
    return mean_of(score[key] for case in run["cases"] for score in case["scores"])


def _training_tables(rows: Sequence[Row]) -> str:
    parts = ["### What the network learns"]
    for name, arms in runs_by_arm(rows).items():
        scores = {**SCORES, **(LESIONS if "lesions" in name else {})}
        first = next(iter(arms.values()))[0]
        parts.append(
            f"{name} of {first['batch']} patches of {first['edge']}³, {len(first['cases'])} held-out case(s), features "
            f"{tuple(first['features'])}. Mean ± standard deviation over seeds; in brackets the difference to the map "
            "of the patch (far), seed by seed."
        )
        cells = [
            [ARMS[arm], len(runs),
             *(_cell(runs, arms.get("patch-far", []), key, form) for key, (form, _) in scores.items()),
             f"{np.mean([run['map_cpu_ms'] for run in runs]):.2f}"]
            for arm, runs in arms.items()
        ]  # fmt: skip
        header = ("arm", "seeds", *(title for _, title in scores.values()), "map, CPU ms per patch")
        parts.append(markdown(header, cells))
    return "\n\n".join(parts)


def _cell(runs: Sequence[Row], default: Sequence[Row], key: str, form: str) -> str:
    text = spread([value_of(run, key) for run in runs], form)
    by_seed = {run["seed"]: value_of(run, key) for run in default}
    pairs = [value_of(run, key) - by_seed[run["seed"]] for run in runs if run["seed"] in by_seed]
    return text if not pairs or runs == default else f"{text} ({spread(pairs, '+' + form)})"
