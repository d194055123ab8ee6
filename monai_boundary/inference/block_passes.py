"""The passes of prediction block by block: likelihood and components of each block, then the ids of the volume."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from tqdm import tqdm

from monai_boundary._files import replacing, write_json
from monai_boundary.inference.blocks import Blocks, Window, join_blocks
from monai_boundary.inference.ome_zarr import OME_IDS, OME_LIKELIHOOD, open_array
from monai_boundary.kernels.regions import connected_components

__all__ = ["PARTS", "RESULT", "WORK", "BlockPasses", "BlockSource"]

#: In the folder of a run: what becomes the result, what goes with the run, and its array of components.
RESULT, WORK, PARTS = "result.zarr", "work.zarr", "parts"
#: From voxels to their likelihood of membrane in [0, 1], both `(d, h, w)`.
Predict = Callable[[np.ndarray], Any]
#: From likelihood and ids to ids without membrane, all `(d, h, w)`.
Fill = Callable[[np.ndarray, np.ndarray], np.ndarray]


class BlockSource(Protocol):
    """What blocks are read from, such as a `Stored`."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels (D, H, W)."""

    def window(self, part: Sequence[slice], /) -> np.ndarray:
        """Return the voxels of a window (z, y, x)."""


@dataclass
class BlockPasses:
    """The passes over the blocks."""

    folder: Path
    source: BlockSource
    blocks: Blocks
    threshold: float
    min_size: int
    progress: bool

    def __post_init__(self) -> None:
        result = self.folder / RESULT
        self.likelihood, self.ids = (open_array(result, key) for key in (OME_LIKELIHOOD, OME_IDS))
        self.parts = open_array(self.folder / WORK, PARTS)

    def find_parts(self, predict: Predict, standardize: bool) -> None:
        """Write likelihood and components of each block."""
        mean, deviation = self._statistics() if standardize else (0.0, 1.0)
        for index, done in self._remaining("predict"):
            window = self.blocks.window(index, halo=True)
            voxels = self.source.window(window)
            if standardize:
                voxels = (voxels.astype(np.float32) - np.float32(mean)) / np.float32(deviation)
            values = _checked(predict(voxels), voxels.shape)[self.blocks.inner(index)]
            found = connected_components(values <= self.threshold)
            own = self.blocks.window(index)
            self.likelihood[own], self.parts[own] = values, found.astype(np.uint32)
            _save(done, np.bincount(found.ravel())[1:])

    def write_ids(self, fill: Fill | None) -> None:
        """Join the components of all blocks, and write the ids of each."""
        offsets, numbers = self._joined()
        for index, done in self._remaining("objects"):
            window = self.blocks.window(index, halo=fill is not None)
            ids = np.zeros(_shape(window), np.int64)
            for number, shared in self.blocks.overlapping(window):
                at = tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(shared, window, strict=True))
                ids[at] = numbers[offsets[number] + np.asarray(self.parts[shared], np.int64)]
            if fill is not None:
                local, ids = np.unique(ids, return_inverse=True)  # watersheds take ids of 32 bits
                first = int(local[0] > 0)
                filled = fill(
                    np.asarray(self.likelihood[window]), (ids + first).astype(np.int32).reshape(_shape(window))
                )
                ids = np.concatenate([np.zeros(first, np.int64), local])[filled][self.blocks.inner(index)]
            self.ids[self.blocks.window(index)] = ids.astype(np.uint64)
            _save(done, np.zeros(0))

    def _joined(self) -> tuple[np.ndarray, np.ndarray]:
        """Offsets and ids of `join_blocks`."""
        sizes = [np.load(self._mark("predict", number)) for number in range(len(self.blocks))]
        before = np.cumsum([0, *map(len, sizes)])
        pairs = [np.zeros((0, 2), np.int64)]
        faces = self.blocks.faces()
        for one, other, last, first in tqdm(faces, desc="join", unit="face", disable=not self.progress):
            ends = np.stack([np.asarray(self.parts[layer], np.int64).ravel() for layer in (last, first)], axis=1)
            touching = np.unique(ends[(ends > 0).all(1)], axis=0)
            pairs.append(touching - 1 + [before[one], before[other]])
        return join_blocks(sizes, np.concatenate(pairs), self.min_size)

    def _statistics(self) -> tuple[float, float]:
        """Mean and standard deviation of the volume, looked at once."""
        path = self.folder / "statistics.json"
        if not path.exists():
            total = np.zeros(3)
            indices = list(np.ndindex(*self.blocks.grid))
            for index in tqdm(indices, desc="statistics", unit="block", disable=not self.progress):
                values = self.source.window(self.blocks.window(index)).astype(np.float64)
                total += values.size, values.sum(), np.square(values).sum()
            mean = total[1] / total[0]
            deviation = float(np.sqrt(max(0.0, total[2] / total[0] - mean**2))) or 1.0  # as MONAI does for one value
            write_json(path, {"mean": mean, "deviation": deviation})
        content = json.loads(path.read_text())
        return content["mean"], content["deviation"]

    def _mark(self, step: str, number: int) -> Path:
        return self.folder / step / f"{number:08d}.npy"

    def _remaining(self, step: str) -> Iterator[tuple[tuple[int, ...], Path]]:
        """Give the blocks that a pass has not finished, and the file that says that it has."""
        indices = [(index, self._mark(step, number)) for number, index in enumerate(np.ndindex(*self.blocks.grid))]
        open_ones = [(index, path) for index, path in indices if not path.exists()]
        start = len(indices) - len(open_ones)
        bar = tqdm(total=len(indices), initial=start, desc=step, unit="block", disable=not self.progress)
        with bar:
            for one in open_ones:
                yield one
                bar.update()


def _save(path: Path, array: np.ndarray) -> None:
    with replacing(path) as part, part.open("wb") as file:
        np.save(file, array)


def _shape(window: Window) -> list[int]:
    return [part.stop - part.start for part in window]


def _checked(values: Any, shape: tuple[int, ...]) -> np.ndarray:
    likelihood = np.asarray(values, np.float32)
    if likelihood.shape != shape:
        raise ValueError(f"predict must return the shape that it gets, {tuple(shape)}, got {likelihood.shape}")
    low, high = likelihood.min(), likelihood.max()
    if not (low >= 0 and high <= 1):  # also where one is NaN
        raise ValueError(
            f"predict must return a likelihood in [0, 1], got values in [{low:g}, {high:g}]; apply sigmoid"
        )
    return likelihood
