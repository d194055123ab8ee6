"""Scores of single cases: objects and lesions, nuclei, vessels, buildings, membranes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from monai_boundary.metrics import boundary_f1, dice_score, instance_scores, lesion_counts, surface_distances

Scores = dict[str, float]
#: Tolerance of the boundary F1 of buildings in pixels.
THETA = 3


def _rounded(scores: Scores) -> Scores:
    return {key: round(float(value), 5) for key, value in scores.items()}


def object_scores(pred: np.ndarray, target: np.ndarray, spacing: Sequence[float]) -> Scores:
    """Return overlap, distance and detection; where there is nothing to find, what is found all the same."""
    lesions = lesion_counts(pred, target)
    scores: Scores = {"precision": lesions.precision, "false_objects": lesions.predicted - lesions.true}
    if target.any():
        scores |= {"dice": dice_score(pred, target), "recall": lesions.recall, "f1": lesions.f1}
        scores["hd95"] = surface_distances(pred, target, spacing).hausdorff_mm(95)
    else:
        scores["false_area"] = float(pred.mean())
    return _rounded(scores)


def object_agreement(pred: np.ndarray, target: np.ndarray) -> float:
    """Return the mean of Dice and object F1; where there is nothing to find, 1 if nothing is found and 0 otherwise."""
    if not target.any():
        return float(not pred.any())
    return (dice_score(pred, target) + lesion_counts(pred, target).f1) / 2


def nucleus_scores(pred: np.ndarray, target: np.ndarray, spacing: Sequence[float]) -> Scores:
    """Add the numbers of nuclei that are merged with another one, and of those found in pieces."""
    (found, count), (true, objects) = (ndimage.label(mask) for mask in (pred, target))
    pairs = np.unique(np.stack([found[pred & target], true[pred & target]]), axis=1)
    per_found, per_true = np.bincount(pairs[0], minlength=count + 1), np.bincount(pairs[1], minlength=objects + 1)
    more: Scores = {"merges": int((per_found - 1).clip(min=0).sum()), "splits": int((per_true - 1).clip(min=0).sum())}
    return object_scores(pred, target, spacing) | _rounded(more)


def vessel_scores(pred: np.ndarray, target: np.ndarray, spacing: Sequence[float]) -> Scores:
    """Add the share that is found of thin vessels: what an opening by 3 x 3 pixels takes away."""
    thin = target & ~ndimage.binary_opening(target, np.ones((3, 3)))
    return object_scores(pred, target, spacing) | _rounded({"thin_recall": (pred & thin).sum() / max(1, thin.sum())})


def building_scores(pred: np.ndarray, target: np.ndarray, spacing: Sequence[float]) -> Scores:
    """Add IoU, and the boundary F1 of a prediction whose holes are closed."""
    scores = object_scores(pred, target, spacing)
    if target.any():
        closed = ndimage.binary_fill_holes(pred)
        scores |= _rounded({"iou": (pred & target).sum() / (pred | target).sum(),
                            "boundary_f1": boundary_f1(closed, target, THETA).f1})  # fmt: skip
    return scores


def membrane_scores(pred: np.ndarray, target: np.ndarray, spacing: Sequence[float]) -> Scores:  # noqa: ARG001
    """Compare the regions that predicted membranes enclose with the true ones."""
    scores = instance_scores(ndimage.label(~pred)[0], ndimage.label(~target)[0])
    names = ("voi", "voi_split", "voi_merge", "adapted_rand_index", "cremi_score")
    return _rounded({name: getattr(scores, name) for name in names} | {"dice": dice_score(pred, target)})


def gap_scores(pred: np.ndarray, target: np.ndarray, spacing: Sequence[float]) -> Scores:
    """Compare the nuclei that predicted gaps leave with the true ones."""
    nuclei = nucleus_scores(~pred, ~target, spacing)
    return membrane_scores(pred, target, spacing) | {name: nuclei[name] for name in ("f1", "merges", "splits")}


def membrane_agreement(pred: np.ndarray, target: np.ndarray) -> float:
    """Return the negative variation of information, higher is better."""
    return -instance_scores(ndimage.label(~pred)[0], ndimage.label(~target)[0]).voi
