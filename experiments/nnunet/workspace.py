"""Run nnU-Net's own commands for the evidence tables, and score what they predict."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import mean, stdev

from tqdm import tqdm

from experiments.shared.data import data_folder
from monai_boundary.evaluation import EvaluationSettings, evaluate_folder

__all__ = ["Workspace", "run_evidence"]

SHORT_TRAINERS = Path(__file__).parent / "short_trainers"


class Workspace:
    """The three folders of nnU-Net below one folder, and commands run in them, one core unless told otherwise."""

    def __init__(self, folder: Path, threads: int = 1) -> None:
        self.raw, self.preprocessed, self.results = (folder / name for name in ("raw", "preprocessed", "results"))
        for path in (self.raw, self.preprocessed, self.results):
            path.mkdir(parents=True, exist_ok=True)
        self.log = folder / "log.txt"
        self.environment = os.environ | {
            "nnUNet_raw": str(self.raw),
            "nnUNet_preprocessed": str(self.preprocessed),
            "nnUNet_results": str(self.results),
            "nnUNet_extTrainer": str(SHORT_TRAINERS),
            "nnUNet_n_proc_DA": "1",
            "nnUNet_def_n_proc": "1",
            "OMP_NUM_THREADS": str(threads),
        }

    def call(self, command: str, *arguments: object) -> None:
        """Run one nnU-Net command; its output goes to log.txt."""
        line = [str(Path(sys.executable).parent / command), *map(str, arguments)]
        print("+", command, *arguments, flush=True)
        with self.log.open("a") as stream:
            subprocess.run(line, env=self.environment, stdout=stream, stderr=subprocess.STDOUT, check=True)

    def shrink_plans(self, dataset: str, configuration: str, features: Sequence[int], **changes: object) -> None:
        """Write smallPlans.json: nnU-Net's own plans with fewer features, for a CPU."""
        folder = self.preprocessed / dataset
        plans = json.loads((folder / "nnUNetPlans.json").read_text()) | {"plans_name": "smallPlans"}
        chosen = plans["configurations"][configuration]
        network = chosen["architecture"]["arch_kwargs"]
        network["features_per_stage"] = [features[min(i, len(features) - 1)] for i in range(network["n_stages"])]
        chosen.update(changes)
        (folder / "smallPlans.json").write_text(json.dumps(plans, indent=2))

    def train(self, dataset: str, configuration: str, trainer: str, fold: int) -> Path:
        """Train one fold unless it is there, and return the folder with nnU-Net's predictions of the held-out cases."""
        folder = self.results / dataset / f"{trainer}__smallPlans__{configuration}" / f"fold_{fold}"
        if not (folder / "validation" / "summary.json").exists():
            number = int(dataset[7:10])
            resume = ["--c"] if (folder / "checkpoint_final.pth").exists() else []
            self.call(
                "nnUNetv2_train",
                number,
                configuration,
                fold,
                "-tr",
                trainer,
                "-p",
                "smallPlans",
                "-device",
                "cpu",
                *resume,
            )
        return folder / "validation"

    def score(self, dataset: str, predictions: Path, labels: Sequence[int]) -> list[dict]:
        """Dice and HD95 of every case and label."""
        truth = self.preprocessed / dataset / "gt_segmentations"
        fold = int(predictions.parent.name.removeprefix("fold_"))
        held_out = json.loads((self.preprocessed / dataset / "splits_final.json").read_text())[fold]["val"]
        result = evaluate_folder(predictions, truth, EvaluationSettings(labels=tuple(labels)), progress=False)
        if lost := set(held_out) - {row.case for row in result.rows}:
            raise ValueError(f"{predictions} must hold every case of the fold, got none of use for {sorted(lost)[:5]}")
        return [
            {"case": row.case, "label": row.label, **{name: row.scores[name] for name in ("dice", "hd95_mm")},
             "missed": row.missed}
            for row in result.rows if row.case in held_out
        ]  # fmt: skip


def run_evidence(
    description: str,
    dataset: str,
    configuration: str,
    labels: dict[int, str],
    trainers: Sequence[str],
    prepare: Callable[[Workspace, Path], None],
) -> None:
    """Read the command line, train and score what is missing, and print the table.

    Args:
        description: Text of --help.
        dataset: Name such as Dataset004_Hippocampus.
        configuration: Such as 3d_fullres.
        labels: Names of the labels to score.
        trainers: Default of --trainers.
        prepare: Called with the workspace and the data folder until smallPlans.json exists.
    """
    name = dataset.split("_", 1)[1].lower()
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=data_folder())
    parser.add_argument("--work", type=Path, default=Path(f"{name}_runs"), help="folder of nnU-Net's three folders")
    parser.add_argument("--folds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--trainers", nargs="+", default=list(trainers))
    parser.add_argument("--out", type=Path, default=Path(f"docs/results/{name}.jsonl"))
    parser.add_argument("--table", action="store_true", help="only print the table of the results file")
    arguments = parser.parse_args()
    if not arguments.table:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        workspace = Workspace(arguments.work.resolve())
        if not (workspace.preprocessed / dataset / "smallPlans.json").exists():
            prepare(workspace, arguments.data.resolve())
        rows = [json.loads(line) for line in arguments.out.read_text().splitlines()] if arguments.out.exists() else []
        done = {(row["trainer"], row["fold"]) for row in rows}
        pairs = [(trainer, fold) for fold in arguments.folds for trainer in arguments.trainers]
        for trainer, fold in tqdm([pair for pair in pairs if pair not in done], desc=name, unit="run"):
            scores = workspace.score(dataset, workspace.train(dataset, configuration, trainer, fold), list(labels))
            row = {"trainer": trainer, "fold": fold, "date": str(datetime.date.today()), "scores": scores}
            with arguments.out.open("a") as stream:
                stream.write(json.dumps(row) + "\n")
    print_table(arguments.out, labels)


def print_table(path: Path, names: dict[int, str]) -> None:
    """Print mean and standard deviation over the folds of the mean over cases, as a Markdown table."""
    folds: dict[str, list[list[dict]]] = defaultdict(list)
    for line in path.read_text().splitlines():
        row = json.loads(line)
        folds[row["trainer"]].append(row["scores"])
    head = " | ".join(f"{name} Dice | {name} HD95 mm" for name in names.values())
    print(f"\n| trainer | folds | {head} | missed |\n|---|---|{'---|' * (2 * len(names) + 1)}")
    for trainer, runs in folds.items():
        cells = [
            _spread([mean(s[key] for s in run if s["label"] == label and s[key] == s[key]) for run in runs], form)
            for label in names
            for key, form in (("dice", ".3f"), ("hd95_mm", ".2f"))
        ]
        missed = sum(s["missed"] for run in runs for s in run)
        total = sum(len(run) for run in runs)
        print(f"| {trainer} | {len(runs)} | {' | '.join(cells)} | {missed}/{total} |")


def _spread(values: Iterable[float], form: str) -> str:
    numbers = list(values)
    spread = f" ± {format(stdev(numbers), form)}" if len(numbers) > 1 else ""
    return f"{format(mean(numbers), form)}{spread}"
