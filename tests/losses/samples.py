"""What the tests of the losses share: inputs, a gradient, and every loss under a name."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from monai_boundary import (
    BlobLoss,
    BoundaryF1IoULoss,
    BoundaryF1Loss,
    BoundaryLoss,
    ComponentDiceLoss,
    GeneralizedDiceBoundaryLoss,
    GeneralizedDiceLoss,
    GeneralizedSurfaceLoss,
    HausdorffDistanceLoss,
    RegionWiseLoss,
    SensitivitySpecificityLoss,
    TopologyLoss,
)


def value_and_gradient(loss: Callable, logits: torch.Tensor, *args, **kwargs) -> tuple[torch.Tensor, torch.Tensor]:
    leaf = logits.detach().clone().requires_grad_(True)
    value = loss(leaf, *args, **kwargs)
    return value.detach(), torch.autograd.grad(value.sum(), leaf)[0]


def labels_like(shape, channels: int) -> torch.Tensor:
    """Labels `(B, 1, *S)` for a shape `(B, *S)`."""
    return torch.randint(0, channels, (shape[0], 1, *shape[1:]))


def building(shape=(1, 1, 16, 16), low: int = 5, high: int = 11) -> torch.Tensor:
    """A box in the middle."""
    mask = torch.zeros(shape)
    mask[(slice(None), slice(None), *[slice(low, high)] * (len(shape) - 2))] = 1
    return mask


def cells(shape: tuple[int, ...], seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits, membrane and seeds `(2, 1, *shape)`: a wall halfway along the last axis, with one gap in the logits."""
    generator = torch.Generator().manual_seed(seed)
    membrane, seeds = torch.zeros(2, 1, *shape), torch.zeros(2, 1, *shape, dtype=torch.int32)
    middle = shape[-1] // 2
    membrane[..., middle] = 1
    seeds[(slice(None), 0, *[size // 2 for size in shape[:-1]], 1)] = 1
    seeds[(slice(None), 0, *[size // 2 for size in shape[:-1]], -2)] = 2
    logits = 6 * membrane - 3 + torch.rand(membrane.shape, generator=generator)
    logits[(0, 0, *[0] * (len(shape) - 1), middle)] = -1.5
    return logits, membrane, seeds


def _combined(softmax: bool = False, to_onehot_y: bool = False, **settings) -> GeneralizedDiceBoundaryLoss:
    return GeneralizedDiceBoundaryLoss(alpha=0.4, softmax=softmax, to_onehot_y=to_onehot_y, **settings)


def _boundary_f1_iou(sigmoid: bool = False, softmax: bool = False, **settings) -> BoundaryF1IoULoss:
    return BoundaryF1IoULoss(softmax=softmax, **settings)


def _topology(**settings) -> TopologyLoss:
    pytest.importorskip("torchvision", exc_type=ImportError)
    return TopologyLoss(weights=None, layers=("relu1_2", "conv2_2"), **settings)


#: Called with an activation, `to_onehot_y`, `include_background` and `ignore_index`.
LOSSES: dict[str, Callable[..., torch.nn.Module]] = {
    "boundary": BoundaryLoss,
    "boundary_plain": lambda **settings: BoundaryLoss(fused=False, **settings),
    "generalized_dice": GeneralizedDiceLoss,
    "generalized_dice_boundary": _combined,
    "boundary_f1": BoundaryF1Loss,
    "boundary_f1_iou": _boundary_f1_iou,
    "sensitivity_specificity": lambda **settings: SensitivitySpecificityLoss(lam=0.3, **settings),
    "component_dice": ComponentDiceLoss,
    "component_dice_both_ways": lambda **settings: ComponentDiceLoss(bidirectional=True, **settings),
    "blob": BlobLoss,
    "generalized_surface": GeneralizedSurfaceLoss,
    "region_wise": RegionWiseLoss,
    "hausdorff": HausdorffDistanceLoss,
}
#: Those that take a distance map beside the target.
MAP_LOSSES = (
    "boundary", "boundary_plain", "generalized_dice_boundary", "generalized_surface", "region_wise", "hausdorff"
)  # fmt: skip
#: Those that take the cells of lesions.
CELL_LOSSES = ("component_dice", "component_dice_both_ways", "blob")
#: The same and those that take images only.
IMAGE_LOSSES = LOSSES | {"topology": _topology}


def repeated(tensor: torch.Tensor, times: int) -> torch.Tensor:
    """Every voxel of `(B, C, *S)` repeated along each spatial axis."""
    for axis in range(2, tensor.ndim):
        tensor = tensor.repeat_interleave(times, axis)
    return tensor


def gathered(gradient: torch.Tensor, times: int) -> torch.Tensor:
    """Sum of the gradient over the repetitions of each voxel."""
    for axis in range(2, gradient.ndim):
        gradient = gradient.unflatten(axis, (-1, times)).sum(axis + 1)
    return gradient
