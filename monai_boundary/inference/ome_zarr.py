"""Likelihood and ids of a volume as OME-Zarr: the likelihood is the image, the ids are its labels ``ids``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_boundary._check import check_choice
from monai_boundary.datasets.em.zarrs import import_zarr

if TYPE_CHECKING:
    from monai_boundary.inference.volume_files import VolumeGrid

__all__ = ["OME_IDS", "OME_LIKELIHOOD", "OME_VERSIONS", "create_array", "create_group", "create_ome_zarr", "open_array"]

OME_LIKELIHOOD, OME_IDS = "0", "labels/ids/0"
#: Of OME-Zarr, and the version of Zarr that each is of.
OME_VERSIONS = {"0.4": 2, "0.5": 3}


def create_ome_zarr(path: Path, grid: VolumeGrid, chunks: Sequence[int], version: str = "0.4") -> tuple[Any, Any]:
    """Make a container and return its arrays `(D, H, W)`: float32 likelihood and uint64 ids.

    Every chunk is written, one of zeros too: a chunk that is not there is one that was lost. Chunks have a checksum.

    Args:
        path: Of the container, which must not be there.
        grid: Shape, voxel size and place, which become the scale and translation in nm.
        chunks: Shape of a chunk.
        version: Of OME-Zarr: ``"0.4"`` is Zarr v2, ``"0.5"`` Zarr v3, which needs zarr 3.

    Raises:
        ImportError: zarr is not installed, or too old for the version.
        ValueError: There is no such version.
    """
    check_choice("version", version, tuple(OME_VERSIONS))
    group = create_group(path, OME_VERSIONS[version])
    likelihood = create_array(group, OME_LIKELIHOOD, grid.shape, chunks, np.float32)
    ids = create_array(group, OME_IDS, grid.shape, chunks, np.uint64)
    steps = [{"type": "scale", "scale": [*grid.spacing]}, {"type": "translation", "translation": [*grid.offset]}]
    axes = [{"name": axis, "type": "space", "unit": "nanometer"} for axis in "zyx"]
    for key, name in (("", "membrane_likelihood"), ("labels/ids", "ids")):
        pyramid = {"name": name, "axes": axes, "datasets": [{"path": "0", "coordinateTransformations": steps}]}
        extra = {"image-label": {"source": {"image": "../../"}}} if key else {}
        _describe(group[key] if key else group, {"multiscales": [pyramid], **extra}, version)
    _describe(group["labels"], {"labels": ["ids"]}, version)
    group["labels/ids"].attrs["per_slice"] = grid.per_slice
    return likelihood, ids


def create_array(group: Any, key: str, shape: Sequence[int], chunks: Sequence[int], dtype: Any) -> Any:
    """Return a new array in a group, with chunks in zstd with a checksum; groups on the way are made."""
    sizes = tuple(min(size, limit) for size, limit in zip(shape, chunks, strict=True))
    zarr = import_zarr()
    from numcodecs import Zstd

    if _is_old(zarr):
        return group.create_dataset(
            key, shape=shape, chunks=sizes, dtype=dtype, compressor=Zstd(1, checksum=True), fill_value=0,
            dimension_separator="/",
        )  # fmt: skip
    new = group.metadata.zarr_format == 3
    codec = zarr.codecs.ZstdCodec(level=1, checksum=True) if new else Zstd(1, checksum=True)
    return group.create_array(
        key, shape=tuple(shape), chunks=sizes, dtype=dtype, compressors=codec, fill_value=0,
        chunk_key_encoding={"name": "default" if new else "v2", "separator": "/"},
        dimension_names=[*"zyx"] if new else None, config={"write_empty_chunks": True},
    )  # fmt: skip


def open_array(path: Path, key: str) -> Any:
    """Return an array of a container to read and write, every chunk in full."""
    zarr = import_zarr()
    if _is_old(zarr):
        return zarr.open_array(str(path / key), mode="r+")
    with zarr.config.set({"array.write_empty_chunks": True}):  # zarr 3.1 does not heed its argument config here
        return zarr.open_array(str(path / key), mode="r+")


def create_group(path: Path, zarr_format: int = 2) -> Any:
    """Return a new container; raises as `create_ome_zarr`."""
    zarr = import_zarr()
    if not _is_old(zarr):
        return zarr.open_group(str(path), mode="w-", zarr_format=zarr_format)
    if zarr_format > 2:
        raise ImportError(f"OME-Zarr 0.5 needs zarr 3 and Python 3.11, got zarr {zarr.__version__}; write version 0.4")
    return zarr.open_group(str(path), mode="w-")


def _is_old(zarr: Any) -> bool:
    return int(zarr.__version__.split(".")[0]) < 3


def _describe(group: Any, content: dict[str, Any], version: str) -> None:
    """Set metadata, whose version lies in each part of 0.4, and once above all in 0.5."""
    if version == "0.5":
        group.attrs["ome"] = {"version": version, **content}
        return
    for pyramid in content.get("multiscales", []):
        pyramid["version"] = version
    if "image-label" in content:
        content["image-label"]["version"] = version
    group.attrs.update(content)
