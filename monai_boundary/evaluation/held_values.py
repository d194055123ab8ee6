"""The values that the files of two folders hold, and the refusal of folders that have none in common."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path

import numpy as np

from monai_boundary.evaluation.matching import read_pair

__all__ = ["check_classes", "check_shared", "held_values", "listed"]

_MOST_CLASSES = 256

Pair = tuple[set[int], set[int]]


def held_values(files: Iterable[tuple[Path, Path]]) -> Pair:
    """Return the values of all first files of the pairs, and those of all second ones."""
    held: Pair = set(), set()
    for pair in files:
        _add(held, pair)
    return held


def check_shared(files: Iterable[tuple[Path, Path]], names: tuple[str, str]) -> None:
    """Refuse folders of which each holds classes, and none that the other has: 255 for 1, in every file.

    No more files are read than it takes to find one class on both sides.

    Args:
        files: Pairs of label maps.
        names: What the error calls the two folders.

    Raises:
        ValueError: No class is in both.
    """
    held: Pair = set(), set()
    for pair in files:
        _add(held, pair)
        if (held[0] & held[1]) - {0}:
            return
    first, second = (values - {0} for values in held)
    if first and second:
        raise ValueError(
            f"{names[0]} and {names[1]} must hold the same classes, got {listed(first)} alone in {names[0]} and "
            f"{listed(second)} alone in {names[1]}; change the values of the files of one"
        )


def check_classes(values: Collection[int]) -> None:
    """Raise ``ValueError`` where values are too many to be classes: those of objects, each with a number of its own."""
    if len(values) > _MOST_CLASSES or max(values, default=0) > np.iinfo(np.uint16).max:
        raise ValueError(
            f"labels must be classes, at most {_MOST_CLASSES}, got {len(values)} values up to {max(values)}; give all "
            "objects of a kind one value"
        )


def listed(values: Iterable[int]) -> str:
    """Name some values, in order."""
    shown = sorted(values)
    return ", ".join(map(str, shown[:5])) + (" and more" if len(shown) > 5 else "")


def _add(held: Pair, pair: tuple[Path, Path]) -> None:
    """Add the values of two files, if they can be read: else the reason is reported when the case is scored."""
    with suppress(ValueError, OSError, MemoryError):
        for known, volume in zip(held, read_pair(*pair), strict=True):
            known.update(np.unique(volume.array).tolist())
