"""How a mask file stores classes: as pixel values, or as colours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

__all__ = ["IGNORE", "ColourCodes", "MaskCodes", "ValueCodes"]

#: Label of pixels that are not counted.
IGNORE = 255


class MaskCodes(Protocol):
    """What the readers and writers of masks need to know."""

    @property
    def bands(self) -> int:
        """Number of bands in the file."""

    def unknown(self, stored: np.ndarray) -> Counter:
        """Return the number of pixels for each stored value `(bands, H, W)` that has no meaning."""

    def refusal(self, unknown: Counter, source: str) -> str:
        """Return the error text for such pixels in `source`."""

    def decode(self, stored: np.ndarray, source: str) -> np.ndarray:
        """Return uint8 labels `(H, W)` of stored values `(bands, H, W)`; `source` is named in errors."""

    def encode(self, labels: np.ndarray) -> np.ndarray:
        """Return uint8 values `(bands, H, W)` to store for labels `(H, W)`."""


@dataclass(frozen=True)
class ValueCodes:
    """One band, whose values stand for classes.

    Args:
        labels: Label by stored value. Of several values for one label, the last one listed is written.
    """

    labels: Mapping[int, int]

    bands = 1

    def unknown(self, stored: np.ndarray) -> Counter:
        """Return the number of pixels for each stored value that has no label."""
        wrong = stored[~np.isin(stored, list(self.labels))]
        return Counter(wrong.tolist())

    def refusal(self, unknown: Counter, source: str) -> str:
        """Return the error text for such pixels in `source`."""
        known = ", ".join(map(str, sorted(self.labels)))
        return (
            f"{source} must hold the values {known}, got {_list(unknown)} at {unknown.total()} pixels; "
            "repair the mask, or name every value in codes=ValueCodes({value: label, ...})"
        )

    def decode(self, stored: np.ndarray, source: str) -> np.ndarray:
        """Return uint8 labels `(H, W)` of values `(1, H, W)`.

        Raises:
            ValueError: A value has no label.
        """
        labels = np.full(stored.shape[1:], -1, np.int16)
        for value, label in self.labels.items():
            labels[stored[0] == value] = label
        if (labels < 0).any():
            raise ValueError(self.refusal(self.unknown(stored), source))
        return labels.astype(np.uint8)

    def encode(self, labels: np.ndarray) -> np.ndarray:
        """Return uint8 values `(1, H, W)` for labels `(H, W)`.

        Raises:
            ValueError: A label has no value.
        """
        table = {label: value for value, label in self.labels.items()}
        _check_known(labels, list(table))
        stored = np.zeros((1, *labels.shape), np.uint8)
        for label, value in table.items():
            stored[0][labels == label] = value
        return stored


@dataclass(frozen=True)
class ColourCodes:
    """Three bands, whose colours stand for classes.

    Args:
        labels: Label by colour (red, green, blue), 0 to 255 each.
        nearest: Take other colours for the nearest one (Euclidean; the first listed of several) instead of refusing
            them, for masks that were resampled or compressed with loss.
    """

    labels: Mapping[tuple[int, int, int], int]
    nearest: bool = False

    bands = 3

    def unknown(self, stored: np.ndarray) -> Counter:
        """Return the number of pixels for each colour that has no label; none with `nearest`."""
        if self.nearest:
            return Counter()
        packed = _pack(stored)
        values, counts = np.unique(packed[~np.isin(packed, self._packed())], return_counts=True)
        return Counter(dict(zip(map(_unpack, values.tolist()), counts.tolist(), strict=True)))

    def refusal(self, unknown: Counter, source: str) -> str:
        """Return the error text for such pixels in `source`."""
        known = ", ".join(map(str, self.labels))
        return (
            f"{source} must hold the colours {known}, got {_list(unknown)} at {unknown.total()} pixels; "
            "check that it is the label map, or take each for the nearest colour with nearest=True"
        )

    def decode(self, stored: np.ndarray, source: str) -> np.ndarray:
        """Return uint8 labels `(H, W)` of colours `(3, H, W)`.

        Raises:
            ValueError: A colour has no label, and `nearest` is off.
        """
        packed = _pack(stored)
        labels = np.full(packed.shape, -1, np.int16)
        for colour, label in zip(self._packed(), self.labels.values(), strict=True):
            labels[packed == colour] = label
        rest = labels < 0
        if not rest.any():
            return labels.astype(np.uint8)
        if not self.nearest:
            raise ValueError(self.refusal(self.unknown(stored), source))
        others, places = np.unique(packed[rest], return_inverse=True)  # distances once per colour, not per pixel
        steps = np.array(list(map(_unpack, others.tolist())))[:, None] - np.array(list(self.labels))
        labels[rest] = np.array(list(self.labels.values()))[(steps**2).sum(-1).argmin(1)][places.ravel()]
        return labels.astype(np.uint8)

    def encode(self, labels: np.ndarray) -> np.ndarray:
        """Return uint8 colours `(3, H, W)` for labels `(H, W)`.

        Raises:
            ValueError: A label has no colour.
        """
        _check_known(labels, list(self.labels.values()))
        stored = np.zeros((3, *labels.shape), np.uint8)
        for colour, label in self.labels.items():
            stored[:, labels == label] = np.array(colour, np.uint8)[:, None]
        return stored

    def _packed(self) -> list[int]:
        return [(red << 16) | (green << 8) | blue for red, green, blue in self.labels]


def _pack(stored: np.ndarray) -> np.ndarray:
    """One integer `(H, W)` per colour `(3, H, W)`."""
    red, green, blue = stored.astype(np.int32)
    return np.asarray((red << 16) | (green << 8) | blue)


def _unpack(value: int) -> tuple[int, int, int]:
    return value >> 16, value >> 8 & 255, value & 255


def _list(unknown: Counter) -> str:
    shown = ", ".join(str(value) for value, _ in unknown.most_common(5))
    return shown if len(unknown) <= 5 else f"{shown} and {len(unknown) - 5} more"


def _check_known(labels: np.ndarray, known: list[Any]) -> None:
    wrong = labels[~np.isin(labels, known)]
    if wrong.size:
        raise ValueError(
            f"labels must be of {sorted(known)}, got {np.unique(wrong)[:5].tolist()} at {wrong.size} pixels; "
            "pass the codes of the classes that were predicted"
        )
