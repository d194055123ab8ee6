"""Read stored maps: the part that is asked for, once it is sure that it is the right one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from monai_boundary._files import file_digest
from monai_boundary.map_store.blosc import ENDING, open_map, require_blosc2
from monai_boundary.map_store.manifest import RECIPE, MapRecord, read_manifest

__all__ = ["MapStore"]

_AGAIN = "run monai-boundary precompute-maps again: it makes that map anew"


class MapStore:
    """A folder that ``monai-boundary precompute-maps`` wrote.

    Holds no open files, so it can be handed to worker processes. The checksum of a map is compared when a process
    reads the first time from it.

    Args:
        folder: The folder.

    Raises:
        ImportError: Blosc2 is not installed.
        ValueError: `folder` has no manifest, or a damaged one.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        require_blosc2()
        self.folder = Path(folder)
        manifest = read_manifest(self.folder)
        if manifest is None:
            raise ValueError(
                f"maps must be a folder that monai-boundary precompute-maps wrote, got {folder} without manifest.json"
            )
        self.settings, self.records = manifest
        self._checked: set[tuple[str, str]] = set()
        self._by_file = {record.source.file: case for case, record in self.records.items()}

    def require(self, **wanted: Any) -> None:
        """Compare settings given by name, of `MapSettings` and `DistanceMapOptions`, with those of the maps.

        Raises:
            ValueError: They differ.
        """
        differences = self.settings.differences(**wanted)
        if differences:
            raise ValueError(
                f"maps in {self.folder} must fit the request, got maps with {'; '.join(differences)}; ask for what is "
                "stored, or precompute into another folder with the settings you want"
            )

    def record(self, case: str) -> MapRecord:
        """Return what the manifest says of a case.

        Raises:
            ValueError: It has no map.
        """
        if case not in self.records:
            raise ValueError(
                f"{self.folder} must hold a map of case {case!r}, got {len(self.records)} maps without it; run "
                "monai-boundary precompute-maps for it"
            )
        return self.records[case]

    def case_of(self, file: str | os.PathLike[str]) -> str:
        """Return the case that was made from a label file, by its path or, where that is unique, by its name.

        Raises:
            ValueError: None, or several.
        """
        path = Path(file)
        case = self._by_file.get(path.resolve().as_posix())
        if case is not None:
            return case
        cases = [case for known, case in self._by_file.items() if Path(known).name == path.name]
        if len(cases) != 1:
            raise ValueError(
                f"{self.folder} must hold one map made from {file}, got {len(cases)} by its name; give the name of the "
                "case in the data under case_key"
            )
        return cases[0]

    def check_source(self, case: str, file: str | os.PathLike[str]) -> None:
        """Compare a label file with the one that the map was made from, once per process.

        Raises:
            ValueError: It has changed since.
        """
        key, source = (case, str(file)), self.record(case).source
        if key in self._checked:
            return
        if not source.same_as(Path(file)):
            raise ValueError(
                f"the map of case {case!r} must be that of its labels, got {file} changed since "
                f"{self.record(case).written}; {_AGAIN}"
            )
        self._checked.add(key)

    def check_file(self, case: str) -> None:
        """Compare the map's file with its checksum.

        Raises:
            ValueError: It is missing, cut off or altered, or of a version of the package that makes other maps.
        """
        record, path = self.record(case), self.path(case)
        if record.recipe != RECIPE:
            raise ValueError(
                f"{path} must be made by recipe {RECIPE}, got recipe {record.recipe} of monai-boundary "
                f"{record.version}, whose maps differ; {_AGAIN}"
            )
        if not path.is_file():
            raise ValueError(f"{path} must be there according to the manifest, got none; {_AGAIN}")
        size = path.stat().st_size
        if size != record.size:
            raise ValueError(f"{path} must have {record.size} bytes, got {size}: cut off or replaced; {_AGAIN}")
        if file_digest(path) != record.sha256:
            raise ValueError(f"{path} does not match its checksum: it was altered; {_AGAIN}")

    def path(self, case: str) -> Path:
        """Return the file of a case."""
        return self.folder / f"{case}{ENDING}"

    def read(self, case: str, start: Sequence[int] | None = None, shape: Sequence[int] | None = None) -> np.ndarray:
        """Return a part of a map, `(C, *shape)`; what lies beyond the volume repeats its border.

        Args:
            case: Its name.
            start: First voxel of each spatial axis, which may lie outside; ``None``: 0.
            shape: Extent; ``None``: up to the end of the volume.

        Raises:
            ValueError: There is no such map, or its file is damaged.
        """
        whole = self.record(case).shape[1:]
        start = tuple(start) if start is not None else (0,) * len(whole)
        shape = tuple(shape) if shape is not None else tuple(n - s for n, s in zip(whole, start, strict=True))
        if len(start) != len(whole) or len(shape) != len(whole) or min(shape) < 1:
            raise ValueError(
                f"start and shape must be one integer per axis of {whole}, shape >= 1, got {start} and {shape}"
            )
        if (case, "") not in self._checked:
            self.check_file(case)
            self._checked.add((case, ""))
        slices, padding = [slice(None)], [(0, 0)]
        for first, count, size in zip(start, shape, whole, strict=True):
            low, high = min(max(first, 0), size - 1), max(min(first + count, size), 1)
            before = min(max(low - first, 0), count - (high - low))
            slices.append(slice(low, high))
            padding.append((before, count - (high - low) - before))
        block = open_map(self.path(case))[tuple(slices)]
        return np.pad(block, padding, mode="edge") if any(map(any, padding)) else block
