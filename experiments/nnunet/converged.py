"""``python -m experiments hippocampus-converged``: nnU-Net's own schedule on a small plan, paired case by case."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import pandas as pd

from experiments.evidence.arms import CONTROL
from experiments.evidence.pairs import compare
from experiments.evidence.tables import changes, number, verdict
from experiments.nnunet.commands import HIPPOCAMPUS
from experiments.nnunet.workspace import Workspace
from experiments.shared.commands import FILE, ListOf, Plan, experiment
from experiments.shared.journal import Run
from experiments.shared.tables import grouped, markdown, mean_of

STOCK = "nnUNetTrainerConverged"
#: Start of training and loss that a trainer and its control share, and what the trainer adds.
ARMS = {
    STOCK: ("from scratch, Dice+CE", CONTROL),
    "nnUNetTrainerDiceCEBoundaryConverged": ("from scratch, Dice+CE", "share .2"),
    "nnUNetTrainerRefineConverged": ("refined, Dice+CE", CONTROL),
    "nnUNetTrainerBoundaryRefineConverged": ("refined, Dice+CE", "share .2"),
    "nnUNetTrainerGDLConverged": ("from scratch, generalized Dice", CONTROL),
    "nnUNetTrainerBoundaryConverged": ("from scratch, generalized Dice", "share .2"),
}
SCORES = {"dice": "Dice", "hd95_mm": "HD95 mm", "surface_dice": "surface Dice at 1 mm"}


@experiment("hippocampus-converged", data="folder")
@click.option("--work", type=FILE, default=Path("runs/hippocampus"), show_default=True,
              help="Folder of nnU-Net's three folders; a finished fold is not trained again.")  # fmt: skip
@click.option("--folds", type=ListOf(click.INT), default="0,1,2,3,4", show_default=True)
@click.option("--trainers", type=ListOf(ARMS), default=",".join(ARMS), show_default=True)
def hippocampus_converged(data: Path, work: Path, folds: tuple[int, ...], trainers: tuple[str, ...]) -> Plan:
    """Train nnU-Net on 100 hippocampus crops until nothing rises any more, and refine what it has become."""

    def train(run: Run, _title: str) -> Run:
        workspace = Workspace(work.resolve())
        if not (workspace.preprocessed / HIPPOCAMPUS.name / "smallPlans.json").exists():
            HIPPOCAMPUS.prepare(workspace, data.resolve())
        start = STOCK if "Refine" in run["trainer"] else None
        place = HIPPOCAMPUS.name, HIPPOCAMPUS.configuration
        predictions = workspace.train(*place, run["trainer"], run["fold"], start)
        return {"curve": workspace.curve(*place, run["trainer"], run["fold"]),
                "scores": workspace.score(HIPPOCAMPUS.name, predictions, list(HIPPOCAMPUS.labels))}  # fmt: skip

    runs = [{"trainer": trainer, "fold": fold} for fold in folds for trainer in trainers]
    return Plan(runs, train, lambda rows, _figures: paired_tables(rows))


def paired_tables(rows: Sequence[Run]) -> str:
    """Return means, the paired differences of each class, and whether the curves still rose."""
    lines = [
        {"loss": ARMS[row["trainer"]][0], "arm": ARMS[row["trainer"]][1], "point": "plain", "fold": row["fold"],
         "seed": 0, "group": score["case"], "kind": HIPPOCAMPUS.labels[score["label"]],
         **{key: score[key] for key in ("case", *SCORES)}}
        for row in rows for score in row["scores"]
    ]  # fmt: skip
    table, parts = pd.DataFrame(lines), []
    for kind, part in table.groupby("kind"):
        means = [
            [*key, group["case"].nunique(), *(number(value) for value in group[list(SCORES)].mean())]
            for key, group in part.groupby(["loss", "arm"])
        ]
        found = {score: compare(part, score) for score in SCORES}
        verdicts = "\n".join(f"- {verdict(SCORES[score], each, 'plain')}" for score, each in found.items())
        parts += [f"### {str(kind).capitalize()}", verdicts,
                  markdown(("loss", "arm", "cases", *SCORES.values()), means), changes(found, SCORES)]  # fmt: skip
    return "\n\n".join([*parts, _curves(rows)])


def _curves(rows: Sequence[Run]) -> str:
    lines = []
    for trainer, runs in grouped(rows, lambda row: row["trainer"]).items():
        curves = [run["curve"] for run in runs]
        fifths = [[mean_of(curve[len(curve) * part // 5 : len(curve) * (part + 1) // 5]) for curve in curves]
                  for part in (3, 4)]  # fmt: skip
        lines.append([trainer, len(runs), *(number(mean_of(values)) for values in fifths)])
    return markdown(("trainer", "folds", "pseudo Dice, fourth fifth of the epochs", "last fifth"), lines)
