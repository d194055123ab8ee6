"""Signed distance maps.

Peers get the same classes in the form they take: one-hot channels for MONAI, a label image for MIST, one mask per class
for the others, which all run on one thread. What each returns is compared with ours.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from scipy import ndimage

from benchmarks.case import Against, Calls, Case, data_folder, installed
from benchmarks.phantoms import ellipsoids, hard_mask
from monai_boundary.kernels.distance import ROBUST, signed_distance_map

__all__ = ["CASES"]

SPACING = (3.0, 1.0, 1.0)
LESION_CLIP_MM = 20.0
EXACT = ("scipy", "edt.sdf", "DIPlib", "ours, edt")  # these give our values, and a run fails where they do not
TOLERANCE_MM = 1e-3
Spacing = Sequence[float]
Signed = Callable[[np.ndarray, Spacing], np.ndarray]


def _scipy(mask: np.ndarray, spacing: Spacing) -> np.ndarray:
    outside = ndimage.distance_transform_edt(~mask, sampling=spacing)
    outside -= ndimage.distance_transform_edt(mask, sampling=spacing)
    return outside


def _edt(mask: np.ndarray, spacing: Spacing) -> np.ndarray:
    import edt

    inside: np.ndarray = edt.sdf(mask, anisotropy=tuple(spacing), parallel=1)
    return np.negative(inside, out=inside)


def _diplib(mask: np.ndarray, spacing: Spacing) -> np.ndarray:
    import diplib

    diplib.SetNumberOfThreads(1)

    def distance(of: np.ndarray) -> np.ndarray:
        image = diplib.Image(of)
        image.SetPixelSize(list(spacing[::-1]))  # its axes are x, y, z
        return np.asarray(diplib.EuclideanDistanceTransform(image, border="object"))  # no distance to the border

    return distance(~mask) - distance(mask)


def _pyedt(mask: np.ndarray, spacing: Spacing) -> np.ndarray:
    import pyedt

    inside, outside = (pyedt.edt_cpu(of, scale=tuple(spacing), limit_cpus=1) for of in (mask, ~mask))
    return outside - inside


def _simpleitk(mask: np.ndarray, spacing: Spacing) -> np.ndarray:
    import SimpleITK

    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    image = SimpleITK.GetImageFromArray(mask.view(np.uint8))
    image.SetSpacing(tuple(spacing[::-1]))
    signed = SimpleITK.SignedMaurerDistanceMap(
        image, insideIsPositive=False, squaredDistance=False, useImageSpacing=True
    )
    found: np.ndarray = SimpleITK.GetArrayFromImage(signed)
    return found


PEERS: dict[str, tuple[str, Signed]] = {
    "scipy": ("scipy", _scipy),
    "edt.sdf": ("edt", _edt),
    "DIPlib": ("diplib", _diplib),
    "pyedt": ("pyedt", _pyedt),
    "SimpleITK": ("SimpleITK", _simpleitk),
}


def _per_class(
    signed: Signed, labels: np.ndarray, classes: range, spacing: Spacing, clip: float | None
) -> Callable[[], np.ndarray]:
    def run() -> np.ndarray:
        maps = np.empty((len(classes), *labels.shape), np.float32)
        for out, index in zip(maps, classes, strict=True):
            out[...] = signed(labels == index, spacing)
            if clip is not None:
                np.clip(out, -clip, clip, out=out)
        return maps

    return run


def _by_peers(
    labels: np.ndarray, classes: range, spacing: Spacing, clip: float | None = None
) -> dict[str, Callable[[], Any]]:
    """One call for each peer that takes masks and is installed."""
    return {
        name: _per_class(signed, labels, classes, spacing, clip)
        for name, (package, signed) in PEERS.items()
        if installed(package)
    }


def _monai(labels: np.ndarray, classes: range) -> Callable[[], np.ndarray]:
    from monai.losses import BoundaryLoss

    onehot = torch.from_numpy(np.stack([labels == index for index in classes])[None].astype(np.float32))
    return lambda: BoundaryLoss().compute_distance_map(onehot)[0].numpy()


def _mist(labels: np.ndarray, classes: range) -> Callable[[], np.ndarray]:
    """The maps of MIST's surface losses, as its preprocessing makes them by default: normalised, spacing left out."""
    import SimpleITK
    from mist.preprocessing.preprocess import compute_dtm

    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    image = SimpleITK.GetImageFromArray(labels)
    image.SetSpacing(SPACING[::-1])
    return lambda: compute_dtm(image, list(classes), normalize_dtm=True)


