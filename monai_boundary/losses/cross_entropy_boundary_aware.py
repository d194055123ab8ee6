"""Cross-entropy and the boundary-aware loss in one, weighted by alpha; for one head and for several."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal, cast

import torch
from torch.nn import functional as F

from monai_boundary._check import check_choice
from monai_boundary.losses.binary_cross_entropy import BinaryCrossEntropyLoss
from monai_boundary.losses.boundary_aware import BoundaryAwareLoss
from monai_boundary.losses.deep_supervision import DeepSupervisionLoss, Heads, split_heads, sum_over_heads
from monai_boundary.losses.region_boundary import RegionBoundaryLoss
from monai_boundary.losses.target import as_float32, split_target

__all__ = ["BoundaryAwareDeepSupervisionLoss", "BoundaryAwarePreset", "CrossEntropyBoundaryAwareLoss"]

BoundaryAwarePreset = Literal["robust", "paper", "published"]
_PUBLISHED_BALANCE = 1.1
_PRESETS: dict[str, dict[str, Any]] = {
    "robust": {"alpha": 1.0, "balanced": False, "weighting": "mean", "dilation": 3},
    "paper": {"alpha": 0.1, "balanced": False, "weighting": "count", "dilation": 0},
    "published": {
        "alpha": 0.1, "balanced": True, "weighting": "published", "dilation": 3, "double_sigmoid": True
    },
}  # fmt: skip


class CrossEntropyBoundaryAwareLoss(RegionBoundaryLoss):
    """Cross-entropy of the membrane plus alpha times the boundary-aware loss, for logits, membrane and seeds.

    Set the weights once per epoch as of any `RegionBoundaryLoss`, so that the boundary term starts on a prediction that
    has membranes: ``loss.term_weights = Warmup(20, Constant(1.0)).weights(epoch, max_epochs)``. While alpha is 0
    nothing is cut, and `boundary_term` is 0.

    Args:
        preset: ``"robust"``: plain cross-entropy, alpha 1, and the mean over the dilated contours, whose weight does
            not depend on the size of the image. ``"paper"``: equations 4 and 5 as they stand with alpha 0.1.
            ``"published"``: the published code: class-balanced cross-entropy, its weights and its second sigmoid,
            alpha 0.1.
        alpha: Weight of the boundary term in place of the preset's.
        balanced: Class-balanced cross-entropy in place of the preset's choice.
        **boundary: Arguments of `BoundaryAwareLoss` in place of the preset's.

    Raises:
        ImportError: The extra `em` is not installed.
        TypeError: Arguments of a wrong kind.
        ValueError: Wrong values.

    References:
        Vu Ngoc et al., Introducing the boundary-aware loss for deep image segmentation, BMVC 2021, eq. 5.

    Example:
        >>> loss = CrossEntropyBoundaryAwareLoss(alpha=3.0)
        >>> logits, seeds = torch.tensor([[[-9.0, 0.0, -9.0]]]), torch.tensor([[[1, 0, 2]]])
        >>> value = loss(logits, torch.tensor([[[0, 1, 0]]]), seeds)
        >>> loss.term_weights, round(float(loss.region_term), 4), round(float(loss.boundary_term), 4)
        ((1.0, 3.0), 0.2311, 0.2311)
    """

    target_name: ClassVar[str] = "seeds"
    boundary: BoundaryAwareLoss

    def __init__(
        self,
        preset: BoundaryAwarePreset = "robust",
        alpha: float | None = None,
        balanced: bool | None = None,
        **boundary: Any,
    ) -> None:
        settings = dict(_PRESETS[check_choice("preset", preset, tuple(_PRESETS))])
        preset_alpha, preset_balanced = settings.pop("alpha"), settings.pop("balanced")
        is_balanced = preset_balanced if balanced is None else balanced
        super().__init__(
            BinaryCrossEntropyLoss(_PUBLISHED_BALANCE if is_balanced else None),
            BoundaryAwareLoss(**{**settings, **boundary}),
            alpha=preset_alpha if alpha is None else alpha,
            mode="increase",
        )

    def forward(
        self,
        input: torch.Tensor,
        target: torch.Tensor | Mapping[str, torch.Tensor],
        seeds: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the weighted sum.

        Args:
            input: Logits of the membrane `(B, 1, *S)`.
            target: Membrane `(B, 1, *S)`, or membrane and seeds as ``{"label": ..., "seeds": ...}``, which is how they
                pass through a MONAI engine.
            seeds: Integers `(B, 1, *S)` of `RegionSeeds`.
        """
        membrane, seeds = split_target(target, seeds, "seeds")
        self.boundary.check_input(input, membrane, seeds)  # also while alpha is 0: not only after the warm-up
        region = self.region(input, membrane)
        return self.combine(region, self.boundary(input, membrane, seeds) if self.alpha else torch.zeros_like(region))


