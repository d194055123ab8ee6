"""Membranes in FIB-SEM, in 3D: one of four columns of a volume is reported, the others train."""

from __future__ import annotations

from functools import cache
from itertools import product
from pathlib import Path

import numpy as np

from experiments.evidence.cases import Case, Split, standardised
from monai_boundary.datasets.em import EmVolume, EmVolumes, Stored

#: Columns of the volume: behind or before along y and x.
COLUMNS = ("00", "01", "10", "11")
#: Where the blocks start along z, y and x, and their shape; 6 and 10 voxels between blocks belong to none.
STARTS, SHAPE = ((0, 78), (0, 130), (0, 130)), (72, 120, 120)
VOXEL = 10.0
#: Voxels at most this far from another cell, in nm, are membrane: thinner ones leak wherever half a voxel is wrong.
WIDTH = 20.0


@cache
def fibsem_cases(data: Path) -> tuple[Case, ...]:
    """Read the eight blocks of the volume, two in each column."""
    folder = data / "fibsem_medulla250"
    image, labels = Stored(folder / "images" / "image.h5", "stack"), Stored(folder / "labels" / "gt.h5", "stack")
    volume = EmVolume("medulla", image, labels, "ids", (VOXEL,) * 3, membrane_width=WIDTH)
    item = EmVolumes([volume], per_slice=False)[0]
    grey = standardised(1 + item["image"])
    cases = []
    for numbers in product((0, 1), repeat=3):
        corner = [starts[number] for starts, number in zip(STARTS, numbers, strict=True)]
        block = (slice(None), *(slice(first, first + side) for first, side in zip(corner, SHAPE, strict=True)))
        name = "z{} y{} x{}".format(*corner)
        cases.append(Case(name, name, grey[block][None], np.ascontiguousarray(item["membrane"][block])))
    return tuple(cases)


def fibsem_split(data: Path, column: str) -> Split:
    """Report both blocks of a column; the upper block of the one across validates, and the others train."""
    cases, test = fibsem_cases(data), COLUMNS.index(column)
    across = len(COLUMNS) - 1 - test
    train = [case for number, case in enumerate(cases) if number % len(COLUMNS) != test and number != across]
    return Split(train, [cases[across]], list(cases[test :: len(COLUMNS)]))
