"""Scores of predicted probabilities case by case, at .5, at the threshold and with the size filter of validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from monai.networks import eval_mode

from experiments.evidence.cases import Case
from experiments.evidence.scores import Scores
from experiments.shared.training import DEVICE, finite
from monai_boundary.kernels.components import components

#: Takes prediction and target, bool `(*S)` of two or three axes, and the spacing.
Score = Callable[[np.ndarray, np.ndarray, Sequence[float]], Scores]
#: Takes prediction and target; the more, the better.
Agreement = Callable[[np.ndarray, np.ndarray], float]

THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
#: Voxels below which a predicted component is left out.
SIZES = (0, 2, 3, 5, 8, 12, 20, 35, 60, 100)
#: How a probability becomes a prediction, and what it is called in the tables.
POINTS = {"plain": "at .5", "threshold": "best threshold", "filter": "size filter"}


def predict(network: torch.nn.Module, case: Case) -> np.ndarray:
    """Return the probability of foreground `(N, *S)`."""
    with eval_mode(network):
        parts = [_foreground(finite(network(part.to(DEVICE)))) for part in torch.from_numpy(case.image).split(16)]
    return torch.cat(parts).numpy()


def _foreground(logits: torch.Tensor) -> torch.Tensor:
    return logits.softmax(1)[:, 1] if logits.shape[1] > 1 else logits[:, 0].sigmoid()


def without_small(mask: np.ndarray, size: int) -> np.ndarray:
    """Leave out components, neighbours by corners included, of fewer than `size` voxels."""
    if size < 2:
        return mask
    labels = components(mask)
    keep = np.bincount(labels.ravel()) >= size
    keep[0] = False
    kept: np.ndarray = keep[labels]
    return kept


def flat(stack: np.ndarray) -> np.ndarray:
    """Return a stack of one slice as a slice, and the volume of a 3D network without its first axis."""
    return stack[0] if len(stack) == 1 else stack


def validation_score(
    agreement: Agreement, probs: Sequence[np.ndarray], cases: Sequence[Case], threshold: float = 0.5, size: int = 0
) -> float:
    """Return the mean agreement over the cases."""
    values = [
        agreement(without_small(flat(prob > threshold), size), flat(case.label > 0))
        for prob, case in zip(probs, cases, strict=True)
    ]
    return float(np.mean(values))


def choose_points(agreement: Agreement, probs: Sequence[np.ndarray], cases: Sequence[Case]) -> dict[str, Any]:
    """Return the threshold, and the size of the filter at .5, that are best on validation cases, and the scores."""
    thresholds = {value: validation_score(agreement, probs, cases, value) for value in THRESHOLDS}
    sizes = {value: validation_score(agreement, probs, cases, 0.5, value) for value in SIZES}
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
