"""What all readers check: that a file is there, that what reads it is installed, that no two entries have one name."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

__all__ = ["SPLITS", "check_entries", "check_readable", "import_extra"]

SPLITS = ("training", "validation", "test")


def check_readable(path: Path) -> None:
    """Raise ``FileNotFoundError`` or ``PermissionError`` when a file is not there or may not be read."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; check the path")
    if not os.access(path, os.R_OK):
        raise PermissionError(f"{path} must be readable; change its permissions")


def import_extra(module: str, extra: str, what: str) -> Any:
    """Return a module that comes with an extra; ``ImportError`` says that `what` needs it and what to install."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f'{what} need {module}, which is not installed; pip install "monai-boundary[{extra}]"'
        ) from error


def check_entries(kind: str, entries: Iterable[tuple[str, str, Path]]) -> None:
    """Raise ``ValueError`` when two entries (name, split, file) of a list have one name, or a split is unknown."""
    files: dict[str, Path] = {}
    for name, split, file in entries:
        if name in files:
            raise ValueError(
                f"{kind} must have names of their own, got {name} for {files[name]} and {file}; "
                "remove or rename all but one"
            )
        files[name] = file
        if split not in SPLITS:
            raise ValueError(f"split of {name} must be one of {', '.join(map(repr, SPLITS))}, got {split!r}")
