"""Make and write the map of one case."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from monai_boundary._files import part_pattern, replacing
from monai_boundary.kernels.distance import Backend
from monai_boundary.map_store.blosc import ENDING, encode_map
from monai_boundary.map_store.manifest import MapRecord, SourceFile
from monai_boundary.map_store.settings import MapSettings
from monai_boundary.precompute.sources import LabelFile

__all__ = ["Job", "disk_is_full", "make_map", "remove_parts"]

#: A file is written in one go, in seconds: one that nobody touched for so long has lost its writer.
_ABANDONED_S = 3600.0
_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Job:
    """One case to be done: its labels, the folder of the maps, their settings, and the engine that makes them."""

    labels: LabelFile
    out: Path
    settings: MapSettings
    backend: Backend = "auto"

    @property
    def path(self) -> Path:
        """The map's file."""
        return self.out / f"{self.labels.case}{ENDING}"


def make_map(job: Job) -> MapRecord:
    """Make the map of one case and put it in its place; what is there beforehand is replaced in one step.

    Raises:
        ValueError: The labels cannot be read, or do not fit the settings.
        OSError: The file cannot be written, for example on a full disk; nothing of it is left.
    """
    # taken first: should the file change while it is read, the map counts as one of the file before
    source = SourceFile.of(job.labels.path)
    volume = job.labels.read()
    maps = job.settings.maps(volume.array, volume.spacing, job.backend)
    content = encode_map(maps)
    try:
        with replacing(job.path) as part:
            part.write_bytes(content)
    except OSError as error:
        if not disk_is_full(error):
            raise
        free = shutil.disk_usage(job.out).free
        text = f"the disk is full: the map of {job.labels.case} takes {_mb(len(content))}, {_mb(free)} are free"
        raise OSError(errno.ENOSPC, text, os.fspath(job.out)) from error
    # blosc2 compresses on one thread, so the same labels give the same bytes
    return MapRecord(
        tuple(maps.shape), volume.spacing, len(content), hashlib.sha256(content).hexdigest(), source, volume.affine,
        version("monai-boundary"),
    )  # fmt: skip


def disk_is_full(error: object) -> bool:
    """Whether an error says that there is no space left."""
    return isinstance(error, OSError) and error.errno in _FULL


def remove_parts(out: Path) -> None:
    """Remove what writers that were killed left in the folder of the maps; other jobs may be writing theirs there."""
    for name in (f"*{ENDING}", "manifest*.json"):
        for part in out.glob(part_pattern(name)):
            with contextlib.suppress(FileNotFoundError):  # its writer has just put it in place
                if time.time() - part.stat().st_mtime > _ABANDONED_S:
                    part.unlink()


def _mb(size: float) -> str:
    return f"{size / 1e6:.3g} MB"
