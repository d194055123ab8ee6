"""Random patches of volumes, and the distance map of a patch: made of the patch alone, or cut from the volume's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from monai_boundary.kernels.distance import DistanceMapOptions, finish_distances, labels_distance_map

Box = tuple[slice, ...]
#: Settings of whole-volume maps that are kept, in float16, to be cut and finished for a patch.
STORED = DistanceMapOptions(clip=20.0, absent="far")


@dataclass(frozen=True, eq=False)
class PatchVolume:
    """One case.

    Args:
        case: Its name.
        labels: Uint8 `(1, *S)`.
        spacing: Voxel size in mm, one per spatial axis.
        num_classes: Classes including the background.
        image: Float32 `(channels, *S)`; ``None`` where labels are enough.
    """

    case: str
    labels: np.ndarray
    spacing: tuple[float, ...]
    num_classes: int
    image: np.ndarray | None = None

    @cached_property
    def foreground(self) -> list[np.ndarray]:
        """Voxels `(N, axes)` of every foreground class that the volume has."""
        found = [np.argwhere(self.labels[0] == label).astype(np.int32) for label in range(1, self.num_classes)]
        return [voxels for voxels in found if len(voxels)]


def draw_box(volume: PatchVolume, edge: int, generator: np.random.Generator, forced: bool) -> Box:
    """Draw where a patch lies, as nnU-Net does, but always within the volume.

    Args:
        volume: The case.
        edge: Voxels along each axis; less along an axis on which the volume has less.
        generator: Random numbers.
        forced: Centre the patch on a voxel of a foreground class, each class alike often, as far as the volume allows.
            Otherwise, or without foreground, every place is alike likely.
    """
    sizes = volume.labels.shape[1:]
    shape = [min(edge, size) for size in sizes]
    if forced and volume.foreground:
        voxels = volume.foreground[generator.integers(len(volume.foreground))]
        centre = voxels[generator.integers(len(voxels))]
        wanted = [int(place) - count // 2 for place, count in zip(centre, shape, strict=True)]
        starts = [min(max(start, 0), size - count) for start, size, count in zip(wanted, sizes, shape, strict=True)]
    else:
        starts = [int(generator.integers(size - count + 1)) for size, count in zip(sizes, shape, strict=True)]
    return tuple(slice(start, start + count) for start, count in zip(starts, shape, strict=True))


def sample_boxes(
    volume: PatchVolume, edge: int, count: int, generator: np.random.Generator, forced_share: float = 1 / 3
) -> list[Box]:
    """Draw `count` patches, the last `forced_share` of them with forced foreground, as in nnU-Net's batches."""
    free = round(count * (1 - forced_share))
    return [draw_box(volume, edge, generator, forced=index >= free) for index in range(count)]


def cut(array: np.ndarray, box: Box) -> np.ndarray:
    """Return the part of `array` `(C, *S)` that lies in `box`, as a view."""
    whole: Box = (slice(None), *box)
    return array[whole]


def volume_map(volume: PatchVolume, options: DistanceMapOptions) -> np.ndarray:
    """Return the maps `(C, *S)` of the foreground classes of the whole volume."""
    return labels_distance_map(volume.labels, volume.num_classes, volume.spacing, options, include_background=False)


def local_map(volume: PatchVolume, box: Box, options: DistanceMapOptions) -> np.ndarray:
    """Return the maps `(C, *patch)` that are made of the labels of the patch alone."""
    labels = np.ascontiguousarray(cut(volume.labels, box))
    return labels_distance_map(labels, volume.num_classes, volume.spacing, options, include_background=False)


def finished(maps: np.ndarray, labels: np.ndarray, spacing: Sequence[float], options: DistanceMapOptions) -> np.ndarray:
    """Return maps in mm as the loss takes them: clipped, normalised and balanced for the patch by `options`.

    Args:
        maps: Float `(C, *patch)` in mm, cut from those of the volume; left as they are.
        labels: Labels `(1, *patch)`.
        spacing: Voxel size in mm.
        options: Settings; convention and ``absent`` are those of `maps`.
    """
    result = maps.astype(np.float32)
    masks = np.stack([labels[0] == label for label in range(1, len(maps) + 1)])
    finish_distances(result, masks, tuple(spacing), options)
    return result
