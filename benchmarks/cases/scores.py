"""Scores of surfaces against MONAI, of single lesions against CC-Metrics and panoptica, of objects: scikit-image."""

from __future__ import annotations

import functools
import warnings
from typing import Any

import numpy as np
import torch
from scipy import ndimage

from benchmarks.case import Against, Calls, Case, data_folder, installed
from benchmarks.phantoms import lesion_pair
from monai_boundary.datasets import membrane_phantom
from monai_boundary.datasets.nifti import read_image
from monai_boundary.metrics import PROTOCOLS, LikelihoodSegmentation, ProtocolMetric, instance_scores, score_pair

__all__ = ["CASES"]

SPACING = (3.0, 1.0, 1.0)
FOUR = ("hd95_mm", "hausdorff_mm", "average_mm", "surface_dice")


def blobs(size: int, percent: float) -> Calls:
    """Two overlapping random masks that fill `percent` of a cube."""
    noise = np.random.default_rng(0).normal(size=(2, size, size, size)).astype(np.float32)
    base, other = (ndimage.gaussian_filter(field, 4) for field in noise)
    pred, target = (field > np.quantile(field, 1 - percent / 100) for field in (base, base + 0.5 * other))
    return _surfaces(pred, target, SPACING)


def lesions(step: int) -> Calls:
    """Every `step`-th voxel of a real lesion mask, and the same mask 3 voxels aside."""
    volume = read_image(min((data_folder() / "ms_lesions" / "masks_raw").glob("*.nii.gz")))  # its labels need no check
    mask = np.ascontiguousarray(volume.array[(slice(None, None, step),) * 3] == 1)
    return _surfaces(np.roll(mask, 3, axis=2), mask, tuple(step * size for size in volume.spacing))


def _surfaces(pred: np.ndarray, target: np.ndarray, spacing: tuple[float, ...]) -> Calls:
    """HD95, and four scores of which it is the first; both sides get the same one-hot tensors."""
    from monai.metrics import HausdorffDistanceMetric, SurfaceDiceMetric, SurfaceDistanceMetric

    warnings.filterwarnings("ignore", category=FutureWarning)
    pair = [torch.from_numpy(mask)[None, None].float() for mask in (pred, target)]
    options: dict[str, Any] = {"include_background": True}

    def run(*metrics: Any) -> list[float]:
        found: list[float] = []
        for metric in metrics:
            metric(*pair, spacing=spacing)
            value = metric.aggregate()
            found += [float(item) for item in (value if isinstance(value, list) else [value])]
        return found

    def hd95() -> Any:
        return HausdorffDistanceMetric(percentile=95, **options)

    calls = {
        "ours": lambda: run(ProtocolMetric("surface", "hd95_mm", **options)),
        "ours, four scores": lambda: run(ProtocolMetric("surface", FOUR, **options)),
        "MONAI": lambda: run(hd95()),
        "MONAI, four scores": lambda: run(
            hd95(),
            HausdorffDistanceMetric(**options),
            SurfaceDistanceMetric(symmetric=True, **options),
            SurfaceDiceMetric(class_thresholds=[1.0], **options),
        ),
    }
    return Calls(calls, lambda _, theirs, ours: {"mm HD95": abs(theirs[0] - ours[0])})


def single_lesions(shape: tuple[int, int, int], count: int) -> Calls:
    """All 19 scores of the protocol, and one of them; those of the peers that each peer has."""
    pred, target = lesion_pair(shape, count)

    def ours(*names: str) -> dict[str, float]:
        return score_pair("lesions", pred, target, None, scores=names or None)

    calls: dict[str, Any] = {
        "ours": ours, "ours, CC-Dice": lambda: ours("cc_dice"), "ours, PQ": lambda: ours("panoptic_quality"),
    }  # fmt: skip
    if installed("CCMetrics"):
        calls["CC-Metrics, Dice, HD95, surface Dice"] = lambda: _cc_metrics(pred, target, surfaces=True)
        calls["CC-Metrics, Dice"] = lambda: _cc_metrics(pred, target, surfaces=False)
    if installed("panoptica"):
        calls["panoptica, PQ, Dice, HD95, surface Dice"] = lambda: _panoptica(pred, target, "DSC", "HD95", "NSD")
        calls["panoptica, PQ"] = lambda: _panoptica(pred, target)

    def compare(name: str, theirs: float, found: dict[str, float]) -> dict[str, float]:
        score = "cc_dice" if name.startswith("CC") else "panoptic_quality"
        return {PROTOCOLS["lesions"][score].title: abs(theirs - found[score])}

    return Calls(calls, compare)


