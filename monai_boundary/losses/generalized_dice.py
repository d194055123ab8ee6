"""Generalized Dice with an ignore index, compilable without graph breaks; alone, and with the boundary loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from monai_boundary._check import check_number
from monai_boundary._options import check_options, keyword_names
from monai_boundary.kernels.distance import DistanceMapOptions, Preset
from monai_boundary.losses.boundary import BoundaryLoss
from monai_boundary.losses.gradient_share import Share
from monai_boundary.losses.region_boundary import Mode, RegionBoundaryLoss
from monai_boundary.losses.target import SMOOTH, Counted, TargetLoss

__all__ = ["GeneralizedDiceBoundaryLoss", "GeneralizedDiceLoss"]

#: Share of the voxels below which a class weighs no more: its inverse square is a float32.
_SMALLEST = 1e-12


@dataclass(eq=False, repr=False, kw_only=True)
class GeneralizedDiceLoss(TargetLoss):
    """Dice over all classes at once, each weighted by the inverse square of its volume.

    Volumes are shares of the voxels that count, so the value does not depend on the size of the patch. In
    `monai.losses.GeneralizedDiceLoss` they are numbers of voxels: with weights of 1 / volume^2 both sums are about
    1 / volume there, so that from 1e5 voxels on `smooth` outweighs them, and value and gradient fade (docs/evidence/).
    ``scale_free=False`` gives MONAI's value and gradient. Beyond MONAI's loss, this one knows an ignore index and
    compiles with ``fullgraph=True``.

    A class absent from a sample gets the largest weight among the others, and 1 where all are absent: predicted
    foreground costs something in an empty patch, too. (MONAI's value there is 0 if no class is counted.)

    Args:
        include_background: Whether channel 0 counts.
        to_onehot_y: Whether the target is a label map.
        sigmoid: Apply a sigmoid to the input.
        softmax: Apply a softmax over the channels to the input.
        other_act: Apply this function to the input instead.
        reduction: ``"mean"`` or ``"sum"`` over the samples, or ``"none"``: `(B,)`, `()` with `batch`.
        batch: Take the volumes of the whole batch. Under DDP this is the batch of one process.
        smooth: >= 0, added to numerator and denominator, which is at least 1 where a class is present.
        ignore_index: Value of the target at voxels that do not count.
        scale_free: Take volumes as shares of the voxels that count.
        validate: See `BoundaryLoss`.

    Raises:
        TypeError: `other_act` is not callable; `input` is not floating point.
        ValueError: More than one activation; wrong shapes, values or reduction.

    References:
        Sudre et al., Generalised Dice overlap as a deep learning loss function, DLMIA 2017, eq. 2.
    """

    smooth: float = SMOOTH
    ignore_index: int | None = None
    scale_free: bool = True

    def set_up(self) -> None:
        """Check the arguments that this loss adds."""
        check_number("smooth", self.smooth, strict=False)

    def forward(self, input: torch.Tensor, target: torch.Tensor, *, valid: torch.Tensor | None = None) -> torch.Tensor:
        """Return the loss.

        Args:
            input: Logits, or probabilities without an activation, `(B, C, *S)`.
            target: `(B, C, *S)` in [0, 1], or labels with `to_onehot_y`.
            valid: Bool `(B, 1, *S)`, the voxels that count, for targets without a value to ignore.
        """
        return self.value(self.contract.count(self.contract.read(input, target, valid)))

    def value(self, counted: Counted) -> torch.Tensor:
        """Return the loss of what `contract.count` returned."""
        probs, target = counted.probs, counted.target
        over = self.summed_axes(probs.ndim)
        overlap, volume, predicted = (part.sum(over) for part in (probs * target, target, probs))  # (B, C) or (C,)
        if self.scale_free:
            voxels = self.counted_voxels(probs, counted.valid)
            overlap, volume, predicted = overlap / voxels, volume / voxels, predicted / voxels
        weights = volume.clamp(min=_SMALLEST if self.scale_free else 1e-8).square().reciprocal() * (volume > 0)
        weights = torch.where(volume > 0, weights, weights.amax(dim=-1, keepdim=True))
        if self.scale_free:
            weights = torch.where(weights > 0, weights, 1)
        total = predicted + volume
        above, below = 2 * (weights * overlap).sum(-1) + self.smooth, (weights * total).sum(-1) + self.smooth
        nothing = below == 0  # without smooth: neither target nor prediction
        return self.reduce(1 - torch.where(nothing, 1, above / torch.where(nothing, 1, below)))


class GeneralizedDiceBoundaryLoss(RegionBoundaryLoss):
    """Generalized Dice plus the boundary loss of the foreground, for logits and label maps.

    Give it the map of ``SignedDistanceMapd(preset=...)`` with the same preset, with or without the background channel.

    Args:
        preset: ``"clipped"``: map clipped at 10 mm and divided by 10. ``"robust"``: also half-balanced, with
            which an alpha up to 1 cost no Dice (docs/evidence/collapse.md). ``"published"``: map of the published
            code. It sets the maps that the loss computes itself.
        alpha: See `RegionBoundaryLoss`.
        mode: See `RegionBoundaryLoss`.
        to_onehot_y: Whether the target is a label map.
        sigmoid: Sigmoid channels, for one-channel or overlapping targets, instead of softmax.
        softmax: ``None`` for a softmax unless another activation is given; ``False`` without one for a network that
            returns probabilities.
        other_act: Function that makes probabilities of the input, instead.
        include_background: Whether the boundary term counts channel 0; generalized Dice always does. So it does with
            `sigmoid`, where channel 0 is no background.
        ignore_index: Value of the target at voxels that do not count.
        options: Map settings in place of the preset's.
        validate: See `BoundaryLoss`.
        **boundary: Further arguments of `BoundaryLoss`, such as `spacing` or `offset`. `batch` and `reduction` hold for
            both terms.

    References:
        Kervadec et al., MIDL 2019, eq. 7; MedIA 2021, section 2.4.

    Example:
        >>> loss = GeneralizedDiceBoundaryLoss()
        >>> loss(torch.zeros(1, 2, 8, 8), torch.zeros(1, 1, 8, 8)).isfinite().item()
        True
    """

    def __init__(  # noqa: PLR0913 - those of both losses
        self,
        preset: Preset = "clipped",
        alpha: float | Share = 0.01,
        mode: Mode = "rebalance",
        *,
        to_onehot_y: bool = True,
        sigmoid: bool = False,
        softmax: bool | None = None,
        other_act: Callable | None = None,
        include_background: bool = False,
        ignore_index: int | None = None,
        options: DistanceMapOptions | None = None,
        validate: bool = False,
        **boundary: Any,
    ) -> None:
        known = keyword_names(GeneralizedDiceBoundaryLoss, BoundaryLoss)
        check_options("GeneralizedDiceBoundaryLoss", boundary, known)
        shared: dict[str, Any] = {
            "to_onehot_y": to_onehot_y, "sigmoid": sigmoid, "ignore_index": ignore_index,
            "softmax": not (sigmoid or other_act) if softmax is None else softmax, "other_act": other_act,
            "validate": validate, **{name: boundary.pop(name) for name in ("batch", "reduction") if name in boundary},
        }  # fmt: skip
        boundary |= {"preset": preset, "options": options}
        self.region: GeneralizedDiceLoss
        self.boundary: BoundaryLoss
        super().__init__(
            GeneralizedDiceLoss(**shared),
            BoundaryLoss(include_background=include_background or sigmoid, **shared, **boundary),
            alpha=alpha,
            mode=mode,
        )
        self.boundary.contract = replace(self.boundary.contract, quiet=True)  # generalized Dice has said it
