"""Maps of whole volumes on disk: what a volume costs once, and what a patch costs then."""

from __future__ import annotations

import functools
import json
import shutil
import tempfile
import weakref
from pathlib import Path

import numpy as np

from benchmarks.case import Against, Calls, Case
from benchmarks.phantoms import hard_mask
from monai_boundary.kernels.distance import ROBUST, labels_distance_map

__all__ = ["CASES"]

SPACING = (1.0, 0.5, 0.5)


def volume(shape: tuple[int, ...], edge: int) -> Calls:
    """One label file with lesions, its map file, and patches at random places.

    A patch is read from the map file, or its map is computed from its labels, which are in memory.
    """
    from monai_boundary.datasets.nifti import write_volume
    from monai_boundary.map_store import MapStore
    from monai_boundary.precompute import precompute_maps

    folder = Path(tempfile.mkdtemp())
    labels = hard_mask("lesions", shape).astype(np.uint8)[None]
    write_volume(folder / "case.nii.gz", labels[0], SPACING)
    entry = {"case": "case", "image": ["case.nii.gz"], "label": "case.nii.gz"}
    (folder / "datalist.json").write_text(json.dumps({"training": [entry]}))

    def store(out: Path) -> None:
        precompute_maps(folder, out, num_classes=2, options=ROBUST, progress=False)

    def anew() -> None:
        store(Path(tempfile.mkdtemp(dir=folder)))

    rng = np.random.default_rng(0)
    places = [tuple(int(rng.integers(0, size - edge + 1)) for size in shape) for _ in range(8)]
    parts = [labels[(slice(None), *(slice(s, s + edge) for s in start))].copy() for start in places]
    make = functools.partial(
        labels_distance_map, num_classes=2, spacing=SPACING, options=ROBUST, include_background=False
    )
    store(folder / "maps")
    maps = MapStore(folder / "maps")
    calls = {
        "read a patch": lambda: [
            maps.read("case", start[::-1], (edge,) * 3) for start in places
        ],  # x comes first there
        "compute its map": lambda: [make(part) for part in parts],
        "label file to map file": anew,
        "map alone": lambda: make(labels),
    }
    weakref.finalize(anew, shutil.rmtree, folder)
    return Calls(calls, scale=dict.fromkeys(("read a patch", "compute its map"), 1 / len(places)))


CASES = [
    Case("stored_maps", "stored", "50 M voxels, patches of 128^3, robust", volume, ((192, 512, 512), 128),
         ((24, 40, 40), 16), (Against("compute its map", 1.0, ours="read a patch"),
                              Against("map alone", ours="label file to map file", cost=True)), ("blosc2",), rounds=3),
]  # fmt: skip
