"""Prediction of whole volumes of electron microscopy to files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import numpy as np
from tqdm import tqdm

from monai_boundary._jobs import share_of
from monai_boundary._words import counted
from monai_boundary.bundles.em_items import Items, LikelihoodPredictor, scope_of
from monai_boundary.bundles.running import say_kept
from monai_boundary.datasets.em import EmVolume, slice_range
from monai_boundary.inference.volume_files import VolumeGrid, volume_files, volume_writer
from monai_boundary.kernels.slices import continue_objects
from monai_boundary.metrics import LikelihoodSegmentation

__all__ = ["predict_volumes", "volume_grid"]


def predict_volumes(  # noqa: PLR0913 - all but the first by keyword, in JSON
    items: Items,
    predictor: LikelihoodPredictor,
    output_dir: str | os.PathLike[str],
    segmentation: LikelihoodSegmentation | None = None,
    formats: Sequence[str] = ("hdf5",),
    overwrite: bool = False,
    progress: bool = True,
    shard: str | None = None,
    link: float | None = None,
) -> list[Path]:
    """Predict volumes one after the other, and write the likelihood of membrane and the ids of objects of each.

    Slices are predicted, segmented and written one by one: an object then has another id in each, counted through the
    volume, unless `link` joins them. A volume of a 3D network is predicted and segmented as a whole. Files lie on the
    grid of the labels where there are some, else of the image.

    Args:
        items: What to predict.
        predictor: From an item to its likelihood.
        output_dir: Folder of the files, see `volume_files`; made where it does not exist.
        segmentation: From likelihood to ids; ``None`` for the defaults.
        formats: ``"hdf5"``: one file per volume with the names and attributes of CREMI; ``"tiff"``: two stacks;
            ``"zarr"``: one container of OME-Zarr per volume.
        overwrite: Predict again what is there; else volumes that have all their files are passed over.
        progress: Show a progress bar.
        shard: ``"I/N"``, I from 1 to N: every N-th volume from the I-th on, which may be none.
        link: Join objects of neighbouring slices that share so much of the smaller one, see `link_slices`.

    Returns:
        The files of these volumes.

    Raises:
        ImportError: h5py or zarr is not installed.
        ValueError: A format is none, or an image cannot be predicted.
        OSError: A file cannot be written whole.
    """
    settings, folder, unit = segmentation or LikelihoodSegmentation(), Path(output_dir), scope_of(items)
    if link is not None and unit != "slice":
        raise ValueError(f"link must be null for volumes, whose objects are whole already, got {link}")
    chosen = share_of(items.volumes, shard)
    files = {volume.name: volume_files(folder, volume.name, formats) for volume in chosen}
    paths = {name: [path for found in kinds.values() for path in found] for name, kinds in files.items()}
    missing = [name for name in files if overwrite or not all(path.exists() for path in paths[name])]
    if len(missing) < len(files):
        say_kept(len(files) - len(missing), "volume", folder)
    grids = {volume.name: volume_grid(volume, unit == "slice" and link is None) for volume in items.volumes}
    counts = {name: grid.shape[0] if unit == "slice" else 1 for name, grid in grids.items()}
    first = dict(zip(counts, accumulate(counts.values(), initial=0), strict=False))
    with tqdm(total=sum(counts[name] for name in missing), desc="predict", unit=unit, disable=not progress) as bar:
        for name in missing:
            bar.set_postfix_str(name)
            grid, last = grids[name], 0
            before = np.zeros(grid.shape[1:], np.int64)
            with volume_writer(files[name], grid) as add:
                for index in range(first[name], first[name] + counts[name]):
                    item = items[index]
                    likelihood = predictor(item)
                    ids = settings(likelihood, item["spacing"]).astype(np.int64)
                    if link is None:
                        ids[ids > 0] += last  # an id of its own for each slice's objects
                        last = max(last, int(ids.max()))
                    else:
                        before, last = continue_objects(before, ids, link, last)
                        ids = before
                    add(*(array.reshape(-1, *grid.shape[1:]) for array in (likelihood, ids)))
                    bar.update()
    count = sum(len(paths[name]) for name in missing)
    print(f"wrote {counted(count, 'file')} to {folder}; ids of each {unit} at threshold {settings.threshold:g}")
    return [path for found in paths.values() for path in found]


def volume_grid(volume: EmVolume, per_slice: bool) -> VolumeGrid:
    """Return where predictions lie: on the grid of the labels where there are some, else of the image."""
    start, stop = slice_range(volume)
    height, width = (volume.image if volume.labels is None else volume.labels).shape[1:]
    first = volume.offset[0] + start, *volume.offset[1:]
    z, y, x = (at + number * size for at, number, size in zip(volume.origin, first, volume.spacing, strict=True))
    return VolumeGrid((stop - start, height, width), volume.spacing, (z, y, x), per_slice)
