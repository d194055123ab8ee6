"""How a mask file stores classes: as pixel values, or as colours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["BINARY", "IGNORE", "MaskCodes"]

#: Label of pixels that are not counted.
IGNORE = 255


@dataclass(frozen=True)
class MaskCodes:
    """What the values of a mask with one band, or the colours of one with three, mean.

    Args:
        labels: Label (0 to 255) by stored value, or by colour (red, green, blue). Where several have one label, the
            last one listed is written.
        nearest: Take other colours for the nearest one (Euclidean; the first listed of several) instead of refusing
            them, for masks that were resampled or compressed with loss.
        one_of: Values of which a mask holds one only. Both together mean something else: a mask of 0, 1 and 255 has
            buildings of 1, and 255 mostly is no data.
    """

    labels: Mapping[Any, int]
    nearest: bool = False
    one_of: tuple[int, ...] = ()

    @property
    def bands(self) -> int:
        """Number of bands in the file."""
        return int(self._codes.shape[1])

    @property
    def _codes(self) -> np.ndarray:
        """Stored values `(codes, bands)`."""
        return np.array([np.atleast_1d(code) for code in self.labels])

    def decode(self, stored: np.ndarray, source: str) -> np.ndarray:
        """Return uint8 labels `(H, W)` of stored values `(bands, H, W)`; `source` is named in errors.

        Raises:
            ValueError: A value has no label, and `nearest` is off.
        """
        table, packed = self._codes, _pack(stored)
        known = np.array(list(self.labels.values()))
        labels = np.full(packed.shape, -1, np.int16)
        for code, label in zip(_pack(table.T), known, strict=True):
            labels[packed == code] = label
        unknown = labels < 0
        if unknown.any():
            # each unknown value once, not once per pixel
            _, first, places, counts = np.unique(
                packed[unknown], return_index=True, return_inverse=True, return_counts=True
            )
            values = stored[:, unknown][:, first].T
            if not self.nearest:
                raise ValueError(self._refusal(values, counts, source))
            steps = values[:, None].astype(float) - table
            labels[unknown] = known[(steps**2).sum(-1).argmin(1)][places.ravel()]
        return labels.astype(np.uint8)

    def encode(self, labels: np.ndarray) -> np.ndarray:
        """Return uint8 values `(bands, H, W)` to store for labels `(H, W)`.

        Raises:
            ValueError: A label has no value.
        """
        known = sorted(set(self.labels.values()))
        wrong = labels[~np.isin(labels, known)]
        if wrong.size:
            raise ValueError(
                f"labels must be of {known}, got {np.unique(wrong)[:5].tolist()} at {wrong.size} pixels; "
                "pass the codes of the classes that were predicted"
            )
        stored = np.zeros((self.bands, *labels.shape), np.uint8)
        for code, label in zip(self._codes, self.labels.values(), strict=True):
            stored[:, labels == label] = code[:, None]
        return stored

    @property
    def missing(self) -> np.ndarray:
        """Uint8 `(bands,)` to store where there are no data: what `IGNORE` is stored as, else a value of no label."""
        if IGNORE in self.labels.values():
            return self.encode(np.array([[IGNORE]]))[:, 0, 0]
        known = {tuple(code) for code in self._codes.tolist()}
        # 127: programs that take every value above half for a class do not take it for one
        tried = (0, 127, *range(1, 256)) if self.bands > 1 else (IGNORE, 127, *range(256))
        free = next((value for value in tried if (value,) * self.bands not in known), None)
        if free is None:
            raise ValueError("codes must leave a value for pixels without data, got all 256; store fewer classes")
        return np.full(self.bands, free, np.uint8)

    def _refusal(self, values: np.ndarray, counts: np.ndarray, source: str) -> str:
        order = np.argsort(-counts, kind="stable")
        listed = [tuple(value.tolist()) if len(value) > 1 else value.item() for value in values[order]]
        more = f" and {len(listed) - 5} more" if len(listed) > 5 else ""
        kind, remedy = "values", "repair the mask, or name every value in codes=MaskCodes({value: label, ...})"
        if self.bands > 1:
            kind = "colours"
            remedy = "check that it is the label map, or take each for the nearest colour with nearest=True"
        return (
            f"{source} must hold the {kind} {', '.join(map(str, self.labels))}, got "
            f"{', '.join(map(str, listed[:5]))}{more} at {int(counts.sum())} pixels; {remedy}"
        )


def _pack(stored: np.ndarray) -> np.ndarray:
    """One number `(...)` for the values `(bands, ...)` of a pixel."""
    if len(stored) == 1:
        return np.asarray(stored[0])
    red, green, blue = stored.astype(np.int64)
    return np.asarray((red << 32) | (green << 16) | blue)


#: 0 and 255 as INRIA and SpaceNet have them, or 0 and 1.
BINARY = MaskCodes({0: 0, 1: 1, 255: 1}, one_of=(1, 255))
