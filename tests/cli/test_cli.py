"""The group of commands, `nnunet-path`, and the demo up to the first nnU-Net command."""

import subprocess
import sys
from pathlib import Path

import pytest

import monai_boundary
import nnunet_trainers
from tests.cli.calling import assert_fails

COMMANDS = (
    "demo", "nnunet-path", "inspect", "export-checkpoint", "bundle", "convert", "evaluate", "compare",
    "precompute-maps", "advise", "consensus", "rasterize",
)  # fmt: skip


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


def test_nnunet_path_prints_the_discovery_folder_and_nothing_else(run):
    result = run("nnunet-path")
    assert result.exit_code == 0
    assert result.stdout == f"{Path(nnunet_trainers.__file__).parent / 'discovery'}\n"
    assert list(Path(result.stdout.strip()).glob("*.py"))


def test_the_demo_leaves_what_is_not_its_own_alone(run, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    for options in ([], ["--force"]):
        assert_fails(run("demo", "-o", tmp_path, *options), tmp_path, "must be empty, got other files")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    assert_fails(run("demo", "-o", tmp_path / "thesis.tex"), "must be a folder, got a file")
    (tmp_path / ".monai-boundary-demo").touch()  # one of its own it repeats only when forced
    assert_fails(run("demo", "-o", tmp_path), "got an earlier demo", "--force")


def test_the_demo_without_nnunet_says_how_to_install_it(run, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda _name, **_options: None)
    assert_fails(
        run("demo", "-o", tmp_path / "demo"), "nnUNetv2_plan_and_preprocess", "pip install 'monai-boundary[nnunet]'"
    )
    assert not (tmp_path / "demo").exists()
