"""The steps of the demo: data, plans, training, prediction, scores, pictures."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

import click
import numpy as np

from monai_boundary._files import copy_file, write_json, write_text
from monai_boundary.datasets import read_image, read_labels, write_nnunet_phantoms
from monai_boundary.demo.child_process import StatusLine, find_command, run_command
from monai_boundary.evaluation import CaseRow, EvaluationSettings, evaluate_folder

__all__ = ["run_demo"]

_DATASET_ID = 900
_TRAINER = "nnUNetTrainerDiceCEBoundaryDemo"
_TRAINER_EPOCHS = 8  # its own, here as well because importing it takes ten seconds
_PLANS = "demoPlans"
_CONFIGURATION = "3d_fullres"
_MARKER = ".monai-boundary-demo"  # --force clears only folders that hold it
_MADE = ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results", "predictions", "pictures", "trainer", "demo.log")


def run_demo(
    folder: Path, run_length: Mapping[str, int | None], train_cases: int = 10, test_cases: int = 3, force: bool = False
) -> None:
    """Generate phantoms, train and predict with nnU-Net's commands, print scores and write pictures.

    Args:
        folder: Where everything goes.
        run_length: `run_epochs` and `run_iterations` (per epoch); ``None`` keeps those of the demo trainer.
        train_cases: Number of training phantoms, at least 5 for nnU-Net's five folds.
        test_cases: Number of held-out phantoms.
        force: Replace an earlier demo.

    Raises:
        FileExistsError: `folder` is not empty and `force` is False, or it is not a demo's.
        RuntimeError: nnU-Net is not installed, or one of its commands failed.
        OSError: `folder` is not writable.
    """
    from nnunet_trainers import require_nnunet

    require_nnunet()
    commands = {
        name: find_command(name) for name in ("nnUNetv2_plan_and_preprocess", "nnUNetv2_train", "nnUNetv2_predict")
    }
    folder = folder.resolve()
    _prepare(folder, force)
    start = time.monotonic()
    click.echo(f"Boundary loss demo in {folder}")
    dataset = _write_data(folder, train_cases, test_cases)
    trainer, discovery, epochs = _trainer(folder, run_length)
    environment = _environment(folder, discovery)
    log = folder / "demo.log"
    plan = [commands["nnUNetv2_plan_and_preprocess"], "-d", str(_DATASET_ID), "-c", _CONFIGURATION, "-np", "1"]
    run_command([*plan, "-npfp", "1", "--verify_dataset_integrity"], environment, log, "nnU-Net plans and preprocesses")
    _write_demo_plans(folder / "nnUNet_preprocessed" / dataset.name)
    device = _device()
    model = ["-tr", trainer, "-p", _PLANS, "-device", device]
    train = [commands["nnUNetv2_train"], str(_DATASET_ID), _CONFIGURATION, "0", *model]
    title = f"nnUNetv2_train -tr {trainer} -device {device}"
    run_command(train, environment, log, title, _EpochCounter(epochs))
    predictions = folder / "predictions"
    predict = [commands["nnUNetv2_predict"], "-i", str(dataset / "imagesTs"), "-o", str(predictions), "-f", "0"]
    predict += ["-d", str(_DATASET_ID), "-c", _CONFIGURATION, *model, "--disable_tta", "-npp", "1", "-nps", "1"]
    run_command(predict, environment, log, "nnUNetv2_predict on the held-out cases")
    rows = evaluate_folder(predictions, dataset / "labelsTs", EvaluationSettings(labels=(1,)), progress=False).rows
    fold = folder / "nnUNet_results" / dataset.name / f"{trainer}__{_PLANS}__{_CONFIGURATION}" / "fold_0"
    _write_pictures(folder, dataset, fold, rows)
    _print_scores(rows)
    _print_places(folder, fold.parent, trainer, time.monotonic() - start)


def _prepare(folder: Path, force: bool) -> None:
    """Make `folder` ready; of an earlier demo only what that demo made is removed."""
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} must be a folder, got a file; pass another one with -o")
    if folder.is_dir() and any(folder.iterdir()):
        ours = (folder / _MARKER).exists()
        if not (ours and force):
            remedy = "pass --force to run it again, or another folder with -o" if ours else "pass another one with -o"
            kind = "an earlier demo" if ours else "other files"
            raise FileExistsError(f"{folder} must be empty, got {kind}; {remedy}")
        for name in _MADE:
            path = folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _MARKER).touch()
    for name in _MADE[:3]:
        (folder / name).mkdir()


def _write_data(folder: Path, train_cases: int, test_cases: int) -> Path:
    status = StatusLine(f"{train_cases} + {test_cases} synthetic lesion cases")
    status.draw()
    dataset = write_nnunet_phantoms(folder / "nnUNet_raw", train_cases, test_cases, dataset_id=_DATASET_ID)
    status.finish()
    share = np.mean([(read_labels(path).array > 0).mean() for path in sorted(dataset.glob("labelsT?/*.nii.gz"))])
    click.echo(f"       24 x 64 x 64 voxels of 3 x 1 x 1 mm (z, y, x), {100 * share:.2f} % of them lesion")
    return dataset


def _trainer(folder: Path, run_length: Mapping[str, int | None]) -> tuple[str, Path, int]:
    """Return the trainer, its discovery folder and epochs; another run length is a subclass written into `folder`."""
    from nnunet_trainers import discovery_folder

    epochs = run_length["run_epochs"] or _TRAINER_EPOCHS
    body = [f"    {name} = {value}" for name, value in run_length.items() if value is not None]
    if not body:
        return _TRAINER, discovery_folder(), epochs
    name, discovery = f"{_TRAINER}_{epochs}epochs", folder / "trainer"
    lines = ["from nnunet_trainers.boundary import " + _TRAINER, "", "", f"class {name}({_TRAINER}):", *body, ""]
    write_text(discovery / "monai_boundary_demo_trainer.py", "\n".join(lines))
    return name, discovery, epochs


def _environment(folder: Path, discovery: Path) -> dict[str, str]:
    """Environment of the child processes.

    One worker each: a worker takes ten seconds to import nnU-Net, and all these small cases take less. Idle OpenMP
    threads sleep, so that they do not take the data worker's core.
    """
    paths = {name: str(folder / name) for name in _MADE[:3]}
    workers = {"nnUNet_n_proc_DA": "1", "nnUNet_def_n_proc": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    return {**paths, **workers, "nnUNet_extTrainer": str(discovery)}


def _write_demo_plans(preprocessed: Path) -> None:
    """Write a copy of nnU-Net's plans with a narrower network, so that a CPU trains it in minutes."""
    plans = json.loads((preprocessed / "nnUNetPlans.json").read_text(encoding="utf-8"))
    plans["plans_name"] = _PLANS
    configuration = plans["configurations"][_CONFIGURATION]
    arguments = configuration["architecture"]["arch_kwargs"]
    before = arguments["features_per_stage"]
    arguments["features_per_stage"] = [min(8 * 2**stage, 64) for stage in range(len(before))]
    write_json(preprocessed / f"{_PLANS}.json", plans)
    patch = " x ".join(map(str, configuration["patch_size"]))
    click.echo(f"       {_PLANS}: nnU-Net's plan, patch {patch}, with fewer features per stage for a quick run:")
    click.echo(f"       {arguments['features_per_stage']} in place of {before}")


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


