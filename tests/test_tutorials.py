"""Every tutorial runs from top to bottom in its shortest form, and is committed with outputs."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NAMES = ("distance_maps", "monai_training", "nnunet_training", "remote_sensing", "electron_microscopy", "lesions")
TUTORIALS = sorted((Path(__file__).resolve().parents[1] / "tutorials").glob("*.ipynb"))


def code_cells(notebook: nbformat.NotebookNode) -> list:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.mark.cli
@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_tutorial_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONAI_BOUNDARY_SMOKE", "1")
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert all(cell.execution_count for cell in code_cells(notebook))


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_tutorial_is_committed_with_the_outputs_of_a_full_run(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    text = path.read_text(encoding="utf-8")
    assert [cell.execution_count for cell in code_cells(notebook)] == list(range(1, len(code_cells(notebook)) + 1))
    assert any("image/png" in output.get("data", {}) for cell in code_cells(notebook) for output in cell.outputs)
    assert "monai-boundary 0." in text  # the versions it was made with
    assert "smoke run" not in text.replace('"smoke run\\" if', "").replace('\\"smoke run\\"', "")
    assert not [cell for cell in code_cells(notebook) for output in cell.outputs if output.output_type == "error"]


def test_there_are_tutorials() -> None:
    names = {f"0{number}_{name}" for number, name in enumerate(NAMES, 1)}
    assert names <= {path.stem for path in TUTORIALS}
