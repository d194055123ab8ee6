"""The files of a downloaded data set, without what does not belong to it."""

from __future__ import annotations

import os
from pathlib import Path

from monai_boundary.datasets.nifti import NIFTI_ENDINGS

__all__ = ["Tree"]


class Tree:
    """NIfTI files below a folder.

    Left out are hidden files, and ``__MACOSX``, the shadow that macOS puts into zip files. Folders that are links are
    not followed.

    Args:
        root: The folder.

    Attributes:
        files: Every NIfTI file, sorted.
        links: Folders that are links.

    Raises:
        ValueError: `root` is no folder.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        if not Path(root).is_dir():
            raise ValueError(f"source must be the unpacked folder of the challenge, got {root}; unpack its zip first")
        self.root = Path(root).resolve()
        self.files: list[Path] = []
        self.links: list[Path] = []
        for folder, names, files in os.walk(self.root):
            names[:] = sorted(name for name in names if name != "__MACOSX" and not name.startswith("."))
            self.links += [Path(folder) / name for name in names if (Path(folder) / name).is_symlink()]
            self.files += [
                Path(folder) / name for name in files if name.endswith(NIFTI_ENDINGS) and not name.startswith(".")
            ]
        self.files.sort()
        self._known = set(self.files)

    def parts(self, path: Path) -> tuple[str, ...]:
        """Return the folders from the root's own name down to a file or folder."""
        return (self.root.name, *path.relative_to(self.root).parts)

    def leaves(self, path: Path) -> bool:
        """Whether a file is a link that leads out of the tree."""
        return not path.resolve().is_relative_to(self.root)

    def pick(self, folder: Path, name: str, problems: list[str]) -> Path | None:
        """Return the file `folder`/`name` with either ending; note in `problems` when there is none, or two."""
        found = [folder / f"{name}{ending}" for ending in NIFTI_ENDINGS if folder / f"{name}{ending}" in self._known]
        return self.only(found, f"{folder.name}/{name}", problems)

    def only(self, found: list[Path], what: str, problems: list[str]) -> Path | None:
        """Return the one file of `found`; note in `problems` when there are none or several."""
        if len(found) != 1:
            problems.append(f"{what} is missing" if not found else f"{what} is there {len(found)} times")
            return None
        if self.leaves(found[0]):
            problems.append(f"{what} is a link that leads out of the source folder")
            return None
        return found[0]
