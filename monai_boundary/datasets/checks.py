"""What all readers check: files that are there and not too large, installed libraries, names of entries."""

from __future__ import annotations

import importlib
import math
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "CHANNEL",
    "SPLITS",
    "TooLargeError",
    "UnfitError",
    "check_entries",
    "check_names",
    "check_readable",
    "check_real",
    "check_size",
    "data_files",
    "import_extra",
]

SPLITS = ("training", "validation", "test")
#: Name of a file without its ending, as nnU-Net names the channels of a case.
CHANNEL = re.compile(r"(.+)_(\d{4})")


class TooLargeError(ValueError):
    """A file whose arrays take more memory than they may."""


class UnfitError(ValueError):
    """A whole file that does not hold what is looked for; others are damaged."""


def check_readable(path: Path) -> None:
    """Raise ``FileNotFoundError`` or ``PermissionError`` when a file is not there or may not be read."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; check the path")
    if not os.access(path, os.R_OK):
        raise PermissionError(f"{path} must be readable; change its permissions")


def check_real(source: object, dtype: np.dtype) -> None:
    """Raise `UnfitError` when a file holds other than real numbers: a cast would drop what is imaginary."""
    if dtype.kind not in "biuf":
        raise UnfitError(
            f"{source} must hold real numbers, got {dtype}; save the one channel, or the part, that is meant"
        )


def check_size(source: object, size: int) -> None:
    """Raise `TooLargeError` when the arrays of a file take more than 8 GB, or than MONAI_BOUNDARY_MAX_GB says.

    A header that is damaged, or made to do harm, claims any size; the system would kill the process that believes it.
    """
    given = os.environ.get("MONAI_BOUNDARY_MAX_GB", "8")
    try:
        limit = float(given)
    except ValueError:
        limit = math.nan
    if not limit > 0:
        raise ValueError(f"MONAI_BOUNDARY_MAX_GB must be a number of GB > 0, got {given!r}; unset it for 8")
    if size > limit * 1e9:
        raise TooLargeError(
            f"{source} must take at most {limit:g} GB of memory, got {size / 1e9:.3g} GB; if it is right that large, "
            f"set the environment variable MONAI_BOUNDARY_MAX_GB to {math.ceil(size / 1e9)}"
        )


def import_extra(module: str, extra: str, what: str) -> Any:
    """Return a module that comes with an extra; ``ImportError`` says that `what` needs it and what to install."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f'{what} need {module}, which is not installed; pip install "monai-boundary[{extra}]"'
        ) from error


def data_files(folder: Path, endings: Sequence[str], below: bool = False) -> list[Path]:
    """Return the files of these endings in a folder, or also below it, sorted.

    Left out are hidden files, and the shadows that macOS adds. A link to a file that is not there is a file that cannot
    be read, and whoever opens it says so.
    """
    return sorted(
        path
        for path in folder.glob("**/*" if below else "*")
        if path.name.lower().endswith(tuple(endings))
        and (path.is_file() or (path.is_symlink() and not path.exists()))
        and not any(part.startswith(".") or part == "__MACOSX" for part in path.relative_to(folder).parts)
    )


def check_names(kind: str, names: Iterable[str], place: str = "") -> None:
    """Raise ``ValueError`` when a name cannot be that of a file here and elsewhere: results are stored under it."""
    for name in names:
        if PureWindowsPath(name).name != name or name.startswith(".") or not name.isprintable():
            raise ValueError(f"names of {kind} must be names of files, got {name!r}{place}; rename it")


def check_entries(kind: str, entries: Iterable[tuple[str, str, Path]]) -> None:
    """Raise ``ValueError`` when two entries (name, split, file) have one name, or a name or a split is none."""
    files: dict[str, Path] = {}
    for name, split, file in entries:
        check_names(kind, [name])
        if name in files:
            raise ValueError(
                f"{kind} must have names of their own, got {name} for {files[name]} and {file}; "
                "remove or rename all but one"
            )
        files[name] = file
        if split not in SPLITS:
            raise ValueError(f"split of {name} must be one of {', '.join(map(repr, SPLITS))}, got {split!r}")
