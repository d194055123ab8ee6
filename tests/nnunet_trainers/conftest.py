"""nnU-Net's three folders, with tiny preprocessed data sets in them."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

#: Read by nnU-Net when it is imported (nnUNet_def_n_proc) or used; 0 loader processes keep everything in this one.
SETTINGS = {"nnUNet_n_proc_DA": "0", "nnUNet_def_n_proc": "1", "nnUNet_compile": "f"}
for name, value in SETTINGS.items():
    os.environ.setdefault(name, value)


@pytest.fixture(scope="session")
def nnunet_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with raw, preprocessed and results, which the environment names; four data sets."""
    from tests.nnunet_trainers.datasets import KINDS, write_dataset

    root = tmp_path_factory.mktemp("nnunet")
    folders = {name: root / name for name in ("raw", "preprocessed", "results")}
    for folder in folders.values():
        folder.mkdir()
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        for name, folder in folders.items():
            patch.setenv(f"nnUNet_{name}", str(folder))
        for name, value in SETTINGS.items():
            patch.setenv(name, value)
        for kind in KINDS.values():
            write_dataset(kind, folders["raw"], folders["preprocessed"])
        yield root


@pytest.fixture(autouse=True)
def results(nnunet_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty results folder of one test, named by nnUNet_results."""
    monkeypatch.setenv("nnUNet_results", str(tmp_path))
    return tmp_path


@pytest.fixture
def pictures() -> None:
    """Ask for the pictures of each epoch, which cost more than a tiny epoch itself and are not drawn otherwise."""


@pytest.fixture(autouse=True)
def _no_pictures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "pictures" not in request.fixturenames:
        monkeypatch.setattr("nnunet_trainers.mixin.plot_boundary_log", lambda *_: None)
        monkeypatch.setattr("nnunetv2.training.logging.nnunet_logger.LocalLogger.plot_progress_png", lambda *_: None)
