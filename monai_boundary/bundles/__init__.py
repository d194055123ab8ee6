"""MONAI bundles that run from JSON alone, shipped inside the package, and the few functions that their JSON needs.

A bundle is a folder with ``configs`` and ``docs``. What JSON cannot express is here: `ranks` for all bundles,
`checkpoints` for weights and thresholds, `aerial` for buildings_boundary_f1, and `em_items`, `em_prediction`,
`em_scores` for em_boundary_aware. Networks, losses, transforms and readers come from MONAI and the rest of the package.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from monai_boundary._files import copy_file

__all__ = ["bundle_folder", "copy_bundle", "list_bundles"]

_ROOT = Path(__file__).parent


def list_bundles() -> dict[str, str]:
    """Return the bundles by name, with their one-line descriptions."""
    return {
        path.parents[1].name: json.loads(path.read_text(encoding="utf-8"))["description"]
        for path in sorted(_ROOT.glob("*/configs/metadata.json"))
    }


def bundle_folder(name: str) -> Path:
    """Return the folder of a bundle inside the installed package.

    Raises:
        ValueError: There is no bundle of this name.
    """
    names = list_bundles()
    if name not in names:
        raise ValueError(f"name must be one of {', '.join(names)}, got {name!r}")
    return _ROOT / name


def copy_bundle(name: str, target: str | os.PathLike[str], overwrite: bool = False) -> Path:
    """Copy a bundle to `target`/`name`, where its configuration can be edited, and return that folder.

    Args:
        name: Of the bundle.
        target: Folder to copy into; made where it does not exist.
        overwrite: Replace the files of an earlier copy; other files in the folder stay.

    Raises:
        ValueError: There is no bundle of this name.
        FileExistsError: The folder exists and `overwrite` is not set.
    """
    source, folder = bundle_folder(name), Path(target) / name
    if folder.exists() and not overwrite:
        raise FileExistsError(
            f"{folder} must not exist, got a folder; pass --force to replace the bundle's files in it"
        )
    ignored = shutil.ignore_patterns("__pycache__")
    return Path(shutil.copytree(source, folder, dirs_exist_ok=True, ignore=ignored, copy_function=copy_file))
