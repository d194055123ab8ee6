"""Every command of `monai-boundary`, and every way in which its input can be wrong."""

import codecs
import importlib
import math
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from click.testing import CliRunner

import monai_boundary
import nnunet_trainers
from monai_boundary import cli
from monai_boundary.cli import inspection
from monai_boundary.datasets import lesion_phantom, write_volume
from monai_boundary.kernels.map_options import CONVENTIONS

COMMANDS = ("demo", "nnunet-path", "inspect", "export-checkpoint")


@pytest.fixture
def run():
    def invoke(*arguments):
        return CliRunner().invoke(cli.main, [str(argument) for argument in arguments])

    return invoke


def assert_fails(result, *parts):
    """Exit code 2, nothing on stdout, and one line on stderr that holds `parts`."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    for part in parts:
        assert str(part) in result.stderr


# The group


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(run, command):
    result = run(command, "--help")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) > 4
    assert max(map(len, result.stdout.splitlines())) <= 100


def test_without_arguments_the_commands_are_listed(run):
    result = run()
    assert result.exit_code == 0
    assert all(command in result.stdout for command in COMMANDS)
    assert "nnunetv2_train" in result.stdout.lower()


def test_the_version_is_that_of_the_package(run):
    assert run("--version").stdout == f"monai-boundary, version {monai_boundary.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["train"], "No such command 'train'"),
        (["--verbose"], "--verbose"),
        (["inspect", "a.nii.gz"], "Missing argument 'LABEL'"),
        (["inspect", "a", "b", "-o", "c.png", "--convention", "middle"], "'middle' is not one of 'half'"),
        (["demo", "--epochs", "0"], "0 is not in the range"),
    ],
)
def test_a_wrong_call_is_one_line_with_a_pointer_to_the_help(run, arguments, text):
    assert_fails(run(*arguments), text, "--help'")


def test_the_command_line_imports_neither_torch_nor_monai_nor_nnunet():
    code = "import sys, monai_boundary.cli; print({'torch', 'monai', 'nnunetv2', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_conventions_are_those_of_the_kernels():
    assert inspection._CONVENTIONS == CONVENTIONS


# nnunet-path


def test_nnunet_path_prints_the_discovery_folder_and_nothing_else(run):
    result = run("nnunet-path")
    assert result.exit_code == 0
    assert result.stdout == f"{Path(nnunet_trainers.__file__).parent / 'discovery'}\n"
    assert list(Path(result.stdout.strip()).glob("*.py"))


# inspect


@pytest.fixture
def case(tmp_path):
    phantom = lesion_phantom(2)
    write_volume(tmp_path / "image.nii.gz", phantom.image, phantom.spacing)
    write_volume(tmp_path / "label.nii.gz", phantom.labels, phantom.spacing)
    return tmp_path


def test_inspect_prints_the_facts_and_writes_the_picture(run, case):
    result = run("inspect", case / "image.nii.gz", case / "label.nii.gz", "-o", case / "out.png", "--clip", "10")
    assert result.exit_code == 0, result.stderr
    lines = dict(line.split(":", 1) for line in result.stdout.splitlines() if ":" in line)
    facts = {name: text.strip() for name, text in lines.items()}
    assert facts["spacing"] == "3 x 1 x 1 mm (z, y, x)"
    assert (facts["unit"], facts["convention"], facts["clip"]) == ("mm", "half", "10 mm")
    assert facts["classes"] == "2 with the background (0 to 1)"
    assert facts["absent"] == "none"
    share = 100 * lesion_phantom(2).labels.mean()
    assert facts["foreground"] == f"{share:.4f} % of the voxels"
    assert "to   +10.00" in result.stdout
    assert (case / "out.png").read_bytes().startswith(b"\x89PNG")


def test_inspect_names_absent_classes_and_leaves_ignored_voxels_out(run, case):
    labels = lesion_phantom(2).labels.astype(np.int16) * 3
    labels[0] = 9
    write_volume(case / "label.nii.gz", labels, (3.0, 1.0, 1.0))
    result = run("inspect", case / "image.nii.gz", case / "label.nii.gz", "-o", case / "out.png", "--ignore-index", "9")
    assert result.exit_code == 0, result.stderr
    assert "absent:        1, 2\n" in result.stdout
    assert "ignored:       4096 voxels\n" in result.stdout


def test_inspect_of_a_case_without_foreground_says_so(run, case):
    write_volume(case / "label.nii.gz", np.zeros((24, 64, 64), np.uint8), (3.0, 1.0, 1.0))
    result = run("inspect", case / "image.nii.gz", case / "label.nii.gz", "-o", case / "out.png")
    assert result.exit_code == 0, result.stderr
    assert "no foreground class" in result.stdout
    assert "absent:        1\n" in result.stdout


def test_a_missing_file_is_named(run, case):
    assert_fails(run("inspect", case / "no.nii.gz", case / "label.nii.gz", "-o", case / "o.png"), "no.nii.gz", "exist")


@pytest.mark.parametrize("name", ["text.nii.gz", "text.txt"])
def test_a_file_that_is_no_nifti_is_refused(run, case, name):
    (case / name).write_text("no image")
    result = run("inspect", case / name, case / "label.nii.gz", "-o", case / "o.png")
    assert_fails(result, name, "must be a complete NIfTI file")


def test_a_truncated_file_is_refused(run, case):
    whole = (case / "image.nii.gz").read_bytes()
    (case / "image.nii.gz").write_bytes(whole[: len(whole) // 2])
    result = run("inspect", case / "image.nii.gz", case / "label.nii.gz", "-o", case / "o.png")
    assert_fails(result, "image.nii.gz", "must be a complete NIfTI file")


def test_a_label_of_another_shape_is_refused(run, case):
    write_volume(case / "label.nii.gz", np.zeros((12, 64, 64), np.uint8), (3.0, 1.0, 1.0))
    result = run("inspect", case / "image.nii.gz", case / "label.nii.gz", "-o", case / "o.png")
    assert_fails(result, "same shape", "(24, 64, 64) and (12, 64, 64)")


def test_a_label_of_another_spacing_is_refused(run, case):
    write_volume(case / "label.nii.gz", lesion_phantom(2).labels, (2.0, 1.0, 1.0))
    result = run("inspect", case / "image.nii.gz", case / "label.nii.gz", "-o", case / "o.png")
    assert_fails(result, "same place", "(3.0, 1.0, 1.0) and (2.0, 1.0, 1.0)")


@pytest.mark.parametrize("value", [0.5, -1.0, math.nan])
def test_labels_that_are_no_labels_are_refused(run, case, value):
    write_volume(case / "label.nii.gz", np.full((24, 64, 64), value, np.float32), (3.0, 1.0, 1.0))
    result = run("inspect", case / "image.nii.gz", case / "label.nii.gz", "-o", case / "o.png")
    assert_fails(result, "label.nii.gz must hold labels (integers >= 0)")


def test_an_image_with_channels_is_refused(run, case):
    nib.save(nib.Nifti1Image(np.zeros((8, 8, 8, 2), np.float32), np.eye(4)), case / "image.nii.gz")
    result = run("inspect", case / "image.nii.gz", case / "label.nii.gz", "-o", case / "o.png")
    assert_fails(result, "must hold one 3-D volume", "(8, 8, 8, 2)")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--clip", "-3"], "clip must be finite and > 0, got -3"),
        (["--class", "7"], "[1], got 7"),
    ],
)
def test_wrong_options_are_refused(run, case, options, text):
    assert_fails(run("inspect", case / "image.nii.gz", case / "label.nii.gz", "-o", case / "o.png", *options), text)


@pytest.mark.parametrize("name", ["o.xyz", "o", "missing/o.png"])
def test_an_output_that_cannot_be_written_is_refused(run, case, name):
    result = run("inspect", case / "image.nii.gz", case / "label.nii.gz", "-o", case / name)
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert name in result.stderr


# export-checkpoint


@pytest.fixture
def model(tmp_path):
    """A folder as nnU-Net writes it: NumPy scalars in the log, tensors, a device."""
    folder = tmp_path / "Dataset900_X" / "nnUNetTrainerBoundary__nnUNetPlans__3d_fullres"
    (folder / "fold_0").mkdir(parents=True)
    for name in ("plans.json", "dataset.json", "dataset_fingerprint.json"):
        (folder / name).write_text("{}")
    stock = ("mean_fg_dice", "ema_fg_dice", "train_losses", "val_losses", "lrs")
    stock += ("dice_per_class_or_region", "epoch_start_timestamps", "epoch_end_timestamps")
    checkpoint = {
        "network_weights": {"weight": torch.arange(4.0)},
        "optimizer_state": {"state": {0: {"momentum_buffer": torch.ones(4)}}, "param_groups": [{"lr": 0.01}]},
        "grad_scaler_state": None,
        "logging": {**{key: [np.float64(0.5), np.float32(0.5)] for key in stock}, "alpha": [0.01, 0.02]},
        "_best_ema": np.float64(0.5),
        "current_epoch": 2,
        "init_args": {"plans": {}, "configuration": "3d_fullres", "fold": 0, "device": torch.device("cpu")},
        "trainer_name": "nnUNetTrainerBoundary",
        "inference_allowed_mirroring_axes": (0, 1, 2),
    }
    torch.save(checkpoint, folder / "fold_0" / "checkpoint_final.pth")
    return folder


def load(path):
    return torch.load(path, weights_only=False)


def test_a_model_folder_is_exported_under_the_stock_name(run, model, tmp_path):
    result = run("export-checkpoint", model, "-o", tmp_path / "shared")
    folder = tmp_path / "shared" / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"wrote {folder}\n"
    names = ["dataset.json", "dataset_fingerprint.json", "fold_0", "fold_0/checkpoint_final.pth", "plans.json"]
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) == names
    checkpoint = load(folder / "fold_0" / "checkpoint_final.pth")
    assert checkpoint["trainer_name"] == "nnUNetTrainer"
    assert torch.equal(checkpoint["network_weights"]["weight"], torch.arange(4.0))
    assert "alpha" not in checkpoint["logging"]
    assert len(checkpoint["logging"]["train_losses"]) == 2


def test_one_checkpoint_is_exported_to_a_file_and_the_source_stays_as_it_was(run, model, tmp_path):
    source = model / "fold_0" / "checkpoint_final.pth"
    before = source.read_bytes()
    result = run("export-checkpoint", source, "-o", tmp_path / "new" / "stock.pth")
    assert result.exit_code == 0, result.stderr
    assert load(tmp_path / "new" / "stock.pth")["trainer_name"] == "nnUNetTrainer"
    assert source.read_bytes() == before


def test_an_existing_destination_is_kept_unless_forced(run, model, tmp_path):
    folder = tmp_path / "out" / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    folder.mkdir(parents=True)
    (folder / "precious").touch()
    assert_fails(run("export-checkpoint", model, "-o", tmp_path / "out"), folder, "already exists", "--force")
    assert (folder / "precious").exists()
    assert run("export-checkpoint", model, "-o", tmp_path / "out", "--force").exit_code == 0
    assert not (folder / "precious").exists()
    assert [path.name for path in (tmp_path / "out").iterdir()] == [folder.name]


def test_a_checkpoint_is_not_exported_onto_itself(run, model):
    source = model / "fold_0" / "checkpoint_final.pth"
    assert_fails(run("export-checkpoint", source, "-o", source, "--force"), "must differ from the source")


@pytest.mark.parametrize("as_folder", [True, False])
def test_a_truncated_checkpoint_is_refused_and_leaves_nothing_behind(run, model, tmp_path, as_folder):
    source = model / "fold_0" / "checkpoint_final.pth"
    source.write_bytes(source.read_bytes()[:700])
    output = tmp_path / "out" if as_folder else tmp_path / "out" / "stock.pth"
    result = run("export-checkpoint", model if as_folder else source, "-o", output)
    assert_fails(result, source, "must be a complete checkpoint")
    assert not (tmp_path / "out").exists()


class Foreign:
    """Stands for an object of some other program."""


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"not a checkpoint", "checkpoint"),
        (b"", "must be a complete checkpoint"),
        ({"state_dict": {}}, "without network_weights, trainer_name, init_args"),
        ([1, 2], "got a list"),
        ({"network_weights": Foreign()}, "cannot be read safely"),
    ],
)
def test_a_foreign_checkpoint_is_refused(run, tmp_path, content, text):
    source = tmp_path / "foreign.pth"
    source.write_bytes(content) if isinstance(content, bytes) else torch.save(content, source)
    assert_fails(run("export-checkpoint", source, "-o", tmp_path / "out.pth"), source, text)
    assert not (tmp_path / "out.pth").exists()


def test_a_folder_that_is_no_model_is_refused(run, model, tmp_path):
    (model / "plans.json").unlink()
    assert_fails(run("export-checkpoint", model, "-o", tmp_path / "o"), "1 checkpoints and no plans.json")
    assert_fails(run("export-checkpoint", tmp_path, "-o", tmp_path / "o"), "must be a trained nnU-Net model folder")
    assert_fails(run("export-checkpoint", tmp_path / "none", "-o", tmp_path / "o"), "none does not exist")


# Read-only output


@pytest.fixture
def locked():
    """A folder that this process may read and not write, also when the superuser runs the tests."""
    base = Path(tempfile.mkdtemp())
    base.chmod(0o755)
    folder = base / "locked"
    folder.mkdir(mode=0o555)
    superuser = os.geteuid() == 0
    # What commands import late, and the codec that torch.load asks for: another user may not be allowed to read them.
    for name in ("monai_boundary._inspect", "monai_boundary.export"):
        importlib.import_module(name)
    codecs.lookup("latin1")
    try:
        if superuser:
            os.seteuid(65534)
        yield folder
    finally:
        if superuser:
            os.seteuid(0)
        folder.chmod(0o755)
        shutil.rmtree(base)


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX")
@pytest.mark.parametrize("command", ["inspect", "export", "export one", "demo"])
def test_a_read_only_output_folder_is_named(run, case, model, locked, command):
    euid = os.geteuid()
    if command == "demo" and not os.access(sys.prefix, os.X_OK, effective_ids=True):
        pytest.skip("the demo looks nnU-Net up, and the superuser's Python cannot be read by another user")
    os.seteuid(os.getuid())  # the inputs lie in a folder of the user who runs the tests
    shutil.copytree(case, locked.parent / "in").chmod(0o755)
    os.seteuid(euid)
    inputs = locked.parent / "in"
    model = inputs / model.relative_to(case)
    calls = {
        "inspect": ["inspect", inputs / "image.nii.gz", inputs / "label.nii.gz", "-o", locked / "o.png"],
        "export": ["export-checkpoint", model, "-o", locked],
        "export one": ["export-checkpoint", model / "fold_0" / "checkpoint_final.pth", "-o", locked / "o.pth"],
        "demo": ["demo", "-o", locked / "demo"],
    }
    result = run(*calls[command])
    assert result.exit_code == 2
    assert str(locked) in result.stderr
    assert "Permission denied" in result.stderr
    assert result.stderr.count("\n") == 1


# demo, up to the first nnU-Net command


def test_the_demo_leaves_a_folder_with_other_files_alone(run, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    for options in ([], ["--force"]):
        assert_fails(run("demo", "-o", tmp_path, *options), tmp_path, "must be empty, got other files")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_the_demo_repeats_into_its_own_folder_only_when_forced(run, tmp_path):
    (tmp_path / ".monai-boundary-demo").touch()
    assert_fails(run("demo", "-o", tmp_path), "got an earlier demo", "--force")


def test_the_demo_refuses_a_file_as_folder(run, tmp_path):
    (tmp_path / "file").touch()
    assert_fails(run("demo", "-o", tmp_path / "file"), "must be a folder, got a file")


def test_the_demo_without_nnunet_says_how_to_install_it(run, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda _name, **_options: None)
    assert_fails(
        run("demo", "-o", tmp_path / "demo"), "nnUNetv2_plan_and_preprocess", "pip install 'monai-boundary[nnunet]'"
    )
    assert not (tmp_path / "demo").exists()
