"""What joining objects across slices achieves: ``python -m benchmarks.slice_links DATA``, the table of docs/em.md.

The slices are right and only the joining is scored, as VOI in bits. Ids of FIB-SEM are thinned out to anisotropic
stacks. ISBI 2012 and larval ssTEM have no ids through the volume: their rows are phantoms, the cells of one section
that a smooth random field carries on.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813 - as everywhere
from scipy import ndimage, sparse

from monai_boundary.datasets.em import Stored
from monai_boundary.kernels.regions import connected_components, id_overlaps
from monai_boundary.kernels.slices import link_slices
from monai_boundary.metrics import instance_scores

__all__ = ["any_overlap", "carried_on", "stacks"]

THRESHOLDS = (0.3, 0.5, 0.7)


def carried_on(inside: np.ndarray, depth: int, drift: float, seed: int = 0) -> np.ndarray:
    """Ids of the cells of a slice that move by about `drift` pixels from slice to slice, and change their outlines."""
    ids, rng = connected_components(inside), np.random.default_rng(seed)
    fields = [ndimage.gaussian_filter(rng.standard_normal(ids.shape), 24) for _ in range(4)]
    a, b, c, d = (field / field.std() for field in fields)
    grid = np.indices(ids.shape).astype(float)
    steps = (
        [grid[0] + drift * (z * a + np.sin(z) * c), grid[1] + drift * (z * b + np.cos(z) * d)] for z in range(depth)
    )
    return np.stack([ndimage.map_coordinates(ids, step, order=0) for step in steps])


def stacks(data: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Give names and true ids."""
    ids = Stored(data / "fibsem_gala" / "gt.lzf.h5", "stack").read()
    for step in (2, 4, 8):
        yield f"FIB-SEM ids, every {step}th slice", ids[::step]
    for name, cells in (("isbi2012", 255), ("vnc_sstem", 0)):
        first = min((data / name / "labels").glob("*.png"))
        inside = sitk.GetArrayFromImage(sitk.ReadImage(str(first))) == cells
        for drift in (2, 4):
            yield f"{name}, {drift} pixels", carried_on(inside, 12, drift)


def any_overlap(slices: np.ndarray, share: float = 0.5) -> np.ndarray:
    """Join all objects that share so much of the smaller one; ids of `slices` differ from slice to slice."""
    sizes, pairs = np.bincount(slices.ravel()), [np.zeros((2, 0), int)]
    for one, other in pairwise(slices):
        table = id_overlaps(other, one)
        ends = np.stack([table.target, table.pred]).astype(int)
        pairs.append(ends[:, (ends[1] > 0) & (table.counts >= share * sizes[ends].min(0))])
    ends = np.concatenate(pairs, axis=1)
    graph = sparse.coo_array((np.ones(ends.shape[1], bool), ends), shape=(len(sizes),) * 2)
    found = sparse.csgraph.connected_components(graph, directed=False)[1]
    joined: np.ndarray = np.where(slices > 0, found[slices] + 1, 0)
    return joined


def main(data: str) -> None:
    """Print the table."""
    print("| objects | not joined | components in 3D | " + " | ".join(map(str, THRESHOLDS)) + " | any overlap of 0.5 |")
    for name, truth in stacks(Path(data)):
        parts = [connected_components(one).astype(np.int64) for one in truth]
        before = np.cumsum([0, *(part.max() for part in parts)])
        apart = np.stack([np.where(part > 0, part + at, 0) for part, at in zip(parts, before, strict=False)])
        found = [apart, connected_components(truth > 0), *(link_slices(apart, share) for share in THRESHOLDS)]
        scores = [instance_scores(ids, truth).voi for ids in (*found, any_overlap(apart))]
        print(f"| {name} | " + " | ".join(f"{score:.2f}" for score in scores) + " |")


if __name__ == "__main__":
    main(*sys.argv[1:])
