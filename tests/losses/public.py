"""Every public loss with arguments to call it with, so that what holds for all is tested on new ones, too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from monai_boundary import losses
from monai_boundary.losses.target import TargetLoss
from tests.losses.samples import cells, labels_like

#: Classes to make a loss of. `IoULoss` and other parts of a combined loss are tested through it.
NAMES = sorted(
    name
    for name in losses.__all__
    if isinstance(getattr(losses, name), type) and issubclass(getattr(losses, name), nn.Module)
)
IGNORE = 255


@dataclass
class Case:
    """A loss, and what it is called with: output of the network, then what does not change."""

    loss: nn.Module
    logits: torch.Tensor
    others: tuple[Any, ...]
    #: Makes the first argument of the logits; several heads for deep supervision.
    heads: Callable[[torch.Tensor], Any] = lambda logits: logits

    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        return self.loss(self.heads(logits), *self.others)


def make(name: str, shape: tuple[int, ...] = (2, 4, 5), kind: str = "softmax", **settings: Any) -> Case:
    """Return the case of a public loss.

    Args:
        name: Of the class.
        shape: `(B, *S)`; membranes have their own size, and so has the VGG network, whose axes are 4 voxels at least.
        kind: ``"softmax"`` of labels, or ``"sigmoid"`` of regions that overlap.
        settings: Of the constructor. With an `ignore_index`, the first row of each sample is ignored.
    """
    if name in ("BoundaryAwareLoss", "CrossEntropyBoundaryAwareLoss"):
        return _membranes(name, shape, settings)
    channels, logits = 2, torch.randn(shape[0], 2, *shape[1:], dtype=torch.float64)
    labels = labels_like(shape, channels)
    target = torch.cat([labels, 1 - labels.roll(1, 2)], 1).double() if kind == "sigmoid" else labels
    if isinstance(settings.get("ignore_index"), int):
        target[:, :, 0] = settings["ignore_index"]
    if name == "BinaryCrossEntropyLoss":
        masks = target if kind == "sigmoid" else target.expand(-1, channels, *[-1] * (labels.ndim - 2))
        return Case(losses.BinaryCrossEntropyLoss(**settings), logits, (masks,))
    activation = {kind: True, "to_onehot_y": kind == "softmax"}
    if name == "BoundaryF1IoULoss":
        activation = {"softmax": kind == "softmax", "to_onehot_y": kind == "softmax"}
    if name == "DeepSupervisionLoss":
        loss = losses.DeepSupervisionLoss(
            losses.GeneralizedDiceBoundaryLoss(**{"alpha": 0.4, **activation, **settings})
        )
        return Case(loss, logits, (target,), lambda whole: [whole, whole[:, :, ::2]])
    if name == "RegionBoundaryLoss":
        parts = losses.GeneralizedDiceLoss, losses.BoundaryLoss
        own = {key: settings.pop(key) for key in ("alpha", "mode", "region_floor") if key in settings}
        loss = losses.RegionBoundaryLoss(*(part(**activation, **settings) for part in parts), **{"alpha": 0.4, **own})
        return Case(loss, logits, (target,))
    if name == "TopologyLoss":
        settings |= {"weights": None, "layers": ("relu1_2", "conv2_2")}
    if name in ("GeneralizedDiceBoundaryLoss", "BoundaryF1IoULoss"):
        settings.setdefault("alpha", 0.4)
    cls = getattr(losses, name)
    assert name in ("GeneralizedDiceBoundaryLoss", "BoundaryF1IoULoss") or issubclass(cls, TargetLoss), (
        f"say in tests/losses/public.py how {name} is called"
    )
    return Case(cls(**activation, **settings), logits, (target,))


def _membranes(name: str, shape: tuple[int, ...], settings: dict[str, Any]) -> Case:
    logits, membrane, seeds = cells((*[5] * (len(shape) - 2), 7))
    if isinstance(settings.get("ignore_index"), int):
        membrane[:, :, 0] = settings["ignore_index"]
    return Case(getattr(losses, name)(threads=1, **settings), logits.double(), (membrane, seeds))
