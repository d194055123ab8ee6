"""Small data sets of electron microscopy in their published layouts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813 - as everywhere
from scipy.ndimage import distance_transform_edt

from monai_boundary.datasets import membrane_phantom

SHAPE = (6, 24, 32)
CREMI_SPACING = (40.0, 4.0, 4.0)


def grey(seed: int = 0, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def blocks(seed: int = 0, shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    """Ids of boxes that touch, each slice with its own borders."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(1, 9, (shape[0], -(-shape[1] // 8), -(-shape[2] // 8)))
    return np.kron(coarse, np.ones((1, 8, 8), int))[:, : shape[1], : shape[2]]


def interior(seed: int = 0, shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    """Masks as ISBI 2012 has them: 255 in cells, 0 on membranes."""
    phantom = membrane_phantom(seed, (shape[0] * shape[1], shape[2]), cell_size=16)
    return ((1 - phantom.membrane) * 255).astype(np.uint8).reshape(shape)


def write_png(path: Path, array: np.ndarray, colours: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(sitk.GetImageFromArray(array, isVector=colours), str(path))


def write_slices(folder: Path, array: np.ndarray, name: str = "{:02d}.png") -> None:
    for index, one in enumerate(array):
        write_png(folder / name.format(index), one)


def write_tiff(path: Path, array: np.ndarray, **settings) -> None:
    import tifffile

    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, array, **({"photometric": "minisblack"} | settings))


def write_hdf5(
    path: Path, arrays: dict[str, np.ndarray], attributes: dict[str, dict] | None = None, **settings
) -> None:
    """`attributes` by data set; `settings` of h5py's ``create_dataset``."""
    import h5py

    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for key, array in arrays.items():
            dataset = file.create_dataset(key, data=array, **settings)
            dataset.attrs.update((attributes or {}).get(key, {}))


def write_cremi(
    path: Path,
    ids: np.ndarray | None,
    image: np.ndarray | None = None,
    origin: tuple[float, ...] | None = None,
    **attributes,
) -> None:
    """A file of CREMI; `origin` is the image's attribute offset, `attributes` are those of the labels."""
    resolution = {"resolution": CREMI_SPACING}
    arrays = {"volumes/raw": grey() if image is None else image}
    if ids is not None:
        arrays["volumes/labels/neuron_ids"] = ids.astype(np.uint64)
    raw = resolution | ({} if origin is None else {"offset": origin})
    labels = {"volumes/labels/neuron_ids": resolution | attributes}
    write_hdf5(path, arrays, {"volumes/raw": raw} | labels, compression="gzip")


def cells(depth: int = 6, shape: tuple[int, int] = (56, 48), seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Slices of a phantom that has no gaps, and ids that touch as those of CREMI."""
    phantoms = [membrane_phantom(seed + z, shape, cell_size=16, gaps=0, noise=0.02) for z in range(depth)]
    image = np.stack([(phantom.image * 255).astype(np.uint8) for phantom in phantoms])
    nearest = [distance_transform_edt(one.ids == 0, return_distances=False, return_indices=True) for one in phantoms]
    ids = [one.ids[tuple(places)] + 100 * z for z, (one, places) in enumerate(zip(phantoms, nearest, strict=True))]
    return image, np.stack(ids)


def write_isbi2012(root: Path, depth: int = 6) -> Path:
    """Folders of slices of a phantom."""
    image, ids = cells(depth)
    edges = np.zeros(ids.shape, bool)
    edges[:, 1:] |= ids[:, 1:] != ids[:, :-1]
    edges[:, :, 1:] |= ids[:, :, 1:] != ids[:, :, :-1]
    write_slices(root / "images", image)
    write_slices(root / "labels", np.where(edges, 0, 255).astype(np.uint8))
    return root


def write_samples(root: Path) -> Path:
    """Two samples of CREMI with 6 and 2 slices, the second without ids."""
    image, ids = cells()
    write_cremi(root / "sample_A_20160501.hdf", ids, image)
    write_cremi(root / "sample_A+_20160601.hdf", None, image[:2])
    return root


def write_zarr(
    path: Path,
    arrays: dict[str, np.ndarray],
    attributes: dict[str, dict] | None = None,
    zarr_format: int = 3,
    codec: str | None = "blosc",
    **settings,
) -> Path:
    """Plain arrays by zarr, in chunks of (4, 16, 16) or what is left of it; `settings` of its ``create_array``."""
    import numcodecs
    import zarr

    old, new = {"zstd": numcodecs.Zstd, "gzip": numcodecs.GZip, "blosc": numcodecs.Blosc}, zarr.codecs
    codecs = old if zarr_format == 2 else {"zstd": new.ZstdCodec, "gzip": new.GzipCodec, "blosc": new.BloscCodec}
    group = zarr.open_group(path, mode="w", zarr_format=zarr_format)
    for key, array in arrays.items():
        chunks = tuple(min(size, limit) for size, limit in zip(array.shape[::-1], (16, 16, 4, 1, 1), strict=False))[
            ::-1
        ]
        made = group.create_array(
            key, shape=array.shape, dtype=array.dtype, chunks=chunks, compressors=codec and codecs[codec](),
            config={"write_empty_chunks": True}, **settings,
        )  # fmt: skip
        made[...] = array
        made.attrs.update((attributes or {}).get(key, {}))
    return path


def write_n5(
    path: Path, arrays: dict[str, np.ndarray], compression: str = "gzip", attributes: dict | None = None
) -> Path:
    """Arrays by z5py, which writes the sizes of an array from x on; so are those of voxels."""
    import z5py

    with z5py.File(str(path), "w") as file:
        for key, array in arrays.items():
            made = file.create_dataset(key, data=array, chunks=(4, 16, 16), compression=compression)
            made.attrs.update({"resolution": [4, 4, 40]} if attributes is None else attributes)
    return path


def write_ome_zarr(
    path: Path,
    image: np.ndarray,
    ids: np.ndarray | None = None,
    version: str = "0.4",
    axes: str = "zyx",
    unit: str = "nanometer",
    shift: tuple[float, ...] = (0, 0, 0),
) -> Path:
    """OME-Zarr of one level, the image at (400, 40, 80) nm, with voxels of 40 x 4 x 4 nm; written by zarr.

    `image` is (z, y, x), or has all `axes`; ids are (z, y, x) and `shift` voxels further on.
    """
    if image.ndim == 3:
        image = image.transpose([c for c in map("zyx".find, axes) if c >= 0])
        image = image.reshape((1,) * (len(axes) - 3) + image.shape)
    nm = {"nanometer": 1.0, "micrometer": 1e-3, "angstrom": 10.0}[unit]
    write_zarr(
        path, {"0": image} | ({} if ids is None else {"labels/ids/0": ids}), zarr_format=2 if version == "0.4" else 3
    )
    parts = [("", axes, (0, 0, 0)), *([("labels/ids", "zyx", shift)] if ids is not None else [])]
    for key, letters, moved in parts:
        sizes = {c: s * nm for c, s in zip("zyx", CREMI_SPACING, strict=True)}
        places = {c: (at + m * s) * nm for c, at, m, s in zip("zyx", (400, 40, 80), moved, CREMI_SPACING, strict=True)}
        kinds = {"t": "time", "c": "channel"}
        entries = [{"name": c, "type": kinds.get(c, "space")} | ({"unit": unit} if c in sizes else {}) for c in letters]
        steps = [
            {"type": "scale", "scale": [sizes.get(c, 1.0) for c in letters]},
            {"type": "translation", "translation": [places.get(c, 0.0) for c in letters]},
        ]
        dataset = {"path": "0", "coordinateTransformations": steps}
        _set_attributes(path / key, {"multiscales": [{"axes": entries, "datasets": [dataset]}]}, version)
    if ids is not None:
        _set_attributes(path / "labels", {"labels": ["ids"]}, version)
    return path


def _set_attributes(path: Path, content: dict, version: str) -> None:
    import zarr

    one = zarr.open_group(path, mode="r+")
    if version == "0.5":
        one.attrs["ome"] = {"version": version} | content
    else:
        one.attrs.update(content)