def compare(name: str, theirs: np.ndarray, ours: np.ndarray) -> dict[str, float]:
    """The largest differences in mm, on either side of the surface; none to MIST, whose maps have no unit."""
    if theirs.shape != ours.shape:
        return {}
    difference = np.abs(theirs - ours)
    if name in EXACT and not difference.max() <= TOLERANCE_MM:
        raise RuntimeError(f"{name} must give our map, got values that are up to {difference.max():g} mm off")
    outside = ours > 0
    found = {"outside": difference[outside], "inside": difference[~outside]}
    return {f"mm {side}": float(part.max()) for side, part in found.items() if part.size}


def phantom(shape: tuple[int, ...], num_classes: int, include_background: bool) -> Calls:
    """Maps of ellipsoids."""
    labels = ellipsoids(shape, num_classes)
    classes = range(0 if include_background else 1, num_classes)
    ours = functools.partial(signed_distance_map, labels[None], num_classes, SPACING, convention="centre",
                             include_background=include_background)  # fmt: skip
    calls = {"ours": ours, **_by_peers(labels, classes, SPACING), "MONAI": _monai(labels, classes)}
    if installed("mist"):
        calls["MIST"] = _mist(labels, classes)
    return Calls(calls, compare)


def lesions(step: int) -> Calls:
    """Clipped maps of the first MS lesion mask, every `step`-th voxel."""
    import nibabel

    image = nibabel.load(min((data_folder() / "ms_lesions" / "masks_raw").glob("*.nii.gz")))
    spacing = tuple(float(size) * step for size in image.header.get_zooms())
    labels = np.asanyarray(image.dataobj).astype(np.uint8)[(slice(None, None, step),) * 3].copy(order="C")
    ours = functools.partial(signed_distance_map, labels[None], 2, spacing, convention="centre",
                             include_background=False, clip=LESION_CLIP_MM)  # fmt: skip
    return Calls({"ours": ours, **_by_peers(labels, range(1, 2), spacing, LESION_CLIP_MM)}, compare)


def hard(kind: str, shape: tuple[int, ...]) -> Calls:
    """The map that training uses, by numba and by the engine that takes its place where numba is missing."""
    labels = hard_mask(kind, shape).astype(np.uint8)[None]
    by = functools.partial(signed_distance_map, labels, 2, SPACING, **dataclasses.asdict(ROBUST))
    return Calls({"ours": functools.partial(by, backend="numba"), "ours, edt": functools.partial(by, backend="edt")},
                 compare)  # fmt: skip


_CUBE, _LARGE = (128, 128, 128), (256, 256, 180)
_PEERS = ("scipy", "edt.sdf", "DIPlib", "MIST", "SimpleITK", "pyedt", "MONAI")
_SMALL = (24, 32, 28)


def _against(**targets: float) -> tuple[Against, ...]:
    """All peers, with the targets that there are; a dot in a name is written as an underscore."""
    return tuple(Against(name, targets.get(name.replace(".", "_"))) for name in _PEERS)


CASES = [
    Case("map_k4", "maps", "signed map, 128^3, 3 foreground classes", phantom, (_CUBE, 4, False), (_SMALL, 4, False),
         _against(scipy=60, edt_sdf=15, DIPlib=4, MIST=10, MONAI=14), rounds=7, headline=True),
    Case("map_k2", "maps", "signed map, 128^3, both of 2 classes", phantom, (_CUBE, 2, True), (_SMALL, 2, True),
         _against(scipy=20, edt_sdf=4, MONAI=22), rounds=7),
    Case("map_large", "maps", "signed map, 256x256x180, 1 foreground class", phantom, (_LARGE, 2, False),
         (_SMALL, 2, False), _against(), rounds=3),
    Case("map_lesions", "maps", "signed map of an MS lesion mask, 50 M voxels, clipped at 20 mm", lesions, (1,), (4,),
         (Against("scipy", 25, memory=0.25, rounds=1), Against("edt.sdf"), Against("DIPlib"), Against("SimpleITK"),
          Against("pyedt", rounds=1)), ("data/ms_lesions/masks_raw",), rounds=2, headline=True),
    *(Case(f"floor_{kind}_robust", "maps", f"{kind}, 256x256x180, robust, both classes", hard, (kind, _LARGE),
           (kind, (32, 32, 24)), (Against("ours, edt", 1.5),), ("numba", "edt"), rounds=3)
      for kind in ("lesions", "organ", "tissue", "sheet")),
]  # fmt: skip
