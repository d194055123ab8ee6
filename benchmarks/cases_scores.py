"""Surface scores against MONAI's metrics, and scores of objects against scikit-image; the values are compared, too."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from benchmark import Cases, installed
from measure import data_folder
from monai.metrics import HausdorffDistanceMetric, SurfaceDiceMetric, SurfaceDistanceMetric
from scipy import ndimage

from monai_boundary.datasets import membrane_phantom
from monai_boundary.datasets.nifti import read_image
from monai_boundary.metrics import LikelihoodSegmentation, ProtocolMetric, instance_scores

__all__ = ["blob_surfaces", "fib_sem_objects", "lesion_surfaces", "phantom_objects", "segmentation"]

SPACING = (3.0, 1.0, 1.0)
ALL = ("hd95_mm", "hausdorff_mm", "average_mm", "surface_dice")
PEER = "scikit-image"


def blob_surfaces(size: int, percent: float) -> Cases:
    """Two overlapping random masks that fill `percent` of a cube."""
    noise = np.random.default_rng(0).normal(size=(2, size, size, size)).astype(np.float32)
    base, other = (ndimage.gaussian_filter(field, 4) for field in noise)
    pred, target = (field > np.quantile(field, 1 - percent / 100) for field in (base, base + 0.5 * other))
    return _surfaces(pred, target, SPACING)


def lesion_surfaces(step: int) -> Cases:
    """Every `step`-th voxel of a real lesion mask, and the same mask 3 voxels aside."""
    volume = read_image(min((data_folder() / "ms_lesions" / "masks_raw").glob("*.nii.gz")))  # its labels need no check
    mask = np.ascontiguousarray(volume.array[(slice(None, None, step),) * 3] == 1)
    return _surfaces(np.roll(mask, 3, axis=2), mask, tuple(step * size for size in volume.spacing))


def _surfaces(pred: np.ndarray, target: np.ndarray, spacing: tuple[float, ...]) -> Cases:
    """One call per way to score the pair; both sides get the same one-hot tensors, which the floor reads once."""
    warnings.filterwarnings("ignore", category=FutureWarning)
    pair = [torch.from_numpy(mask)[None, None].float() for mask in (pred, target)]
    options = {"include_background": True}

    def run(*metrics: Any) -> list[float]:
        found: list[float] = []
        for metric in metrics:
            metric(*pair, spacing=spacing)
            value = metric.aggregate()
            found += [float(item) for item in (value if isinstance(value, list) else [value])]
        return found

    calls = {
        "ours": lambda: run(ProtocolMetric("surface", "hd95_mm", **options)),
        "monai": lambda: run(HausdorffDistanceMetric(percentile=95, **options)),
        "ours, four scores": lambda: run(ProtocolMetric("surface", ALL, **options)),
        "monai, four scores": lambda: run(
            HausdorffDistanceMetric(percentile=95, **options),
            HausdorffDistanceMetric(**options),
            SurfaceDistanceMetric(symmetric=True, **options),
            SurfaceDiceMetric(class_thresholds=[1.0], **options),
        ),
    }
    return Cases(calls, bytes_touched=2 * 4 * pred.size, voxels=pred.size, agree=_hd95_difference)


def _hd95_difference(results: dict[str, Any]) -> dict[str, float]:
    pairs = [(results[f"ours{what}"][0], results[f"monai{what}"][0]) for what in ("", ", four scores")]
    return {"difference of HD95, mm": max(abs(ours - peer) for ours, peer in pairs)}


_phantom = functools.cache(functools.partial(membrane_phantom, 0, (50, 100, 100), cell_size=20))


def _phantom_pair(boxes: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Likelihood and ids of a phantom of 50 x 100 x 100 voxels, each a box of `boxes`."""
    phantom = _phantom()
    sizes = np.ones(boxes, np.int32)
    return np.kron(1 - phantom.image, sizes.astype(np.float32)), np.kron(phantom.ids, sizes)


def segmentation(boxes: tuple[int, int, int]) -> Cases:
    """From likelihood to ids; the floor reads the one and writes the other."""
    likelihood, _ = _phantom_pair(boxes)
    segment: Any = LikelihoodSegmentation(0.5)
    return Cases({"ours": lambda: segment(likelihood)}, bytes_touched=(4 + 4) * likelihood.size, voxels=likelihood.size)


def phantom_objects(boxes: tuple[int, int, int]) -> Cases:
    """Two maps of ids of a phantom, int32; and the same with ids beyond 2^33, which the peer cannot do."""
    likelihood, ids = _phantom_pair(boxes)
    segment: Any = LikelihoodSegmentation(0.5)
    pred = segment(likelihood)
    wide = [array.astype(np.uint64) << np.uint64(33) for array in (pred, ids)]
    return _objects(pred, ids, {"ours, ids beyond 2^33, uint64": lambda: instance_scores(*wide)})


def fib_sem_objects(side: int) -> Cases:
    """The FIB-SEM volume, at most `side` voxels along each axis."""
    import h5py

    folder, box = data_folder() / "fibsem_gala", (slice(side),) * 3
    with h5py.File(folder / "p1.lzf.h5") as likelihood, h5py.File(folder / "gt.lzf.h5") as ids:
        segment: Any = LikelihoodSegmentation(0.5)
        return _objects(segment(likelihood["stack"][box]), ids["stack"][box], {})


def _objects(pred: np.ndarray, ids: np.ndarray, more: dict[str, Callable[[], Any]]) -> Cases:
    def ours() -> tuple[float, float]:
        scores = instance_scores(pred, ids)
        return scores.voi_split, scores.voi_merge

    def peer() -> tuple[float, float]:
        from skimage.metrics import adapted_rand_error, variation_of_information

        adapted_rand_error(ids, pred)
        split, merge = variation_of_information(ids, pred, ignore_labels=(0,))
        return float(split), float(merge)

    def gap(results: dict[str, Any]) -> dict[str, float]:
        if PEER not in results:
            return {}
        return {"difference of VOI, bits": float(np.abs(np.subtract(results["ours"], results[PEER])).max())}

    there = installed("skimage")
    return Cases(
        {"ours": ours, **({PEER: peer} if there else {}), **more},
        bytes_touched=pred.nbytes + ids.nbytes,
        voxels=pred.size,
        missing=() if there else (PEER,),
        agree=gap,
    )
