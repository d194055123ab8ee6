"""Sliding windows whose overlaps are averaged while rows of windows stream by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import torch
from monai.data.utils import compute_importance_map

from monai_boundary._check import check_choice
from monai_boundary.datasets.remote.windows import check_size, window_grid
from monai_boundary.inference.augment import AUGMENTATIONS, Network, predict_augmented

__all__ = ["TileInferer", "TileSource"]


class TileSource(Protocol):
    """What windows are read from, such as a `TileReader`."""

    @property
    def shape(self) -> tuple[int, int]:
        """Pixels (H, W)."""

    def read(self, rows: slice, columns: slice) -> np.ndarray:
        """Return the values `(C, rows, columns)` of a window inside the tile."""


@dataclass(frozen=True)
class TileInferer:
    """Predicts a tile window by window; words and places of the windows are those of MONAI's inferers.

    Memory does not depend on the height of the tile: one row of windows is held, as float32 for C channels and as
    float64 for K classes and the weights. With `predict_tile`, a tile of 10,000 x 10,000 pixels, 3 channels, 2 classes
    and windows of 512 take 0.4 GB beside what the network itself needs.

    Args:
        roi_size: Pixels of a window, (height, width) or one number for both. A smaller tile is mirrored at its lower
            and right edges until it fills one window.
        sw_batch_size: Windows that the network gets at once.
        overlap: Share of a window that its neighbour covers too, in [0, 1).
        mode: Weights of the predictions within a window: ``"constant"``, or ``"gaussian"``, less towards its edges,
            where the network sees less around a pixel.
        augment: Test-time augmentation, see `predict_augmented`.
        device: Where the network is.
    """

    roi_size: int | tuple[int, int] = 512
    sw_batch_size: int = 4
    overlap: float = 0.25
    mode: Literal["constant", "gaussian"] = "gaussian"
    augment: Literal["none", "flips", "dihedral"] = "none"
    device: str | torch.device = "cpu"

    def __post_init__(self) -> None:
        size = check_size(self.roi_size)
        check_choice("mode", self.mode, ("constant", "gaussian"))
        check_choice("augment", self.augment, tuple(AUGMENTATIONS))
        window_grid(size, size, self.overlap)  # for its check of the overlap
        if self.sw_batch_size < 1:
            raise ValueError(f"sw_batch_size must be >= 1, got {self.sw_batch_size}")

    def rows(self, source: TileSource, network: Network) -> Iterator[np.ndarray]:
        """Predict a tile from top to bottom.

        Args:
            source: The tile.
            network: From float32 `(B, C, h, w)` with values as stored to `(B, K, h, w)`; normalisation, activation and
                ``eval()`` are its own affair.

        Yields:
            Float32 `(K, some rows, W)`, weighted means of what the network returned; together they are the tile.

        Raises:
            TypeError: The network returns no tensor.
            ValueError: The network changes the size or the number of classes, or returns values that are not finite;
                or the tile cannot be read.
        """
        size, (height, width) = check_size(self.roi_size), source.shape
        padded = max(height, size[0]), max(width, size[1])
        grid = window_grid(padded, size, self.overlap)
        tops = sorted({rows.start for rows, _ in grid})
        columns = [place for rows, place in grid if rows.start == tops[0]]
        weight = compute_importance_map(size, self.mode).double().numpy()
        # Float64: a product of two float32 numbers fits, so that the mean of equal values is that value to the bit.
        sums, weights = np.zeros((0, size[0], padded[1])), np.zeros((size[0], padded[1]))
        for top, following in zip(tops, [*tops[1:], padded[0]], strict=True):
            band = _band(source, top, size[0], padded[1])
            for place, values in self._predicted(band, columns, network):
                if not len(sums):
                    sums = np.zeros((len(values), *sums.shape[1:]))
                if len(values) != len(sums):
                    raise ValueError(f"network must return one number of classes, got {len(sums)} and {len(values)}")
                sums[:, :, place] += values * weight
                weights[:, place] += weight
            done = following - top  # rows that no later window touches
            yield (sums[:, :done] / weights[:done]).astype(np.float32)[:, : height - top, :width]
            for array in (sums, weights):
                kept = size[0] - done
                array[..., :kept, :] = array[..., done:, :].copy()
                array[..., kept:, :] = 0

    def _predicted(
        self, band: np.ndarray, columns: list[slice], network: Network
    ) -> Iterator[tuple[slice, np.ndarray]]:
        """Predictions `(K, h, w)` of the windows of a row, with their columns."""
        for first in range(0, len(columns), self.sw_batch_size):
            places = columns[first : first + self.sw_batch_size]
            batch = torch.from_numpy(np.stack([band[:, :, place] for place in places])).to(self.device)
            with torch.no_grad():
                values = predict_augmented(network, batch, self.augment)
            yield from zip(places, values.numpy(), strict=True)


def _band(source: TileSource, top: int, height: int, width: int) -> np.ndarray:
    """Float32 `(C, height, width)` from row `top` on, mirrored at the lower and right edges where the tile ends."""
    last = min(top + height, source.shape[0])
    band = source.read(slice(top, last), slice(0, source.shape[1])).astype(np.float32)
    missing = height - band.shape[1], width - band.shape[2]
    return np.pad(band, ((0, 0), (0, missing[0]), (0, missing[1])), mode="reflect") if any(missing) else band
