"""The demo: one real run through nnU-Net's commands, and its parts without nnU-Net."""

import os
import re
import subprocess
import sys
import time

import pytest

from monai_boundary.demo.child_process import run_command
from monai_boundary.demo.steps import _TRAINER_EPOCHS, _EpochCounter


def python(code):
    return [sys.executable, "-c", code]


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_child_that_fails_is_reported_with_its_last_lines_and_the_log(tmp_path, capsys):
    command = python("print('a'); print('b'); raise SystemExit('no space left')")
    with pytest.raises(RuntimeError, match=r"failed with exit code 1: a \| b \| no space left; full log: .*demo\.log"):
        run_command(command, {}, tmp_path / "demo.log", "step")
    assert "FAIL step" in capsys.readouterr().out
    assert (tmp_path / "demo.log").read_text().splitlines()[-1] == "no space left"


def test_a_child_gets_the_environment_and_its_output_goes_to_the_log(tmp_path, capsys):
    run_command(python("import os; print(os.environ['nnUNet_raw'])"), {"nnUNet_raw": "/r"}, tmp_path / "log", "step")
    assert (tmp_path / "log").read_text().splitlines()[-1] == "/r"
    assert capsys.readouterr().out.startswith("  done step (")


@pytest.mark.skipif(os.name != "posix", reason="process groups are POSIX")
def test_an_interrupted_step_ends_the_child_and_its_workers(tmp_path):
    worker = "import subprocess, sys; w = subprocess.Popen(['sleep', '60']); print(w.pid, flush=True); w.wait()"
    pids = []

    def interrupt(line):
        pids.append(int(line))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_command(python(worker), {}, tmp_path / "log", "step", interrupt)
    deadline = time.monotonic() + 20
    while alive(pids[0]) and time.monotonic() < deadline:  # until init has reaped it
        time.sleep(0.1)
    assert not alive(pids[0])


def test_training_output_becomes_a_progress_bar():
    describe = _EpochCounter(4)
    assert describe("2026-01-01: Epoch 0") is None
    assert describe("Pseudo dice [np.float32(0.2534)]") == f"[{'-' * 20}] epoch 0 of 4, validation Dice 0.25"
    assert describe("Epoch time: 3.1 s") == f"[{'#' * 5}{'-' * 15}] epoch 1 of 4, validation Dice 0.25"
    assert describe("Training done.") == "final validation"


def test_the_epochs_shown_are_those_of_the_demo_trainer():
    trainers = pytest.importorskip("nnunet_trainers.boundary")
    assert trainers.nnUNetTrainerDiceCEBoundaryDemo.run_epochs == _TRAINER_EPOCHS


@pytest.mark.cli
def test_the_demo_runs_from_phantoms_to_pictures(tmp_path):
    arguments = ["--epochs", "1", "--iterations", "2", "--train-cases", "5", "--test-cases", "1"]
    command = [sys.executable, "-m", "monai_boundary.cli", "demo", "-o", str(tmp_path / "demo"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    folder = tmp_path / "demo"
    assert sorted(path.name for path in (folder / "pictures").iterdir()) == [
        "boundary.png",
        "c_005_distance_map.png",
        "c_005_overlay.png",
    ]
    assert (folder / "predictions" / "c_005.nii.gz").is_file()
    model = "nnUNetTrainerDiceCEBoundaryDemo_1epochs__demoPlans__3d_fullres"
    fold = folder / "nnUNet_results" / "Dataset900_LesionPhantoms" / model / "fold_0"
    assert (fold / "checkpoint_final.pth").is_file()
    assert re.search(r"c_005 +[01]\.\d{3} +\d+\.\d\d +\d+ +\d+", done.stdout)
    assert "HD95 (mm)" in done.stdout
    assert str(folder / "pictures") in done.stdout
