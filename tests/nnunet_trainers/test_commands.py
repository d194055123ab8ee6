"""The commands of docs/nnunet.md, as printed there and one after the other, on a tiny data set and with short trainers.

They run in this process: importing nnU-Net in one child after the other would take most of the time.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
import torch

from tests.nnunet_trainers.datasets import LABELS, PLANS, VALIDATION_CASE

pytestmark = [pytest.mark.cli, pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "nnunet.md").read_text()
STOCK, OURS = "nnUNetTrainerShort", "nnUNetTrainerBoundaryShort"
SOURCE = f"""
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunet_trainers.boundary import nnUNetTrainerBoundary

class {STOCK}(nnUNetTrainer):
    def initialize(self):
        self.num_epochs = self.num_iterations_per_epoch = self.num_val_iterations_per_epoch = 1
        super().initialize()

class {OURS}(nnUNetTrainerBoundary):
    run_epochs = run_iterations = run_validation_iterations = 1
"""
#: Beside what is printed: the plans of the test, the CPU, and few processes.
MORE = {
    "train": ["-p", PLANS, "-device", "cpu"],
    "predict": ["-p", PLANS, "-device", "cpu", "--disable_tta", "-npp", "1", "-nps", "1"],
    "find_best_configuration": ["-p", PLANS, "-np", "1"],
    "ensemble": ["-np", "1"],
    "export_model_to_zip": ["-p", PLANS],
}


def nnunet(line: str, **names: object) -> None:
    """Run a line of nnU-Net's commands, with `names` in the place of those that are printed."""
    words = [str(names.get(word, word)) for word in shlex.split(line)]
    name = words[0].removeprefix("nnUNetv2_")
    (point,) = entry_points(group="console_scripts", name=words[0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [*words, *MORE.get(name, [])])
        point.load()()
    torch.set_num_threads(1)


def printed(section: str) -> list[str]:
    """The commands of the one block that follows a bold beginning."""
    (block,) = re.findall(rf"\*\*{section}.*?```\n(.*?)```", PAGE, flags=re.DOTALL)
    return block.splitlines()


def labels_of(folder: Path) -> np.ndarray:
    return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(folder / f"{VALIDATION_CASE}.nii.gz")))


@pytest.fixture(scope="module")
def work(nnunet_folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with `results`, `IN` and a trained model of nnU-Net's own trainer."""
    folder = tmp_path_factory.mktemp("commands")
    for name in ("extension", "results", "IN"):
        (folder / name).mkdir()
    (folder / "extension" / "monai_boundary_commands_trainers.py").write_text(SOURCE)
    image = nnunet_folders / "raw" / LABELS / "imagesTr" / f"{VALIDATION_CASE}_0000.nii.gz"
    (folder / "IN" / image.name).write_bytes(image.read_bytes())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("nnUNet_results", str(folder / "results"))
        patch.setenv("nnUNet_extTrainer", str(folder / "extension"))
        nnunet(f"nnUNetv2_train 901 3d_fullres 0 -tr {STOCK}")
        yield folder


@pytest.fixture(autouse=True)
def _there(results: Path, pictures: None, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("nnUNet_results", str(work / "results"))
    monkeypatch.chdir(work)


@pytest.fixture
def run(work: Path) -> Callable[..., None]:
    """Run a printed line with the data set and the short trainer."""

    def call(line: str, **names: object) -> None:
        nnunet(line.replace("MODEL/", str(model(work, "3d_fullres", STOCK)) + "/"),
               **{"DATASET": "901", "nnUNetTrainerBoundary": OURS, **names})  # fmt: skip

    return call


def model(work: Path, configuration: str, trainer: str = OURS) -> Path:
    return work / "results" / LABELS / f"{trainer}__{PLANS}__{configuration}"


def test_a_model_starts_from_the_weights_of_another(work: Path, run: Callable[..., None]) -> None:
    (line,) = printed("Start from")
    run(line)
    files = [model(work, "3d_fullres", name) / "fold_0" for name in (STOCK, OURS)]
    text = next(files[1].glob("training_log*.txt")).read_text()
    assert "Mean Validation Dice" in text
    before, after = (torch.load(file / "checkpoint_final.pth", weights_only=False)["network_weights"] for file in files)
    shifts = {name: float((after[name] - before[name]).norm() / before[name].norm()) for name in before
              if name.endswith("conv.weight")}  # fmt: skip
    assert 0 < max(shifts.values()) < 0.5  # one step away; another start would be 1.4
    assert (files[1] / "validation" / f"{VALIDATION_CASE}.npz").is_file()


def test_the_best_configuration_is_found_and_an_ensemble_predicts(work: Path, run: Callable[..., None]) -> None:
    for line in printed("The best"):
        run(line)
    folder = work / "results" / LABELS
    told = (folder / "inference_instructions.txt").read_text()
    assert f"-tr {OURS}" in told
    probabilities = [np.load(work / name / f"{VALIDATION_CASE}.npz")["probabilities"] for name in ("OUT_2D", "OUT_3D")]
    np.testing.assert_array_equal(labels_of(work / "OUT"), np.mean(probabilities, axis=0).argmax(0))
    (single,) = set(re.findall(r"^nnUNetv2_apply_postprocessing .*$", told, re.MULTILINE))
    nnunet(single, INPUT_FOLDER="IN", OUTPUT_FOLDER="OUT", OUTPUT_FOLDER_PP="PP")
    assert labels_of(work / "PP").shape == labels_of(work / "OUT").shape


def test_the_cascade_goes_through_both_stages(work: Path, run: Callable[..., None]) -> None:
    for line in printed("The cascade"):
        run(line)
    first = model(work, "3d_lowres") / "predicted_next_stage" / "3d_cascade_fullres"
    assert {file.name.partition(".")[0] for file in first.iterdir()} == {"case_0", "case_1", "case_2"}
    assert labels_of(work / "OUT_CASCADE").shape == labels_of(work / "OUT_LOWRES").shape
    assert (model(work, "3d_cascade_fullres") / "fold_0" / "boundary.png").is_file()


def test_a_model_goes_into_a_zip_file_and_predicts_elsewhere(
    work: Path, run: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export, install = printed("A model as a zip")
    run(export)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setenv("nnUNet_results", str(elsewhere))
    run(install)
    run(f"nnUNetv2_predict -i IN -o INSTALLED -d DATASET -c 3d_fullres -f 0 -tr {OURS}")
    np.testing.assert_array_equal(labels_of(work / "INSTALLED"), labels_of(work / "OUT_3D"))
