"""The manifest of a folder of maps: settings, and for each case what was written and what it was made from.

Every job writes a part of its own; whoever reads takes all parts together, so jobs need not know each other.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_boundary._files import file_digest, write_json
from monai_boundary.map_store.settings import MapSettings

__all__ = ["MANIFEST", "ManifestPart", "MapRecord", "SourceFile", "read_manifest"]

FORMAT = 1
#: Goes up when the same labels and settings give other maps, or other files, than before. Versions of the package that
#: share it may read and continue each other's folders.
RECIPE = 1
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class SourceFile:
    """Identity of a label file.

    Args:
        file: Path.
        size: Bytes.
        mtime_ns: Time of its last change.
        sha256: Checksum.
    """

    file: str
    size: int
    mtime_ns: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> SourceFile:
        """Return the identity of the file at `path`."""
        status = path.stat()
        return cls(path.resolve().as_posix(), status.st_size, status.st_mtime_ns, file_digest(path))

    def same_as(self, path: Path) -> bool:
        """Whether the file at `path`, which may be a copy, holds the same: by size and time, else by checksum."""
        status = path.stat()
        if status.st_size != self.size:
            return False
        return status.st_mtime_ns == self.mtime_ns or file_digest(path) == self.sha256


@dataclass(frozen=True)
class MapRecord:
    """The map of one case.

    Args:
        shape: `(C, *S)`.
        spacing: Voxel size in mm, one per spatial axis.
        size: Bytes of the map's file.
        sha256: Its checksum.
        source: The label file that it was made from.
        affine: From voxel indices to mm, where the source has one.
        version: Of this package, to be told; what must agree is `recipe`.
        recipe: How maps are made and stored.
        written: Time, UTC.
    """

    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    size: int
    sha256: str
    source: SourceFile
    affine: tuple[tuple[float, ...], ...] | None
    version: str
    recipe: int = RECIPE
    written: str = dataclasses.field(
        default_factory=lambda: datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="microseconds")
    )

    @classmethod
    def from_content(cls, content: dict[str, Any]) -> MapRecord:
        """Return the record that `content` describes."""
        affine = content["affine"]
        return cls(
            **{
                "recipe": 1,  # of the first manifests, which do not name it
                **content,
                "shape": tuple(content["shape"]),
                "spacing": tuple(content["spacing"]),
                "source": SourceFile(**content["source"]),
                "affine": None if affine is None else tuple(tuple(row) for row in affine),
            }
        )


class ManifestPart:
    """The part of a manifest that one job writes, whole after every map.

    Args:
        path: Its file; what an earlier run of the job wrote there is kept.
        settings: Settings of the maps.
    """

    def __init__(self, path: Path, settings: MapSettings) -> None:
        self.path = path
        self.settings = settings
        self.records: dict[str, MapRecord] = {}
        with contextlib.suppress(FileNotFoundError):
            self.records = _read_part(path)[1]

    def add(self, case: str, record: MapRecord) -> None:
        """Note a map that is in its place."""
        self.records[case] = record
        self.write()

    def write(self) -> None:
        """Write the part."""
        cases = {case: dataclasses.asdict(self.records[case]) for case in sorted(self.records)}
        write_json(self.path, {"format": FORMAT, "settings": self.settings.content(), "cases": cases})


def read_manifest(folder: Path) -> tuple[MapSettings, dict[str, MapRecord]] | None:
    """Return settings and records of all parts in `folder`; of two records of a case the later counts.

    Returns:
        ``None`` where there is no part.

    Raises:
        ValueError: A part is no manifest, or two were made with other settings.
    """
    try:
        return _read_parts(folder)
    except FileNotFoundError:  # a run has just gathered the parts in one, which is there before the others go
        return _read_parts(folder)


def _read_parts(folder: Path) -> tuple[MapSettings, dict[str, MapRecord]] | None:
    found: dict[str, MapRecord] = {}
    first: tuple[Path, MapSettings] | None = None
    for path in part_files(folder):
        settings, records = _read_part(path)
        first = first or (path, settings)
        differences = settings.differences(**first[1].content())
        if differences:
            raise ValueError(
                f"all parts of a manifest must have the same settings, got {path} with {'; '.join(differences)} as in "
                f"{first[0].name}; keep maps of other settings in a folder of their own"
            )
        for case, record in records.items():
            if case not in found or record.written >= found[case].written:
                found[case] = record
    return None if first is None else (first[1], found)


def part_files(folder: Path) -> list[Path]:
    """Return the manifest's parts in `folder`."""
    return sorted(folder.glob("manifest*.json"))


def _read_part(path: Path) -> tuple[MapSettings, dict[str, MapRecord]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']}, this version knows {FORMAT}")
        settings = MapSettings.from_content(content["settings"])
        return settings, {case: MapRecord.from_content(record) for case, record in content["cases"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} must be a manifest as monai-boundary precompute-maps writes it, got {error!r}; remove it, and run "
            "the command again: it makes the maps that no other part names"
        ) from None
