"""The boundary loss against MONAI's, and the boundary F1 loss against the same loss from torch's box max pooling.

Forward and backward from logits. Both forms of the boundary F1 loss give one value and one gradient, bit by bit. The
loss of lesions is compared with a loop over them, and with the loss that it stands beside; the Hausdorff loss with
MONAI's, of the same value.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import monai.losses
import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.case import Against, Calls, Case
from benchmarks.phantoms import ellipsoids, scattered_lesions
from monai_boundary.kernels.distance import signed_distance_map
from monai_boundary.losses import BoundaryF1Loss, BoundaryLoss, ComponentDiceLoss, HausdorffDistanceLoss

__all__ = ["CASES"]

SPACING = (3.0, 1.0, 1.0)
SMOOTH, SMOOTH_VOXELS = 1e-5, 1e5  # as of the loss: in pixels of so many
Step = tuple[torch.Tensor, torch.Tensor | None]


def _step(logits: torch.Tensor, forward: Callable[[], torch.Tensor]) -> Step:
    """Value and gradient."""
    logits.grad = None
    value = forward()
    value.backward()
    return value.detach(), logits.grad


def boundary_loss(size: int) -> Calls:
    """B=2, C=4. Ours get the map, as training gives it; MONAI's loss makes its own."""
    labels = [ellipsoids((size,) * 3, 4, seed) for seed in range(2)]
    target = torch.from_numpy(np.stack([np.stack([one == index for index in range(4)]) for one in labels])).float()
    logits = torch.randn(target.shape, generator=torch.Generator().manual_seed(0), requires_grad=True)
    maps = torch.from_numpy(np.stack([signed_distance_map(one[None], 4, SPACING) for one in labels]))
    half, ours, theirs = maps.half(), BoundaryLoss(softmax=True), monai.losses.BoundaryLoss(softmax=True)
    calls = {
        "ours": lambda: _step(logits, lambda: ours(logits, distance_map=maps)),
        "ours, float16 map": lambda: _step(logits, lambda: ours(logits, distance_map=half)),
        "MONAI": lambda: _step(logits, lambda: theirs(logits, target)),
    }
    return Calls(calls)


