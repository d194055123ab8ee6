"""Make the map of one case."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from monai_boundary._checksums import file_digest
from monai_boundary._files import write_bytes
from monai_boundary._geometry import affine_spacing
from monai_boundary.datasets.checks import check_readable
from monai_boundary.datasets.nifti import load_nifti
from monai_boundary.kernels.distance import DistanceMapOptions, labels_distance_map
from monai_boundary.map_store import MapRecord, encode_map

__all__ = ["Job", "MapSettings"]


@dataclass(frozen=True)
class MapSettings:
    """How the maps of a data set are made; see `SignedDistanceMap` for the fields."""

    options: DistanceMapOptions
    num_classes: int
    include_background: bool = False
    ignore_index: int | None = None

    @property
    def dtype(self) -> str:
        """``"float16"`` where the options bound the values so that they fit, else ``"float32"``."""
        return "float16" if self.options.bounded else "float32"

    def content(self) -> dict[str, Any]:
        """Return all of it in one flat dictionary for JSON."""
        flat = dataclasses.asdict(self)
        return {"dtype": self.dtype, **flat.pop("options"), **flat}


@dataclass(frozen=True)
class Job:
    """One case to be done: its name, its label file, the file of its map, and the settings."""

    case: str
    labels: Path
    path: Path
    settings: MapSettings

    def run(self) -> None:
        """Make the map and put it in its place, in one step over an earlier one."""
        check_readable(self.labels)
        # taken first: should the file change while it is read, the map counts as one of the file before
        source = file_digest(self.labels)
        array, affine = load_nifti(self.labels)
        if array.min() >= 0 and array.max() <= 255 and ((small := array.astype(np.uint8)) == array).all():
            array = small  # a quarter of the memory
        given, spacing = self.settings, affine_spacing(affine, 3)
        maps = labels_distance_map(
            array[None], given.num_classes, spacing, given.options, given.include_background, given.ignore_index
        ).astype(given.dtype, order="C")
        geometry = list(maps.shape), list(spacing), affine.tolist()
        record = MapRecord(given.content(), *geometry, str(self.labels.resolve()), source)
        write_bytes(self.path, encode_map(maps, record))