@torch.no_grad()  # which brings back what its import turns off for good
def _cc_metrics(pred: np.ndarray, target: np.ndarray, surfaces: bool) -> float:
    import CCMetrics

    metrics = [CCMetrics.CCDiceMetric(use_caching=False)]
    if surfaces:
        metrics += [CCMetrics.CCHausdorffDistance95Metric(use_caching=False, metric_worst_score=374.0),
                    CCMetrics.CCSurfaceDiceMetric(use_caching=False, class_thresholds=[1.0])]  # fmt: skip
    masks = [torch.from_numpy(np.stack([~mask, mask])[None].astype(np.uint8)) for mask in (pred, target)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MONAI, where a cell holds no prediction
        for metric in metrics:
            metric(*masks)
        dice, *_ = [float(metric.cc_aggregate()[0]) for metric in metrics]
    return dice


def _panoptica(pred: np.ndarray, target: np.ndarray, *scores: str) -> float:
    import panoptica

    panoptica.disable_citation_reminder()
    evaluator = panoptica.Panoptica_Evaluator(
        expected_input=panoptica.InputType.SEMANTIC,
        instance_approximator=panoptica.ConnectedComponentsInstanceApproximator(),
        instance_matcher=panoptica.NaiveThresholdMatching(panoptica.Metric.IOU, 0.5, strict_threshold=True),
        instance_metrics=[panoptica.Metric[name] for name in ("IOU", *scores)],
        global_metrics=[],
    )
    (result,) = evaluator.evaluate(pred.astype(np.uint8), target.astype(np.uint8)).values()
    return float(result.pq)


@functools.cache
def _phantom_pair(boxes: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Likelihood and ids of a phantom of 50 x 100 x 100 voxels, each voxel a box of `boxes`."""
    phantom = membrane_phantom(0, (50, 100, 100), cell_size=20)
    sizes = np.ones(boxes, np.int32)
    return np.kron(1 - phantom.image, sizes.astype(np.float32)), np.kron(phantom.ids, sizes)


def segmentation(boxes: tuple[int, int, int]) -> Calls:
    """From likelihood to ids: a threshold and the components below it."""
    likelihood, _ = _phantom_pair(boxes)
    segment: Any = LikelihoodSegmentation(0.5)
    calls = {"ours": lambda: segment(likelihood), "scipy.ndimage.label": lambda: ndimage.label(likelihood <= 0.5)[0]}
    return Calls(calls, lambda _, theirs, ours: {"ids": abs(float(theirs.max() - ours.max()))})


def phantom_objects(boxes: tuple[int, int, int]) -> Calls:
    """Two maps of ids of a phantom, int32; and the same with ids beyond 2^33, which the peer cannot do."""
    likelihood, ids = _phantom_pair(boxes)
    segment: Any = LikelihoodSegmentation(0.5)
    return _objects(segment(likelihood), ids)


def fib_sem_objects(side: int) -> Calls:
    """The FIB-SEM volume, at most `side` voxels along each axis."""
    import h5py

    folder, box = data_folder() / "fibsem_gala", (slice(side),) * 3
    with h5py.File(folder / "p1.lzf.h5") as likelihood, h5py.File(folder / "gt.lzf.h5") as ids:
        segment: Any = LikelihoodSegmentation(0.5)
        return _objects(segment(likelihood["stack"][box]), ids["stack"][box])


def _objects(pred: np.ndarray, ids: np.ndarray) -> Calls:
    """Split and merge of the variation of information; the peer's time is that of its two functions."""
    wide = [array.astype(np.uint64) << np.uint64(33) for array in (pred, ids)]

    def ours(*pair: np.ndarray) -> tuple[float, float]:
        scores = instance_scores(*pair)
        return scores.voi_split, scores.voi_merge

    def peer() -> tuple[float, float]:
        from skimage.metrics import adapted_rand_error, variation_of_information

        adapted_rand_error(ids, pred)
        split, merge = variation_of_information(ids, pred, ignore_labels=(0,))
        return float(split), float(merge)

    calls = {"ours": lambda: ours(pred, ids), "ours, uint64 beyond 2^33": lambda: ours(*wide)}
    if installed("skimage"):
        calls["scikit-image"] = peer
    return Calls(calls, lambda _, theirs, mine: {"bits VOI": float(np.abs(np.subtract(theirs, mine)).max())})


_SURFACES = (Against("MONAI"), Against("MONAI, four scores", ours="ours, four scores"))
_OBJECTS = (Against("scikit-image", rounds=3), Against("ours, uint64 beyond 2^33"))
_SLOWEST = (Against("CC-Metrics, Dice, HD95, surface Dice", 20, rounds=1),)
_LESIONS = (
    Against("CC-Metrics, Dice", 20, ours="ours, CC-Dice", rounds=1),
    Against("panoptica, PQ, Dice, HD95, surface Dice", 20, rounds=3),
    Against("panoptica, PQ", 20, ours="ours, PQ", rounds=3),
)
_BOXES, _ONE = ((2, 7, 7),), ((1, 1, 1),)
CASES = [
    Case("surfaces_sparse", "scores", "HD95, 128^3, mask of 0.5 %", blobs, (128, 0.5), (24, 10.0), _SURFACES,
         headline=True),
    Case("surfaces_dense", "scores", "HD95, 128^3, mask of 10 %", blobs, (128, 10.0), (24, 10.0), _SURFACES),
    Case("surfaces_lesions", "scores", "HD95, MS lesion mask, 50 M voxels", lesions, (1,), (4,), _SURFACES,
         ("data/ms_lesions/masks_raw",), rounds=3),
    Case("single_lesions", "scores", "scores of 200 lesions, 160 x 192 x 160", single_lesions, ((160, 192, 160), 200),
         ((36, 36, 36), 10), _LESIONS, headline=True),
    Case("single_lesions_surfaces", "scores", "scores of 200 lesions, 160 x 192 x 160", single_lesions,
         ((160, 192, 160), 200), ((36, 36, 36), 10), _SLOWEST, ("CCMetrics",), long=True),
    Case("objects_fib_sem", "scores", "VOI and Rand error, FIB-SEM, 1 M voxels", fib_sem_objects, (1000,), (40,),
         _OBJECTS, ("data/fibsem_gala", "h5py", "cc3d")),
    Case("objects_phantom", "scores", "VOI and Rand error, phantom, 49 M voxels, int32", phantom_objects, _BOXES, _ONE,
         _OBJECTS, ("cc3d",), headline=True),
    Case("segmentation", "scores", "likelihood to ids, 49 M voxels", segmentation, _BOXES, _ONE,
         (Against("scipy.ndimage.label"),), ("cc3d",), rounds=3),
]  # fmt: skip
