"""``python -m experiments patch-maps``."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from tqdm import tqdm

from experiments.patch_maps.cases import read_cases
from experiments.patch_maps.differences import patch_differences, summarise
from experiments.patch_maps.figures import maps_figure, scores_figure
from experiments.patch_maps.patches import sample_boxes
from experiments.patch_maps.tables import tables
from experiments.patch_maps.training import ARMS, PatchSettings, train_patches
from experiments.shared.commands import FILE, ListOf, Plan, experiment, seeds_option
from experiments.shared.journal import Run, settings_of
from experiments.shared.tables import replace_between
from monai_boundary.reports.figures import save_figure

PARTS = ("difference", "training")
BEGIN, END = "<!-- python -m experiments patch-maps writes from here -->", "<!-- to here -->"
#: Edges of the patches, cases, and patches of each, by data.
SAMPLES = {
    "hippocampus": ((16, 24, 32), 100, 10),
    "ms lesions": ((24, 32, 48, 64, 96), 2, 60),
    "ms lesions, raw": ((64, 128), 2, 15),
}
TRAINING = {
    "hippocampus": PatchSettings(edge=16, epochs=32, batch=8),
    "ms lesions, 19 to 07": PatchSettings(edge=24, epochs=12),
    "ms lesions, 07 to 19": PatchSettings(edge=24, epochs=12),
}
QUICK: dict[str, Any] = {"epochs": 2, "steps": 2, "batch": 2, "features": (4, 8)}


@experiment("patch-maps", data="folder")
@click.option("--parts", type=ListOf(PARTS), default=",".join(PARTS), show_default=True)
@click.option("--data-sets", type=ListOf(("hippocampus", "ms", "raw")), default="hippocampus,ms,raw",
              help="MS lesions with images are ms, masks without are raw.")  # fmt: skip
@click.option("--arms", type=ListOf(ARMS), default=",".join(ARMS), show_default=True)
@seeds_option()
@click.option("--epochs", type=click.IntRange(min=1), help="Of 25 steps.  [hippocampus: 32, MS lesions: 12]")
@click.option("--quick", is_flag=True, help="Few patches and steps, whose figures say nothing.")
@click.option("--docs", type=FILE, help="Replace the tables in this Markdown file, too.")
def patch_maps(data: Path, docs: Path | None, data_sets: tuple[str, ...], **options: Any) -> Plan:
    """Ask whether the map of the whole volume matters: maps of the patch alone against parts of the volume's map.

    Two parts, on hippocampus crops of the Medical Segmentation Decathlon and on multiple-sclerosis lesions: how far the
    maps are apart, and what a small 3-D U-Net learns from each, everything else the same. What each costs is measured
    in benchmarks/; lines of earlier measurements are still printed.
    """
    work = {"difference": measure_differences, "training": train_arm}

    def report(rows: list[Run], figures: Path | None) -> str:
        text = tables(rows)
        if docs is not None:
            replace_between(docs, BEGIN, END, text)
        if figures is not None:
            scores = scores_figure(rows)
            if scores is not None:
                save_figure(scores, figures / "patch_maps_scores.png", dpi=100)
            if "ms" in data_sets:
                example = maps_figure(read_cases(data, "ms lesions")[0])
                save_figure(example, figures / "patch_maps_example.png", dpi=100)
        return text

    runs = [run for run in planned_runs(**options) if _short(run["data"]) in data_sets]
    return Plan(runs, lambda run, title: work[run["kind"]](run, data, title), report)


def _short(name: str) -> str:
    return "raw" if name.endswith("raw") else name.split()[0]


def planned_runs(
    parts: tuple[str, ...], arms: tuple[str, ...], seeds: tuple[int, ...], epochs: int | None, quick: bool
) -> list[Run]:
    """Return everything there is to do, as the beginnings of lines."""
    runs: list[Run] = []
    for name, (edges, cases, per_case) in SAMPLES.items():
        for edge in edges[:1] if quick else edges:
            shared = {"data": name, "edge": edge, "seed": 0}
            amounts = {"cases": min(cases, 2), "per_case": 4} if quick else {"cases": cases, "per_case": per_case}
            runs.append({"kind": "difference", **shared, **amounts})
    for seed in seeds:
        for name, settings in TRAINING.items():
            chosen = replace(settings, **{**({} if epochs is None else {"epochs": epochs}), **(QUICK if quick else {})})
            runs += [{"kind": "training", "data": name, "arm": arm, "seed": seed, **asdict(chosen)} for arm in arms]
    return [run for run in runs if run["kind"] in parts]


def measure_differences(run: Run, data: Path, title: str) -> dict[str, Any]:
    """Draw patches of every case, and compare."""
    generator = np.random.default_rng(run["seed"])
    rows: list[dict[str, Any]] = []
    for volume in tqdm(read_cases(data, run["data"], run["cases"]), desc=title, unit="case"):
        rows += patch_differences(volume, sample_boxes(volume, run["edge"], run["per_case"], generator))
    return summarise(rows)


def train_arm(run: Run, data: Path, title: str) -> dict[str, Any]:
    """Train one arm; two of five hippocampus cases are held out, and of the two patients one."""
    if run["data"] == "hippocampus":
        cases = read_cases(data, "hippocampus")
        train = [case for index, case in enumerate(cases) if index % 5 > 1]
        test = [case for index, case in enumerate(cases) if index % 5 <= 1]
    else:
        train, test = ([case] for case in read_cases(data, "ms lesions"))
        if run["data"].endswith("07 to 19"):
            train, test = test, train
    return train_patches(run["arm"], run["seed"], train, test, settings_of(PatchSettings, run), title)
