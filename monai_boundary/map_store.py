"""Distance maps of whole volumes on disk: one file per case, of which a patch is read without the rest.

A file is a Blosc2 array `(C, *S)`, then a line of JSON that says what it is, then that line's SHA-256. Any reader of
Blosc2 opens it as an array. Blocks of 32^3 voxels are compressed on their own. The line names the SHA-256 of the array:
every bit of the file is covered, and what a map is can be read without the map. Both come and go in one rename; there
is no index to keep up to date. Maps are made by ``precompute`` and read by `PrecomputedDistanceMapd`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from monai_boundary._checksums import file_digest
from monai_boundary._options import check_options

__all__ = ["ENDING", "MapRecord", "MapStore", "encode_map", "read_record", "read_records", "require_blosc2",
           "require_settings"]  # fmt: skip

ENDING = ".b2nd"
BLOCK, CHUNK = 32, 64
#: Goes up when the same labels and settings give other maps, or other files, than before. Versions of the package that
#: share it may read and continue each other's folders.
RECIPE = 2
_AGAIN = "run monai-boundary precompute-maps again: it recomputes that map"
_DIGEST, _TAIL = 64, 1 << 16  # bytes: a checksum in hexadecimal digits, and more than any description


@dataclass(frozen=True)
class MapRecord:
    """What a map is."""

    settings: dict[str, Any]  # fields of MapSettings and DistanceMapOptions, in one flat dictionary
    shape: list[int]  # (C, *S)
    spacing: list[float]  # mm, one per spatial axis
    affine: list[list[float]]  # from voxel indices to mm in RAS
    source: str  # path of the label file that it was made from
    source_sha256: str
    sha256: str = ""  # of the array; set by encode_map
    recipe: int = RECIPE
    version: str = dataclasses.field(default_factory=lambda: version("monai-boundary"))  # told; the recipe must agree


def require_blosc2() -> Any:
    """Return the module blosc2, or raise an ImportError that names the extra."""
    try:
        import blosc2
    except ImportError:
        raise ImportError("precomputed maps need blosc2, got none; pip install 'monai-boundary[maps]'") from None
    return blosc2


def encode_map(maps: np.ndarray, record: MapRecord) -> bytes:
    """Return the file of `maps`, `(C, *S)` in C order; the same maps give the same bytes."""
    blosc2 = require_blosc2()
    chunks, blocks = ((1, *(min(edge, size) for size in maps.shape[1:])) for edge in (CHUNK, BLOCK))
    settings = {"codec": blosc2.Codec.LZ4HC, "clevel": 5, "filters": [blosc2.Filter.SHUFFLE], "nthreads": 1}
    array: bytes = blosc2.asarray(maps, chunks=chunks, blocks=blocks, cparams=settings).to_cframe()
    record = dataclasses.replace(record, sha256=hashlib.sha256(array).hexdigest())
    line = json.dumps(dataclasses.asdict(record)).encode()
    return array + b"\n" + line + hashlib.sha256(line).hexdigest().encode()


def read_record(path: Path, check_array: bool = False) -> MapRecord:
    """Return what the map in a file is; a ValueError if it is cut off, altered (on request), or of another recipe."""
    with path.open("rb") as stream:
        if not check_array:
            stream.seek(max(path.stat().st_size - _TAIL, 0))
        array, _, rest = stream.read().rpartition(b"\n")
    line, digest = rest[:-_DIGEST], rest[-_DIGEST:]
    if hashlib.sha256(line).hexdigest().encode() != digest:
        raise ValueError(f"{path} must end with the description of its map, got it cut off or altered; {_AGAIN}")
    fields = json.loads(line)
    if fields["recipe"] != RECIPE:
        made = f"recipe {fields['recipe']} of monai-boundary {fields['version']}"
        raise ValueError(f"{path} must be made by recipe {RECIPE}, got {made}, whose maps differ; {_AGAIN}")
    if check_array and hashlib.sha256(array).hexdigest() != fields["sha256"]:
        raise ValueError(f"{path} must match its checksum, got an altered map; {_AGAIN}")
    return MapRecord(**fields)


def read_records(folder: Path) -> dict[str, MapRecord]:
    """Return what the maps in a folder are, by case; damaged ones are left out."""
    found: dict[str, MapRecord] = {}
    for path in sorted(folder.glob(f"[!.]*{ENDING}")):
        with contextlib.suppress(ValueError, FileNotFoundError):  # told to whoever asks for it; removed since
            found[path.name.removesuffix(ENDING)] = read_record(path)
    return found


def require_settings(path: Path, record: MapRecord, wanted: Mapping[str, Any]) -> None:
    """Compare the map in `path` with wanted settings: raise a ValueError where they differ, TypeError if unknown."""
    stored = record.settings
    check_options("the maps", wanted, stored)
    differences = [f"{key}={stored[key]!r}, not {value!r}" for key, value in wanted.items() if stored[key] != value]
    if differences:
        raise ValueError(
            f"maps must fit the request, got {path} with {'; '.join(differences)}; ask for what is stored, or "
            "precompute into another folder with the settings you want"
        )


class MapStore:
    """The maps that ``monai-boundary precompute-maps`` wrote to a folder, one file per case.

    Holds no open files, so it can be handed to worker processes. A process compares the checksum of a map when it reads
    from it for the first time.

    Args:
        folder: The folder.
        **wanted: Settings that the maps must have: fields of `MapSettings` and of `DistanceMapOptions`.

    Raises:
        TypeError: There is no such setting.
        ValueError: There are no maps, or not all have the same and the wanted settings.
    """

    def __init__(self, folder: str | os.PathLike[str], **wanted: Any) -> None:
        require_blosc2()
        self.folder = Path(folder)
        self.records = read_records(self.folder)
        if not self.records:
            raise ValueError(
                f"maps must be a folder that monai-boundary precompute-maps wrote, got {folder} without intact maps "
                f"of recipe {RECIPE}"
            )
        self.settings = next(iter(self.records.values())).settings
        for case, record in self.records.items():
            require_settings(self._path(case), record, {**self.settings, **wanted})
        self._intact: set[str] = set()
        self._same: set[tuple[str, str]] = set()

    def record(self, case: str) -> MapRecord:
        """Return what the map of a case is; a ValueError says why there is none."""
        path = self._path(case)
        if Path(case).name != case or not path.is_file():
            raise ValueError(
                f"{self.folder} must hold a map of case {case!r}, got none; run monai-boundary precompute-maps for it"
            )
        if case not in self._intact:  # read anew: another run may have recomputed it since
            self.records[case] = read_record(path, check_array=True)
            require_settings(path, self.records[case], self.settings)
            self._intact.add(case)
        return self.records[case]

    def case_of(self, file: str) -> str:
        """Return the case made from a label file, by its path or its name; a ValueError if none or several."""
        path, sources = Path(file), {case: Path(record.source) for case, record in self.records.items()}
        cases = [case for case, source in sources.items() if source == path.resolve()]
        cases = cases or [case for case, source in sources.items() if source.name == path.name]
        if len(cases) != 1:
            raise ValueError(
                f"{self.folder} must hold one map made from {file}, got {len(cases)}; run monai-boundary "
                "precompute-maps for it, or give the name of the case in the data under case_key"
            )
        return cases[0]

    def check_source(self, case: str, file: str) -> None:
        """Compare a label file or its copy with the one of the map, once per process; a ValueError if it changed."""
        if (case, file) not in self._same and file_digest(file) != self.record(case).source_sha256:
            raise ValueError(
                f"the map of case {case!r} must be that of its labels, got {file}, another file or "
                "changed since; correct case_key, or run monai-boundary precompute-maps again: it recomputes that map"
            )
        self._same.add((case, file))

    def read(self, case: str, start: Sequence[int], shape: Sequence[int]) -> np.ndarray:
        """Return the part `(C, *shape)` of a map from voxel `start` on; beyond the volume its border repeats."""
        slices, padding, whole = [slice(None)], [(0, 0)], self.record(case).shape[1:]
        for first, count, size in zip(start, shape, whole, strict=True):
            low, high = max(first, 0), min(first + count, size)
            if low >= high:
                raise ValueError(
                    f"labels of case {case!r} must overlap their volume of {tuple(whole)} voxels, got {tuple(shape)} "
                    f"voxels from {tuple(start)} on, wholly outside; pad less, or check the affine and the case"
                )
            slices.append(slice(low, high))
            padding.append((low - first, first + count - high))
        mapped = {} if os.name == "nt" else {"mmap_mode": "r"}  # a memory map does not work on Windows
        array = require_blosc2().open(str(self._path(case)), mode="r", dparams={"nthreads": 1}, **mapped)
        block: np.ndarray = array[tuple(slices)]
        return np.pad(block, padding, mode="edge") if any(map(any, padding)) else block

    def _path(self, case: str) -> Path:
        return self.folder / f"{case}{ENDING}"