class _EpochCounter:
    """Turns nnU-Net's training output into the detail of the status line."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs
        self.epoch = 0
        self.dice = ""

    def __call__(self, line: str) -> str | None:
        if "Epoch time" in line:
            self.epoch += 1
        elif match := re.search(r"Pseudo dice \[(.*)\]", line):
            values = [float(value) for value in re.findall(r"\d+\.\d+(?:e-?\d+)?", match[1])]
            self.dice = f", validation Dice {values[0]:.2f}" if values else ""
        elif "Training done" in line:
            return "final validation"
        else:
            return None
        filled = round(20 * self.epoch / self.epochs)
        return f"[{'#' * filled}{'-' * (20 - filled)}] epoch {self.epoch} of {self.epochs}{self.dice}"


def _write_pictures(folder: Path, dataset: Path, fold: Path, rows: list[CaseRow]) -> None:
    from monai_boundary.kernels import signed_distance
    from monai_boundary.reports import distance_figure, overlay_figure, save_figure

    status = StatusLine("pictures")
    status.draw()
    pictures = folder / "pictures"
    pictures.mkdir()
    for row in rows:
        image = read_image(dataset / "imagesTs" / f"{row.case}_0000.nii.gz")
        target = read_labels(dataset / "labelsTs" / f"{row.case}.nii.gz").array == 1
        prediction = read_labels(folder / "predictions" / f"{row.case}.nii.gz").array == 1
        dice, hd95 = row.scores["dice"], row.scores["hd95_mm"]
        figure = overlay_figure(image.array, target, prediction, image.spacing, row.case, dice, hd95)
        save_figure(figure, pictures / f"{row.case}_overlay.png")
    distance = signed_distance(target, image.spacing)
    title = f"Signed distance to the lesions of {row.case}"
    save_figure(distance_figure(distance, image.spacing, title), pictures / f"{row.case}_distance_map.png")
    if (fold / "boundary.png").is_file():
        copy_file(fold / "boundary.png", pictures / "boundary.png")
    status.finish()


def _print_scores(rows: list[CaseRow]) -> None:
    click.echo("\nHeld-out cases, ground truth against prediction (HD95: 95th percentile of the surface distance)\n")
    click.echo("  case        Dice   HD95 (mm)   voxels true   predicted")
    for row in rows:
        note = "   missed" if row.missed else ""
        voxels = f"{row.target_voxels:13d} {row.predicted_voxels:11d}"
        click.echo(f"  {row.case:8s} {row.scores['dice']:7.3f} {row.scores['hd95_mm']:11.2f} {voxels}{note}")
    dice, hd95 = (np.mean([row.scores[name] for row in rows]) for name in ("dice", "hd95_mm"))
    click.echo(f"  {'mean':8s} {dice:7.3f} {hd95:11.2f}\n")


def _print_places(folder: Path, model: Path, trainer: str, seconds: float) -> None:
    places = {
        "pictures": folder / "pictures",
        "predictions": folder / "predictions",
        "trained model": model,
        "raw data": folder / "nnUNet_raw",
        "nnU-Net's output": folder / "demo.log",
    }
    for name, path in places.items():
        click.echo(f"  {name + ':':18s} {path}")
    click.echo(f"\nFinished in {seconds / 60:.1f} minutes. The same on your own data set (with its id for DATASET):")
    click.echo('  export nnUNet_extTrainer="$(monai-boundary nnunet-path)"')
    click.echo(f"  nnUNetv2_train DATASET 3d_fullres 0 -tr {trainer.removesuffix('Demo').split('Demo_')[0]}")
