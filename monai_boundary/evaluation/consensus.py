"""Keep the lesions of one label map that another confirms, or all that either holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monai_boundary._check import check_fraction, check_ids, check_number, check_same_shape, check_spacing
from monai_boundary.kernels.distance import bounding_box, distance_transform
from monai_boundary.kernels.regions import connected_components
from monai_boundary.metrics.lesion_pairs import pair_lesions

__all__ = ["ClassConsensus", "ConsensusRule", "consensus"]


@dataclass(frozen=True)
class ConsensusRule:
    """When a lesion, a connected component of a class, is confirmed by another label map.

    Args:
        overlap: Share of its voxels that must be of its class in the other; in any case one voxel.
        distance_mm: In place of that: how far its nearest voxel may be from that class in the other.
        union: Keep what is not confirmed, too, and add the lesions of the other that are not.

    Raises:
        TypeError: A value is of the wrong kind.
        ValueError: One is out of range, or both `overlap` and `distance_mm` are given.
    """

    overlap: float = 0.0
    distance_mm: float | None = None
    union: bool = False

    def __post_init__(self) -> None:
        check_fraction("overlap", self.overlap)
        if self.distance_mm is not None:
            check_number("distance_mm", self.distance_mm, strict=False)
            if self.overlap:
                raise ValueError(
                    f"overlap must be 0 where distance_mm is given, got {self.overlap}; a lesion is confirmed by one "
                    "or the other"
                )


@dataclass(frozen=True)
class ClassConsensus:
    """Numbers of lesions of a class.

    Args:
        label: The class.
        lesions: In the first label map.
        confirmed: Those that the second confirms.
        added: Lesions of the second that the first does not confirm and that were added, in part or whole.
    """

    label: int
    lesions: int
    confirmed: int
    added: int


def consensus(
    first: np.ndarray, second: np.ndarray, spacing: tuple[float, ...] | None = None, rule: ConsensusRule | None = None
) -> tuple[np.ndarray, list[ClassConsensus]]:
    """Keep the lesions of a label map that another confirms, each class by itself; corners connect.

    Args:
        first: Integers >= 0 `(*S)`, below 65536, 0 for background; 1 to 3 axes. Lesions keep its outline.
        second: The same of another model.
        spacing: Voxel size in mm, one per axis in array order; ``None`` means 1 mm.
        rule: When a lesion is confirmed, and what to do then; ``None``: it shares a voxel, and others are removed.

    Returns:
        Uint8 or uint16 labels `(*S)`, and the counts of each class of either map. With ``rule.union`` lesions of
        `second` are added where `first` is background.

    Raises:
        TypeError: Labels that are no integers.
        ValueError: Shapes differ, labels are out of range, or `spacing` is wrong; one side holds 255, alone or beside
            one class, and the other holds classes without it.

    Example:
        >>> labels, counts = consensus(np.array([1, 1, 0, 1, 0, 0]), np.array([0, 1, 0, 0, 0, 1]))
        >>> labels.tolist(), counts
        ([1, 1, 0, 0, 0, 0], [ClassConsensus(label=1, lesions=2, confirmed=1, added=0)])
    """
    rule = rule or ConsensusRule()
    check_same_shape("first", first, "second", second)
    one, two = _classes("first", first), _classes("second", second)
    _check_masks(one, two)
    dtype = np.result_type(one, two)
    one, two, size = one.astype(dtype), two.astype(dtype), check_spacing(spacing, one.ndim)
    ids, owners, met = _confirmed(one, two, size, rule)
    result = one * (met | rule.union)[ids]
    other_ids, other_owners, other_met = _confirmed(two, one, size, rule)
    put = np.zeros(other_owners.size, bool)
    if rule.union:
        new = (one == 0) & (two > 0) & ~other_met[other_ids]
        result[new] = two[new]
        put[other_ids[new]] = True  # another class of the first may hide a lesion whole
    counts = []
    for label in sorted({*owners[1:].tolist(), *other_owners[1:].tolist()}):
        mine, added = met[1:][owners[1:] == label], put[1:][other_owners[1:] == label]
        counts.append(ClassConsensus(label, mine.size, int(mine.sum()), int(added.sum())))
    return result, counts


def _classes(name: str, labels: np.ndarray) -> np.ndarray:
    array = check_ids(name, np.asarray(labels))
    if array.max() > np.iinfo(np.uint16).max:
        raise ValueError(f"{name} must hold classes below 65536, got {array.max()}; give all lesions of a kind one")
    return array.astype(np.uint8 if array.max() <= np.iinfo(np.uint8).max else np.uint16)


def _check_masks(first: np.ndarray, second: np.ndarray) -> None:
    """Refuse 255 alone or beside one class where the other side holds none: no class of that number is confirmed."""
    sides = {"first": set(np.unique(first).tolist()) - {0}, "second": set(np.unique(second).tolist()) - {0}}
    for (name, own), other in zip(sides.items(), reversed(sides.values()), strict=True):
        if 255 in own and len(own) <= 2 and other and 255 not in other:
            raise ValueError(
                f"{name} must hold classes of the other side, {sorted(other)[:5]}, got {sorted(own)}; divide a mask of "
                "0 and 255 by 255, and set voxels that do not count to 0"
            )


def _confirmed(
    labels: np.ndarray, other: np.ndarray, spacing: tuple[float, ...], rule: ConsensusRule
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ids of the lesions `(*S)`; class of each `(K + 1,)`; whether each is confirmed `(K + 1,)`. None is number 0."""
    ids, inside = connected_components(labels, labels.ndim), labels > 0
    owners = np.zeros(int(ids.max()) + 1, labels.dtype)
    owners[ids[inside]] = labels[inside]
    if rule.distance_mm is None:
        met = pair_lesions((labels == other) & inside, ids).found(rule.overlap)
        return ids, owners, np.concatenate([[False], met])
    found = np.zeros(len(owners), bool)
    limit = rule.distance_mm * (1 + 1e-6)  # distances are float32
    for label in np.unique(owners[1:]):
        own, seeds = labels == label, other == label
        if seeds.any():
            box = bounding_box(own | seeds, spacing, 0.0)
            near = distance_transform(seeds[box], spacing, reach=2 * limit or None) <= limit
            found[ids[box][own[box] & near]] = True
    return ids, owners, found
