"""Everything in the package that writes for its user, twice: what is there before, and what then meets a full disk."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from click.testing import CliRunner

from monai_boundary import cli
from monai_boundary.datasets import lesion_phantom, write_volume

__all__ = ["Outcome", "Writer", "command", "make_writers"]


@dataclass(frozen=True)
class Outcome:
    """How a call ended: exit code, what it said on stderr, and what it ended with if that was no error message."""

    code: int
    text: str


@dataclass(frozen=True)
class Writer:
    """Writes to a folder: with ``False`` what is there before, with ``True`` in its place something else.

    Attributes:
        call: Takes the folder and which of both.
        together: Its files belong together: all are those of before, or all are new.
    """

    call: Callable[[Path, bool], Outcome]
    together: bool = True


def command(*arguments: Any) -> Outcome:
    """Run the command line."""
    done = CliRunner().invoke(cli.main, [str(argument) for argument in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        return Outcome(1, f"not caught: {done.exception!r}")
    return Outcome(done.exit_code, "\n".join(line for line in done.stderr.splitlines() if line.startswith("error:")))


def function(call: Callable[..., object], *arguments: Any, **settings: Any) -> Outcome:
    """Run a function of the package, which a trainer or a bundle calls; an OSError is told as the commands tell it."""
    try:
        call(*arguments, **settings)
    except OSError as error:
        return Outcome(2, f"error: {error.filename}: {error.strerror}" if error.filename else f"error: {error}")
    return Outcome(0, "")


def _volume_data(folder: Path, number: int) -> Path:
    """Two cases with predictions, and a download of WMH; of each number under the same names, with other content."""
    from tests.datasets.convert import trees

    for case in range(2):
        one, other = (lesion_phantom(4 * number + case + more, (12, 40, 36)) for more in (0, 2))
        for kind, array in (("imagesTr", one.image), ("labelsTr", one.labels), ("pred", other.labels)):
            name = f"p{case}_0000.nii.gz" if kind == "imagesTr" else f"p{case}.nii.gz"
            write_volume(folder / kind / name, array, one.spacing)
    trees.wmh(folder / "wmh")
    for path in (folder / "wmh").rglob("FLAIR.nii.gz"):
        trees.volume(path, seed=1000 + 100 * number + int(path.parents[1].name))
    labels = {"background": 0, "lesion": 1}
    about = {"channel_names": {"0": "FLAIR"}, "labels": labels, "numTraining": 2, "file_ending": ".nii.gz"}
    (folder / "dataset.json").write_text(json.dumps(about))
    return folder


def _volumes(inputs: Path) -> dict[str, Writer]:
    """Commands that read NIfTI files."""
    data = [_volume_data(inputs / f"data{number}", number) for number in (0, 1)]

    def evaluate(out: Path, again: bool) -> Outcome:
        return command("evaluate", data[again] / "pred", data[again] / "labelsTr", "-o", out, "--worst", 1, "--force")

    def compare(out: Path, again: bool) -> Outcome:
        runs = {shift: inputs / f"run{int(again)}{shift}" for shift in (0, 1)}
        for shift, run in runs.items():
            if not run.exists():
                command("evaluate", data[again ^ shift] / "pred", data[again] / "labelsTr", "-o", run, "--worst", 0)
        return command("compare", *runs.values(), "-o", out, "--seed", int(again), "--force")

    def consensus(out: Path, again: bool) -> Outcome:
        folders = (data[again] / "pred", data[again] / "labelsTr")
        return command("consensus", *folders, "-o", out, "--union", "--force")

    def inspect(out: Path, again: bool) -> Outcome:
        files = (data[again] / "imagesTr" / "p0_0000.nii.gz", data[again] / "labelsTr" / "p0.nii.gz")
        return command("inspect", *files, "-o", out / "case.png", "--force")

    def maps(workers: int, out: Path, again: bool) -> Outcome:
        return command("precompute-maps", data[again] / "labelsTr", out, "--num-classes", 2, "--workers", workers)

    return {
        "evaluate": Writer(evaluate),
        "compare": Writer(compare),
        "consensus": Writer(consensus, False),
        "inspect": Writer(inspect),
        "advise": Writer(lambda out, again: command("advise", data[again], "-o", out / "sizes.png", "--force")),
        "convert": Writer(lambda out, again: command("convert", "wmh", data[again] / "wmh", out, "--force"), False),
        "precompute-maps": Writer(partial(maps, 1), False),
        "precompute-maps, workers": Writer(partial(maps, 2), False),
    }


def _models(inputs: Path) -> dict[str, Writer]:
    """What concerns bundles and trained models."""
    from monai_boundary.reports.boundary_log import plot_boundary_log
    from tests.cli.conftest import write_model

    models = [write_model(inputs / f"model{number}", 100.0 + number) for number in (0, 1)]
    checkpoints = [model / "fold_0" / "checkpoint_final.pth" for model in models]

    def copy(out: Path, again: bool) -> Outcome:
        done = command("bundle", "copy", "wmh_boundary", out, "--force")
        for path in () if again else sorted(out.rglob("*.json")):
            path.write_text("{}")  # edited by the user
        return done

    def plot(out: Path, again: bool) -> Outcome:
        curves = ("alpha", "region_weight", "alpha_paused", "region_term", "boundary_term", "gradient_share",
                  "region_gradient", "boundary_gradient")  # fmt: skip
        log: dict[str, Any] = {name: [0.1 + again] * 9 for name in curves}
        log |= {name: [[0.5]] * 9 for name in ("foreground_predicted", "foreground_true")}
        return function(plot_boundary_log, log, out / "boundary.png")

    def export(sources: list[Path], name: str, out: Path, again: bool) -> Outcome:
        return command("export-checkpoint", sources[again], "-o", out / name, "--force")

    return {
        "export-checkpoint, a model": Writer(partial(export, models, "")),
        "export-checkpoint, a file": Writer(partial(export, checkpoints, "stock.pth")),
        "bundle copy": Writer(copy, False),
        "nnU-Net's boundary.png": Writer(plot),
    }


def _trainer(inputs: Path) -> dict[str, Writer]:
    """nnU-Net's checkpoint."""
    from nnunet_trainers.boundary import nnUNetTrainerBoundary
    from tests.nnunet_trainers.datasets import KINDS, LABELS, write_dataset
    from tests.nnunet_trainers.running import build

    write_dataset(KINDS[LABELS], *(Path(os.environ[f"nnUNet_{name}"]) for name in ("raw", "preprocessed")))
    trainer = build(nnUNetTrainerBoundary, started=False)
    trainer.initialize()

    def save(out: Path, again: bool) -> Outcome:
        trainer.current_epoch = int(again)
        return function(trainer.save_checkpoint, str(out / "checkpoint_latest.pth"))

    return {"nnU-Net's checkpoint": Writer(save)}


