"""nnU-Net's own commands, worker processes and ranks, in child processes."""

from __future__ import annotations

import importlib
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
import torch

from monai_boundary.schedules import GradientShare
from tests.nnunet_trainers.datasets import LABELS, PLANS, VALIDATION_CASE

pytestmark = pytest.mark.cli

REPOSITORY = Path(__file__).resolve().parents[2]
MODULE = "monai_boundary_command_line_trainer"
TRAINER = "nnUNetTrainerBoundaryCommandLine"
# One run length for the test alone: nnU-Net has no option for it. The second run leaves out the final validation, which
# starts two process pools and is the first run's business.
SOURCE = f"""
import os
from nnunet_trainers.boundary import nnUNetTrainerBoundary

class {TRAINER}(nnUNetTrainerBoundary):
    run_epochs = int(os.environ.get("BOUNDARY_TEST_EPOCHS", 2))
    run_iterations = 2
    run_validation_iterations = 1

    def perform_actual_validation(self, save_probabilities=False):
        if self.num_epochs == 2:
            super().perform_actual_validation(save_probabilities)
"""


def child(*command: str | Path, **environment: str) -> str:
    """Run a command in the test's environment; fail with its output."""
    settings = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", **environment}
    settings = {name: value for name, value in settings.items() if value}
    done = subprocess.run(
        [str(part) for part in command], env=settings, cwd=REPOSITORY, capture_output=True, text=True, timeout=600,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def nnunet(name: str, *arguments: str | Path, **environment: str) -> str:
    return child(Path(sys.executable).parent / f"nnUNetv2_{name}", *arguments, **environment)


def test_spawned_workers_deliver_the_maps(results: Path) -> None:
    assert "loss" in child(sys.executable, REPOSITORY / "tests" / "nnunet_trainers" / "child_spawn.py")


def test_ranks_log_and_watch_the_mean_of_all(results: Path, tmp_path: Path) -> None:
    script = REPOSITORY / "tests" / "nnunet_trainers" / "child_ranks.py"
    child(sys.executable, script, tmp_path / "store", tmp_path / "out")
    logs = [json.loads((tmp_path / f"out.{rank}").read_text()) for rank in range(2)]
    for log in logs:
        assert log["region_term"] == [pytest.approx(1.4)]
        assert log["boundary_term"] == [pytest.approx(2.4)]
        voxels = 16 * 32 * 32 * 3 * 2  # three patches in all, two steps
        assert log["foreground_predicted"] == pytest.approx([2 * 130 / voxels, 2 * 70 / voxels])
        assert log["foreground_true"] == pytest.approx([2 * 400 / voxels, 2 * 100 / voxels])
        assert log["ratio"] == pytest.approx(130 / 400)
    shared = set(logs[0]) - {"epoch_start_timestamps", "epoch_end_timestamps"}
    assert all(logs[0][key] == logs[1][key] for key in shared)  # or the ranks would part at a pause


def test_train_resume_predict_and_export(results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    extension = tmp_path / "extension"
    extension.mkdir()
    (extension / f"{MODULE}.py").write_text(SOURCE)
    monkeypatch.setenv("nnUNet_extTrainer", str(extension))
    train = ("train", "901", "3d_fullres", "0", "-tr", TRAINER, "-p", PLANS, "-device", "cpu")
    assert "Mean Validation Dice" in nnunet(*train)
    model = results / LABELS / f"{TRAINER}__{PLANS}__3d_fullres"
    fold = model / "fold_0"
    assert (fold / "validation" / f"{VALIDATION_CASE}.nii.gz").is_file()
    assert (fold / "boundary.png").is_file()

    nnunet(*train, "--c", BOUNDARY_TEST_EPOCHS="3")
    log = torch.load(fold / "checkpoint_final.pth", weights_only=False)["logging"]
    expected = [GradientShare().weights(*pair)[1].value for pair in ((0, 2), (1, 2), (2, 3))]
    assert log["gradient_share"] == expected
    assert min(log["alpha"]) > 0
    assert all(len(values) == 3 for values in log.values())
    assert all(math.isfinite(value) for value in log["region_term"] + log["boundary_term"])

    raw = Path(os.environ["nnUNet_raw"]) / LABELS / "imagesTr" / f"{VALIDATION_CASE}_0000.nii.gz"  # noqa: SIM112
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / raw.name).write_bytes(raw.read_bytes())
    predict = ("predict", "-i", tmp_path / "images", "-d", "901", "-c", "3d_fullres", "-f", "0", "-p", PLANS,
               "-device", "cpu", "--disable_tta", "-npp", "1", "-nps", "1")  # fmt: skip
    nnunet(*predict, "-tr", TRAINER, "-o", tmp_path / "ours")
    ours = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(tmp_path / "ours" / f"{VALIDATION_CASE}.nii.gz")))

    export = importlib.import_module("monai_boundary.export")
    export.export_checkpoint(model, tmp_path / "exported" / LABELS)
    elsewhere = {"nnUNet_results": str(tmp_path / "exported"), "nnUNet_extTrainer": ""}
    nnunet(*predict, "-o", tmp_path / "stock", **elsewhere)
    stock = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(tmp_path / "stock" / f"{VALIDATION_CASE}.nii.gz")))
    np.testing.assert_array_equal(stock, ours)
