"""Every tutorial runs from top to bottom in its shortest form, and is committed with outputs."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell
from nbclient import NotebookClient

NAMES = ("distance_maps", "monai_training", "nnunet_training", "remote_sensing", "electron_microscopy", "lesions")
ROOT = Path(__file__).resolve().parents[1]
TUTORIALS = sorted((ROOT / "tutorials").glob("*.ipynb"))
#: The extra of pyproject.toml that brings a module.
EXTRAS = {"ignite": "bundle", "nnunet_trainers": "nnunet", "rasterio": "remote", "h5py": "em", "matplotlib": "report"}
EXTRAS |= {"monai_boundary.reports": "report"}


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def code_cells(notebook: nbformat.NotebookNode) -> list:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.mark.cli
@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_tutorial_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONAI_BOUNDARY_SMOKE", "1")
    notebook = read(path)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert all(cell.execution_count for cell in code_cells(notebook))


def installs(path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The commands that IPython hands to the system when it runs the first cell of a notebook."""
    shell, commands = InteractiveShell(), []
    monkeypatch.setattr(shell, "system", commands.append)
    shell.run_cell(code_cells(read(path))[0].source).raise_error()
    return commands


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_the_first_cell_leaves_an_installed_package_alone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert installs(path, monkeypatch) == []


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_the_first_cell_installs_a_missing_package_with_the_extras_that_the_notebook_imports(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: find(name) if name != "monai_boundary" else None)
    text = "\n".join(cell.source for cell in code_cells(read(path)))
    modules = re.findall(r"^ *(?:from|import) ([\w.]+)", text, re.MULTILINE)
    extras = {EXTRAS[name] for module in modules for name in (module, module.partition(".")[0]) if name in EXTRAS}
    monkeypatch.chdir(tmp_path)  # away from a checkout
    (elsewhere,) = installs(path, monkeypatch)
    assert f"monai-boundary[{','.join(sorted(extras))}]" in elsewhere
    monkeypatch.chdir(path.parent)
    (beside,) = installs(path, monkeypatch)
    assert f"{ROOT}[{','.join(sorted(extras))}]" in beside


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_tutorial_is_committed_with_the_outputs_of_a_full_run(path: Path) -> None:
    notebook = read(path)
    text = path.read_text(encoding="utf-8")
    assert [cell.execution_count for cell in code_cells(notebook)] == list(range(1, len(code_cells(notebook)) + 1))
    assert any("image/png" in output.get("data", {}) for cell in code_cells(notebook) for output in cell.outputs)
    assert "monai-boundary 0." in text  # the versions it was made with
    assert "smoke run" not in text.replace('"smoke run\\" if', "").replace('\\"smoke run\\"', "")
    assert not [cell for cell in code_cells(notebook) for output in cell.outputs if output.output_type == "error"]


def test_there_are_tutorials() -> None:
    names = {f"0{number}_{name}" for number, name in enumerate(NAMES, 1)}
    assert names <= {path.stem for path in TUTORIALS}
