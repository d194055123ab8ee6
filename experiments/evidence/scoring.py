"""Scores of predicted probabilities case by case, at .5, at the threshold and with the size filter of validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from monai.networks import eval_mode
from scipy import ndimage

from experiments.evidence.cases import Case
from experiments.shared.training import DEVICE
from monai_boundary.metrics import dice_score, lesion_counts, surface_distances

Scores = dict[str, float]
#: Takes prediction and target, bool `(*S)` of two or three axes, and the spacing.
Score = Callable[[np.ndarray, np.ndarray, Sequence[float]], Scores]

THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
#: Voxels below which a predicted component is left out.
SIZES = (0, 2, 3, 5, 8, 12, 20, 35, 60, 100)
#: How a probability becomes a prediction, and what it is called in the tables.
POINTS = {"plain": "at .5", "threshold": "best threshold", "filter": "size filter"}


def predict(network: torch.nn.Module, case: Case) -> np.ndarray:
    """Return the probability of foreground `(N, H, W)`."""
    with eval_mode(network):
        parts = [network(part.to(DEVICE)).softmax(1)[:, 1].cpu() for part in torch.from_numpy(case.image).split(16)]
    return torch.cat(parts).numpy()


def without_small(mask: np.ndarray, size: int) -> np.ndarray:
    """Leave out components, neighbours by corners included, of fewer than `size` voxels."""
    if size < 2:
        return mask
    labels, count = ndimage.label(mask, ndimage.generate_binary_structure(mask.ndim, mask.ndim))
    keep = np.bincount(labels.ravel(), minlength=count + 1) >= size
    keep[0] = False
    kept: np.ndarray = keep[labels]
    return kept


def lesion_scores(pred: np.ndarray, target: np.ndarray, spacing: Sequence[float]) -> Scores:
    """Return overlap, distance and detection; with and without a lesion what can be told then."""
    lesions = lesion_counts(pred, target)
    scores = {"precision": lesions.precision, "false_lesions": lesions.predicted - lesions.true}
    if target.any():
        scores |= {"dice": dice_score(pred, target), "recall": lesions.recall, "f1": lesions.f1}
        scores["hd95"] = surface_distances(pred, target, spacing).hausdorff_mm(95)
    else:
        scores["false_area"] = float(pred.mean())
    return {key: round(float(value), 5) for key, value in scores.items()}


def lesion_agreement(pred: np.ndarray, target: np.ndarray) -> float:
    """Return the mean of Dice and lesion F1; without a lesion, 1 where nothing is predicted and 0 otherwise."""
    if not target.any():
        return float(not pred.any())
    return (dice_score(pred, target) + lesion_counts(pred, target).f1) / 2


def flat(stack: np.ndarray) -> np.ndarray:
    """Return a stack of one slice as a slice."""
    return stack[0] if len(stack) == 1 else stack


def validation_scores(probs: Sequence[np.ndarray], cases: Sequence[Case], threshold: float, size: int = 0) -> float:
    """Return the mean agreement over the cases."""
    values = [
        lesion_agreement(without_small(flat(prob > threshold), size), flat(case.label > 0))
        for prob, case in zip(probs, cases, strict=True)
    ]
    return float(np.mean(values))


def choose_points(probs: Sequence[np.ndarray], cases: Sequence[Case]) -> dict[str, Any]:
    """Return the threshold, and the size of the filter at .5, that are best on validation cases, and the scores."""
    thresholds = {value: validation_scores(probs, cases, value) for value in THRESHOLDS}
    sizes = {value: validation_scores(probs, cases, 0.5, value) for value in SIZES}
    return {
        "threshold": max(THRESHOLDS, key=lambda value: (thresholds[value], -abs(value - 0.5))),
        "size": max(SIZES, key=lambda value: (sizes[value], -value)),
        "thresholds": {str(key): round(value, 4) for key, value in thresholds.items()},
        "sizes": {str(key): round(value, 4) for key, value in sizes.items()},
    }


def score_case(score: Score, prob: np.ndarray, case: Case, chosen: dict[str, Any]) -> dict[str, Any]:
    """Return the scores of a case at each of `POINTS`."""
    target, mask = flat(case.label > 0), flat(prob > 0.5)
    spacing = case.spacing[-target.ndim :]
    row: dict[str, Any] = {"case": case.name, "group": case.group, "kind": case.kind}
    row["plain"] = score(mask, target, spacing)
    for point, other in (
        ("threshold", flat(prob > chosen["threshold"])),
        ("filter", without_small(mask, chosen["size"])),
    ):
        row[point] = row["plain"] if np.array_equal(other, mask) else score(other, target, spacing)
    return row
