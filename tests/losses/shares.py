"""A batch, and the share of the gradient that a loss gives its boundary term in it."""

from __future__ import annotations

import torch

from monai_boundary import (
    RegionBoundaryLoss,
    SignedDistanceMap,
)
from tests.losses.samples import labels_like


def batch(seed: int = 0, size: tuple[int, ...] = (12, 13)) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits, labels and maps of two samples."""
    torch.manual_seed(seed)
    labels = labels_like((2, *size), 2)
    make = SignedDistanceMap(2, spacing=(1, 1))
    maps = torch.stack([make(label).as_subclass(torch.Tensor) for label in labels])
    logits = torch.randn(2, 2, *size) + torch.cat([0 * labels, 16 * labels], 1)  # all of the foreground is found
    return logits.requires_grad_(), labels, maps


def norms_of(loss: RegionBoundaryLoss, logits: torch.Tensor, *target: torch.Tensor) -> tuple[float, float]:
    terms = loss.terms(logits, *target)
    return tuple(float(torch.autograd.grad(term, logits, retain_graph=True)[0].norm()) for term in terms[:2])


def share_of(loss: RegionBoundaryLoss, logits: torch.Tensor, *target: torch.Tensor) -> float:
    region, boundary = (w * norm for w, norm in zip(loss.term_weights, norms_of(loss, logits, *target), strict=True))
    return boundary / (region + boundary)
