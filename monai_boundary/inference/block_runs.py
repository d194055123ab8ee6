"""Prediction of volumes beyond memory, block by block, which goes on where it was killed."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from monai_boundary._check import check_count, check_fraction
from monai_boundary._files import only_writer, remove, write_json
from monai_boundary.inference.block_passes import PARTS, RESULT, WORK, BlockPasses, BlockSource
from monai_boundary.inference.blocks import Blocks
from monai_boundary.inference.ome_zarr import create_array, create_group, create_ome_zarr
from monai_boundary.inference.volume_files import VolumeGrid

__all__ = ["predict_blocks"]


def predict_blocks(  # noqa: PLR0913 - three that every call gives, the rest by keyword
    source: BlockSource,
    target: str | os.PathLike[str],
    predict: Callable[[np.ndarray], Any],
    *,
    spacing: tuple[float, float, float],
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0),
    block_size: Sequence[int] = (128, 128, 128),
    halo: Sequence[int] = (16, 16, 16),
    threshold: float = 0.5,
    min_size: int = 0,
    fill: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
    standardize: bool = False,
    model: str = "",
    version: str = "0.4",
    overwrite: bool = False,
    progress: bool = True,
) -> Path:
    """Predict a volume block by block, and write the likelihood of membrane and the ids of objects as OME-Zarr.

    Objects are those of the whole volume: the components of the voxels with a likelihood of at most `threshold` (6
    neighbours) that a block holds are joined where they touch at its faces. Memory does not grow with the volume, but
    for 24 bytes per component of a block.

    A run that is killed leaves a folder ``.<name>.blocks`` beside `target`; the same call goes on from there, where it
    names the `model`, and its result is the same. `target` is there once it is whole.

    Args:
        source: The volume.
        target: The container to write, usually ``*.zarr``: the likelihood is its image, the ids are its labels ``ids``.
        predict: Called with a block and its halo, as far as the volume reaches, as stored or standardised.
        spacing: Voxel size in nm (z, y, x).
        offset: Place of the first voxel in nm.
        block_size: Voxels of a block (z, y, x).
        halo: Voxels around it that `predict` sees and whose prediction is dropped: what one voxel of the prediction
            depends on, on each side. With a smaller one borders of blocks show.
        threshold: In [0, 1]; voxels equal to it are inside an object.
        min_size: Objects of fewer voxels, in all blocks together, become membrane.
        fill: Gives the membrane to the objects, block by block with the halo, as `LikelihoodSegmentation.fill` does;
            ``None`` leaves it 0. Right where the halo is wider than the membranes.
        standardize: Give `predict` the values less the mean of the volume, divided by their standard deviation, as
            MONAI's `NormalizeIntensity` does for a volume in memory.
        model: What `predict` is, such as the checksum of its weights: a killed run is continued by the same only, and
            one without a name by none.
        version: Of OME-Zarr, ``"0.4"`` or ``"0.5"``.
        overwrite: Replace `target`, and drop what a killed run of other settings has left.
        progress: Show a progress bar.

    Returns:
        `target`.

    Raises:
        ImportError: zarr is not installed.
        FileExistsError: `target` exists and `overwrite` is off.
        ValueError: A setting is wrong or another than that of the killed run, or `predict` returns something unusable.
        OSError: A file cannot be written.
    """
    place = Path(target)
    blocks = Blocks(source.shape, tuple(block_size), tuple(halo))  # type: ignore[arg-type]
    settings = {
        "source": _ADDRESS.sub("", str(source)), "shape": [*blocks.shape], "block_size": [*blocks.size],
        "halo": [*blocks.halo], "spacing": [*map(float, spacing)], "offset": [*map(float, offset)],
        "standardize": standardize, "model": model, "threshold": check_fraction("threshold", threshold),
        "min_size": check_count("min_size", min_size, 0), "fill": fill is not None, "version": version,
    }  # fmt: skip
    folder = place.with_name(f".{place.name}.blocks")
    with only_writer(place.parent, f"{place.name}.blocks"), _naming(folder, model):
        finished = (folder / _SETTINGS).exists() and not (folder / RESULT).exists()  # killed while it removed the rest
        if not finished:
            if place.exists() and not overwrite:
                raise FileExistsError(f"{place} must not exist yet; choose another name or pass overwrite=True")
            _begin(folder, settings, VolumeGrid(blocks.shape, spacing, offset), blocks, overwrite)
            run = BlockPasses(folder, source, blocks, threshold, min_size, progress)
            run.find_parts(predict, standardize)
            run.write_ids(fill)
        _finish(folder, place)
    return place


_SETTINGS = "settings.json"
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")  # in memory, which Python says of an object that has no name


@contextmanager
def _naming(folder: Path, model: str) -> Iterator[None]:
    """Name the folder in an error of zarr's writers, which say no path."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        remedy = ", which goes on from here" if model else " with overwrite=True"
        reason = f"{error.strerror}; free some space and start again{remedy}"
        raise OSError(error.errno, reason, str(folder)) from error


def _begin(folder: Path, settings: dict[str, Any], grid: VolumeGrid, blocks: Blocks, overwrite: bool) -> None:
    """Make the folder of a run, or check that the one that is there is of the same run; its settings come last."""
    path = folder / _SETTINGS
    if path.exists():
        before = json.loads(path.read_text())
        other = [name for name, value in settings.items() if before.get(name) != value]
        if not other and settings["model"]:
            return
        if not (other or overwrite):
            raise ValueError(
                f"model must name what predict is to continue the unfinished run in {folder}, got ''; pass "
                "overwrite=True to start again, and model=, such as the checksum of the weights"
            )
        if not overwrite:
            raise ValueError(
                f"{other[0]} must be {before.get(other[0])} as in the unfinished run in {folder}, got "
                f"{settings[other[0]]}; give the same, pass overwrite=True, or remove that folder"
            )
    remove(folder)
    folder.mkdir(parents=True)
    # a chunk is of one block alone, so that no two blocks write one file
    chunks = [64 if size % 64 == 0 else size for size in blocks.size]
    create_ome_zarr(folder / RESULT, grid, chunks, settings["version"])
    create_array(create_group(folder / WORK), PARTS, blocks.shape, chunks, np.uint32)
    write_json(path, settings)


def _finish(folder: Path, place: Path) -> None:
    aside = folder / "replaced"
    if (folder / RESULT).exists():
        if place.exists():
            remove(aside)
            place.replace(aside)
        (folder / RESULT).replace(place)
    # the settings go last: as long as they are there, a result that is gone from here is finished
    for path in sorted(folder.iterdir(), key=lambda path: path.name == _SETTINGS):
        remove(path)
    folder.rmdir()