def _images(inputs: Path) -> dict[str, Writer]:
    """Tiles and volumes of slices, and the predictions of the bundles for them."""
    from monai_boundary.bundles.aerial import folder_tiles, predict_tiles
    from monai_boundary.bundles.em_items import items_of_split
    from monai_boundary.bundles.em_prediction import predict_volumes
    from monai_boundary.bundles.em_scores import evaluate_volumes
    from monai_boundary.datasets.em import cremi_volumes
    from monai_boundary.inference import TileInferer
    from tests.bundles.test_em_helpers import Dark, predictor
    from tests.datasets.em import files as em
    from tests.datasets.remote import files

    tiles = [inputs / f"tiles{number}" for number in (0, 1)]
    for number, folder in enumerate(tiles):
        for name in ("a", "b"):
            files.write(folder / "images" / f"{name}.tif", files.image(number, (90, 120)))
            for kind in ("pred", "gt"):
                mask = files.image(number + 7 * (kind == "gt"), (90, 120), 1) > 127
                files.write(folder / kind / f"{name}.tif", mask.astype(np.uint8) * 255)
        files.vectors(folder / "vectors.gpkg", [files.box(5 + 3 * number, 5, 60, 50), files.box(70, 30, 100, 80)])
    items = items_of_split(cremi_volumes(em.write_samples(inputs / "cremi")), "validation", 2, 1, target="ids")

    def evaluate(out: Path, again: bool) -> Outcome:
        folders = tiles[again] / "pred", tiles[again] / "gt"
        return command("evaluate", *folders, "--protocol", "buildings", "-o", out, "--force")

    def rasterize(out: Path, again: bool) -> Outcome:
        return command("rasterize", tiles[again] / "images", tiles[again] / "vectors.gpkg", out, "--force")

    def predict(output: str, out: Path, again: bool) -> Outcome:
        network = (lambda batch: batch[:, :1] / 255) if again else (lambda batch: 1 - batch[:, :1] / 255)
        given = folder_tiles(tiles[0] / "images"), network, out, TileInferer(32)
        return function(predict_tiles, *given, output=output, overwrite=True, progress=False)

    def predict_cremi(formats: tuple[str, ...], out: Path, again: bool) -> Outcome:
        given = items, predictor(Dark(110.0 - 9 * again)), out
        return function(predict_volumes, *given, formats=formats, overwrite=True, progress=False)

    def score_cremi(out: Path, again: bool) -> Outcome:
        given = items, predictor(Dark(110.0 - 9 * again)), 0.5, out, "ids"
        return function(evaluate_volumes, *given, progress=False)

    return {
        "evaluate --protocol buildings": Writer(evaluate),
        "rasterize": Writer(rasterize, False),  # tile by tile
        "aerial predictions": Writer(partial(predict, "values"), False),
        "aerial predictions, polygons": Writer(partial(predict, "polygons"), False),
        "CREMI predictions": Writer(partial(predict_cremi, ("hdf5",))),
        "TIFF predictions": Writer(partial(predict_cremi, ("tiff",))),
        "CREMI scores": Writer(score_cremi),
    }


def make_writers(inputs: Path) -> dict[str, Writer]:
    """Write the inputs of all, and return them by name."""
    torch.manual_seed(0)
    parts = (_volumes, _models, _trainer, _images)
    return {name: writer for part in parts for name, writer in part(inputs).items()}
