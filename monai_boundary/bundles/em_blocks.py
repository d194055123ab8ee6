"""Prediction of volumes of electron microscopy that do not fit into memory, to OME-Zarr."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from monai_boundary._checksums import file_digest
from monai_boundary._jobs import share_of
from monai_boundary.bundles.em_items import Items, LikelihoodPredictor, scope_of
from monai_boundary.bundles.em_prediction import volume_grid
from monai_boundary.datasets.em import EmVolume, slice_range
from monai_boundary.inference import predict_blocks
from monai_boundary.inference.volume_files import VolumeGrid, volume_files
from monai_boundary.metrics import LikelihoodSegmentation

__all__ = ["predict_volumes_by_blocks"]


def predict_volumes_by_blocks(  # noqa: PLR0913 - all by keyword, in JSON
    items: Items,
    predictor: LikelihoodPredictor,
    output_dir: str | os.PathLike[str],
    checkpoint: str | os.PathLike[str],
    segmentation: LikelihoodSegmentation | None = None,
    block_size: Sequence[int] = (128, 128, 128),
    halo: Sequence[int] = (16, 16, 16),
    version: str = "0.4",
    overwrite: bool = False,
    progress: bool = True,
    shard: str | None = None,
) -> list[Path]:
    """Predict volumes with a 3D network block by block, see `predict_blocks`; each becomes ``<name>.zarr``.

    The image is standardised with the mean and standard deviation of the whole volume.

    Args:
        items: Volumes, whole ones or parts; results lie on the grid of their labels, where there are some.
        predictor: Its preprocessing must not standardise again.
        output_dir: Folder of the containers; made where it does not exist.
        checkpoint: File of the weights; a killed run is continued with the same only.
        segmentation: From likelihood to ids; ``None`` for the defaults.
        block_size: Voxels of a block (z, y, x).
        halo: Voxels around a block that the network sees, too.
        version: Of OME-Zarr.
        overwrite: Predict again what is there; else volumes whose container is there are passed over.
        progress: Show progress bars.
        shard: See `predict_volumes`.

    Returns:
        The containers.

    Raises:
        ValueError: Items are slices, the segmentation joins voxels that share no face, or what `predict_blocks` raises.
        OSError: A file cannot be written.
    """
    settings = segmentation or LikelihoodSegmentation()
    if settings.connectivity != 1:
        raise ValueError(f"connectivity must be 1 in blocks, which are joined at faces, got {settings.connectivity}")
    if scope_of(items) != "volume":
        raise ValueError("blocks must be predicted by a 3D network, got a 2D one; predict slices without blocks")
    chosen = share_of(items.volumes, shard)
    paths = [volume_files(Path(output_dir), volume.name, ["zarr"])["zarr"][0] for volume in chosen]
    model = file_digest(checkpoint)
    missing = [(volume, path) for volume, path in zip(chosen, paths, strict=True) if overwrite or not path.exists()]
    for volume, path in missing:
        volume.image.check_chunks()
        grid = volume_grid(volume, per_slice=False)
        predict_blocks(
            _Part(volume, grid), path, lambda voxels: predictor({"image": voxels[None]}), spacing=grid.spacing,
            offset=grid.offset, block_size=block_size, halo=halo, threshold=settings.threshold,
            min_size=settings.min_size,
            fill=None if settings.membrane == "keep" else settings.fill, standardize=True, version=version,
            model=f"{model} {settings.membrane}", overwrite=overwrite, progress=progress,
        )  # fmt: skip
    print(f"wrote {len(missing)} containers to {output_dir}; ids at threshold {settings.threshold:g}")
    return paths


@dataclass(frozen=True)
class _Part:
    """The image of a volume, on the grid of its predictions."""

    volume: EmVolume
    grid: VolumeGrid

    @property
    def first(self) -> tuple[int, int, int]:
        """The first voxel, in the image."""
        z, y, x = self.volume.offset
        return z + slice_range(self.volume)[0], y, x

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.grid.shape

    def window(self, part: Sequence[slice]) -> np.ndarray:
        z, y, x = (slice(at + one.start, at + one.stop) for at, one in zip(self.first, part, strict=True))
        return self.volume.image.window((z, y, x))

    def __str__(self) -> str:
        return f"{self.volume.image} {self.first}"