class BoundaryAwareDeepSupervisionLoss(DeepSupervisionLoss):
    """A `CrossEntropyBoundaryAwareLoss` for networks that return several heads in training.

    Lower heads are brought to the size of the target linearly, as logits, and cut there: membranes of one voxel and
    seeds do not survive being made smaller. Each head of a weight above 0 costs a cut. Else it is as
    `DeepSupervisionLoss`.

    Args:
        loss: The loss of one head.
        head_weights: One weight per head, highest resolution first, used as given; ``None`` for 1, 1/2, 1/4, ...
            divided by their sum.

    Raises:
        TypeError: `loss` is no `CrossEntropyBoundaryAwareLoss`.
        ValueError: A weight is negative or not finite, or none is above 0.

    Example:
        >>> loss = BoundaryAwareDeepSupervisionLoss(CrossEntropyBoundaryAwareLoss())
        >>> heads, membrane = [torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 4, 4)], torch.zeros(1, 1, 8, 8)
        >>> loss(heads, membrane, membrane.int()).isfinite().item()
        True
    """

    loss: CrossEntropyBoundaryAwareLoss

    def __init__(self, loss: CrossEntropyBoundaryAwareLoss, head_weights: Sequence[float] | None = None) -> None:
        super().__init__(loss, head_weights)
        if not isinstance(loss, CrossEntropyBoundaryAwareLoss):
            raise TypeError(
                f"loss must be a CrossEntropyBoundaryAwareLoss, got {type(loss).__name__}; "
                "use DeepSupervisionLoss for losses with distance maps"
            )

    def forward(
        self,
        input: Heads,
        target: torch.Tensor | Mapping[str, torch.Tensor],
        seeds: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the weighted sum.

        Args:
            input: Heads as a sequence of `(B, 1, *S_i)` with the largest, of the target's size, first, or stacked
                `(B, H, 1, *S)`. A single `(B, 1, *S)`, which such networks return in evaluation, has weight 1.
            target: See `CrossEntropyBoundaryAwareLoss`.
            seeds: See `CrossEntropyBoundaryAwareLoss`.

        Raises:
            ValueError: The numbers of heads and weights differ, or the first head does not have the target's size.
        """
        membrane, seeds = split_target(target, seeds, "seeds")
        heads = split_heads(input, membrane)
        first = cast(torch.Tensor, input) if heads is None else heads[0]
        self.loss.boundary.check_input(first, membrane, seeds)
        region = self.region(input, membrane)
        boundary = self.boundary(input, membrane, seeds) if self.alpha else torch.zeros_like(region)
        return self.loss.combine(region, boundary)

    def region(self, input: Heads, target: torch.Tensor) -> torch.Tensor:
        """Return the cross-entropy; arguments as of the call, `target` the membrane."""
        return self._sum(lambda head: self.loss.region(head, target), input, target)

    def boundary(self, input: Heads, target: torch.Tensor, seeds: torch.Tensor | None = None) -> torch.Tensor:
        """Return the boundary-aware loss; arguments as of the call, `target` the membrane."""
        return self._sum(lambda head: self.loss.boundary(head, target, seeds), input, target)

    def _sum(self, term: Callable[[torch.Tensor], torch.Tensor], output: Heads, membrane: torch.Tensor) -> torch.Tensor:
        heads = split_heads(output, membrane)
        if heads is None:
            return term(cast(torch.Tensor, output))
        size = tuple(membrane.shape[2:])
        return sum_over_heads(lambda head: term(_enlarge(head, size)), heads, self.head_weights)


def _enlarge(head: torch.Tensor, size: tuple[int, ...]) -> torch.Tensor:
    if tuple(head.shape[2:]) == size:
        return head
    return F.interpolate(as_float32(head), size=size, mode=("linear", "bilinear", "trilinear")[len(size) - 1])