def _box_pool(values: torch.Tensor, window: int) -> torch.Tensor:
    pool = F.max_pool3d if values.ndim == 5 else F.max_pool2d
    return pool(values, window, stride=1, padding=window // 2)


def _plain_boundary(probs: torch.Tensor, theta: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Boundary and extended boundary, equations 1 and 2 of Bokhovkin and Burnaev as they stand."""
    boundary = _box_pool(1 - probs, 3) - (1 - probs)
    return boundary, _box_pool(boundary, theta)


def _plain_loss(logits: torch.Tensor, of_target: tuple[torch.Tensor, torch.Tensor], theta: int) -> torch.Tensor:
    """Equations 3 and 4."""
    target_boundary, target_extended = of_target
    boundary, extended = _plain_boundary(torch.sigmoid(logits), theta)
    over = list(range(2, logits.ndim))
    smooth = SMOOTH * logits[0, 0].numel() / SMOOTH_VOXELS
    precision = ((boundary * target_extended).sum(over) + smooth) / (boundary.sum(over) + smooth)
    recall = ((target_boundary * extended).sum(over) + smooth) / (target_boundary.sum(over) + smooth)
    return (1 - 2 * precision * recall / (precision + recall)).mean()


def boundary_f1(shape: tuple[int, ...], theta: int) -> Calls:
    """With and without the target's boundary given; `shape` is `(B, 1, *S)`."""
    masks = [ellipsoids((1,) * (5 - len(shape)) + shape[2:], 2, seed) > 0 for seed in range(shape[0])]
    target = torch.from_numpy(np.stack(masks).astype(np.float32)).view(shape)
    generator = torch.Generator().manual_seed(0)
    logits = (4 * target - 2 + torch.randn(shape, generator=generator)).requires_grad_(True)
    loss = BoundaryF1Loss(theta=theta, sigmoid=True, smooth=SMOOTH)
    band, plain_band = loss.compute_target_boundary(target, logits), _plain_boundary(target, theta)
    step = functools.partial(_step, logits)
    calls = {
        "ours": lambda: step(lambda: loss(logits, target)),
        "ours, target given": lambda: step(lambda: loss(logits, None, band)),
        "max pooling": lambda: step(lambda: _plain_loss(logits, _plain_boundary(target, theta), theta)),
        "max pooling, target given": lambda: step(lambda: _plain_loss(logits, plain_band, theta)),
    }
    return Calls(calls, equal_to_the_bit)


def equal_to_the_bit(name: str, theirs: Any, ours: Any) -> dict[str, float]:
    """Refuse to measure two forms that are not the same loss."""
    if not all(torch.equal(one, other) for one, other in zip(theirs, ours, strict=True)):
        raise RuntimeError(f"{name} must have the value and gradient of ours, got others")
    return {}


def _f1_case(name: str, shape: tuple[int, ...], small: tuple[int, ...], theta: int, target: float) -> Case:
    against = (
        Against("max pooling", target, memory=1.3 if name == "3d" and theta == 5 else None),
        Against("max pooling, target given", ours="ours, target given"),
    )
    size = "x".join(map(str, (shape[0], *shape[2:])))
    title = f"boundary F1 loss, {size}, theta {theta}"
    arguments = (shape, theta), (small, theta)
    return Case(
        f"boundary_f1_{name}_theta{theta}", "losses", title, boundary_f1, *arguments, against, headline=theta == 5
    )


def component_dice(size: int, lesions: int) -> Calls:
    """B=2, two classes, cells given, as the loader makes them."""
    masks = [scattered_lesions((size,) * 3, lesions, seed) for seed in range(2)]
    labels = torch.from_numpy(np.stack(masks))[:, None].long()
    noise = torch.randn((2, 2, size, size, size), generator=torch.Generator().manual_seed(0))
    logits = (4 * torch.cat([1 - labels, labels], 1) - 2 + noise).requires_grad_(True)
    settings = {"softmax": True, "to_onehot_y": True, "include_background": False}
    ours, whole = ComponentDiceLoss(spacing=(1.0,) * 3, **settings), monai.losses.DiceCELoss(**settings)
    cells = ours.compute_lesion_cells(labels, logits).short()
    step = functools.partial(_step, logits)
    calls = {
        "ours": lambda: step(lambda: ours(logits, labels, cells)),
        "loop over lesions": lambda: step(lambda: _lesion_loop(logits, labels, cells)),
        "DiceCELoss": lambda: step(lambda: whole(logits, labels)),
    }
    return Calls(calls, _same_but_for_the_whole_volume)


def _lesion_loop(logits: torch.Tensor, labels: torch.Tensor, cells: torch.Tensor) -> torch.Tensor:
    """CC-DiceCE as it is written down: one lesion after the other."""
    probs, entropy = torch.softmax(logits, 1)[:, 1], F.cross_entropy(logits, labels[:, 0], reduction="none")
    samples = []
    for p, e, t, own in zip(probs, entropy, labels[:, 0], cells[:, 0], strict=True):
        parts = []
        for number in range(1, int(own.max()) + 1):
            where = own == number
            inside, true = p[where], t[where]
            parts.append(1 - 2 * (inside * true).sum() / (inside.sum() + true.sum()) + e[where].mean())
        samples.append(torch.stack(parts).mean())
    return torch.stack(samples).mean()


def _same_but_for_the_whole_volume(name: str, theirs: Any, ours: Any) -> dict[str, float]:
    if name != "DiceCELoss":
        torch.testing.assert_close(theirs, ours, rtol=1e-3, atol=1e-7)
    return {}


def hausdorff(size: int) -> Calls:
    """B=2, two classes; all maps are made in the step, as in MONAI's loss, unless that of the target is given."""
    labels = torch.from_numpy(np.stack([ellipsoids((size,) * 3, 2, seed) for seed in range(2)]))[:, None].long()
    noise = torch.randn((2, 2, size, size, size), generator=torch.Generator().manual_seed(0))
    logits = (6 * torch.cat([1 - labels, labels], 1) - 3 + noise).requires_grad_(True)
    settings = {"softmax": True, "to_onehot_y": True, "include_background": False}
    ours, theirs = HausdorffDistanceLoss(spacing=(1, 1, 1), **settings), monai.losses.HausdorffDTLoss(**settings)
    maps, step = ours.compute_distance_map(labels, logits), functools.partial(_step, logits)
    calls = {
        "ours": lambda: step(lambda: ours(logits, labels)),
        "ours, target's map given": lambda: step(lambda: ours(logits, labels, maps)),
        "MONAI": lambda: step(lambda: theirs(logits, labels)),
    }
    return Calls(calls, _equal_to_a_hundred_thousandth)


def _equal_to_a_hundred_thousandth(_: str, theirs: Any, ours: Any) -> dict[str, float]:
    torch.testing.assert_close(theirs, ours, rtol=1e-5, atol=1e-9)
    return {}


_3D, _2D = ((1, 1, 128, 128, 128), (1, 1, 24, 24, 24)), ((8, 1, 512, 512), (2, 1, 48, 48))
CASES = [
    Case("loss", "losses", "boundary loss, B=2 C=4 128^3", boundary_loss, (128,), (16,),
         (Against("MONAI", 40.0, memory=0.25, rounds=3), Against("ours, float16 map")), headline=True),
    Case("component_dice", "losses", "component Dice loss, B=2 128^3, 100 lesions, cells given", component_dice,
         (128, 100), (24, 4), (Against("loop over lesions", 30.0, rounds=1), Against("DiceCELoss", 0.667)),
         headline=True),
    Case("hausdorff", "losses", "Hausdorff distance loss, B=2 128^3", hausdorff, (128,), (16,),
         (Against("MONAI", 10.0, rounds=2), Against("ours, target's map given")), headline=True),
    _f1_case("3d", *_3D, theta=5, target=1.9),
    _f1_case("3d", *_3D, theta=9, target=6.0),
    _f1_case("2d", *_2D, theta=5, target=1.0),
    _f1_case("2d", *_2D, theta=9, target=1.0),
]  # fmt: skip
