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
