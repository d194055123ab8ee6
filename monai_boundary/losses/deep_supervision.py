"""Any combined loss for networks with several output heads."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.nn import functional as F

from monai_boundary._check import check_dense, check_number
from monai_boundary.losses.gradient_share import Heads, gradient_norms
from monai_boundary.losses.region_boundary import TARGET_TRANSFORMS, RegionBoundaryLoss, Target, split_target
from monai_boundary.losses.target import seen_coarser
from monai_boundary.losses.values import as_float32, check_output

__all__ = ["DeepSupervisionLoss", "resample_nearest", "sum_over_heads"]


def _of_inner(name: str, text: str) -> property:
    """Return a property of the loss of several heads that is read and set in the loss inside."""
    return property(
        lambda self: getattr(self.loss, name), lambda self, value: setattr(self.loss, name, value), doc=text
    )


class DeepSupervisionLoss(nn.Module):
    """A combined loss for networks that return several heads in training, as `DynUNet` and `SegResNetDS` do.

    Each term is the weighted sum of that term over the heads; region weight and alpha weigh the two sums, and are those
    of `loss`. Handlers work alike with this loss and with the one inside.

    The boundary loss says with its attribute `resizes` what is brought to the size of what:

    - ``"target"`` (distance maps, lesion cells): lower heads get the label and the map of full resolution at their
      nearest voxels, values unchanged, also when no map is given: a millimetre weighs the same in each, also in what a
      loss makes of the prediction. MONAI's `DeepSupervisionLoss` has each head compute its own, in voxels of that head.
    - ``"head"`` (seeds and target boundaries, which do not survive being made smaller): lower heads are enlarged to the
      size of the target linearly, as logits.

    The heads may be stacked on axis 1, which MONAI's needs unbound first; labels may be integers.

    Args:
        loss: The loss of one head: `GeneralizedDiceBoundaryLoss`, `BoundaryF1IoULoss`, `CrossEntropyBoundaryAwareLoss`
            or another `RegionBoundaryLoss`.
        head_weights: One weight per head, highest resolution first, used as given; ``None`` for 1, 1/2, 1/4, ...
            divided by their sum, so that adding heads leaves the scale of the loss. Heads of weight 0 are passed over
            and get no gradient, about which `DistributedDataParallel` must know (``find_unused_parameters=True``).

    Raises:
        TypeError: `loss` is no `RegionBoundaryLoss`.
        ValueError: A weight is negative or not finite, or none is above 0.

    References:
        Isensee et al., nnU-Net, Nature Methods 2021, for the weights.

    Example:
        >>> from monai_boundary.losses import GeneralizedDiceBoundaryLoss
        >>> loss = DeepSupervisionLoss(GeneralizedDiceBoundaryLoss(alpha=0.25))
        >>> heads = [torch.zeros(1, 2, 8, 8), torch.zeros(1, 2, 4, 4)]
        >>> loss(heads, torch.zeros(1, 1, 8, 8)).isfinite().item(), loss.term_weights
        (True, (0.75, 0.25))
    """

    def __init__(self, loss: RegionBoundaryLoss, head_weights: Sequence[float] | None = None) -> None:
        super().__init__()
        if not isinstance(loss, RegionBoundaryLoss):
            raise TypeError(
                f"loss must be a RegionBoundaryLoss, got {type(loss).__name__}; wrap a region loss as "
                "RegionBoundaryLoss(region, BoundaryLoss(...))"
            )
        self.loss = loss
        self.head_weights = None if head_weights is None else _check_weights(head_weights)

    @property
    def _softmax(self) -> bool:
        contracts = (getattr(part, "contract", None) for part in (self.loss.region, self.loss.boundary))
        return any(contract is not None and contract.softmax for contract in contracts)

    target_name = _of_inner("target_name", "What the loss wants beside the label.")
    mode = _of_inner("mode", "How the region weight follows alpha.")
    alpha = _of_inner("alpha", "Weight of the boundary term.")
    term_weights = _of_inner("term_weights", "Weights of region and boundary term, not of the heads.")
    region_term = _of_inner("region_term", "Sum of the region loss over the heads in the last call, detached.")
    boundary_term = _of_inner("boundary_term", "Sum of the boundary loss over the heads in the last call, detached.")
    gradient_share = _of_inner("gradient_share", "Share of the gradient that the boundary term is to have, at head 0.")
    gradient_norms = _of_inner("gradient_norms", "Moving averages behind a share.")
    foreground_found = _of_inner("foreground_found", "Part of the foreground that is found, behind a share.")
    found_by_class = _of_inner("found_by_class", "Part of each foreground class that is found, behind a share.")

    def forward(self, input: Heads, target: Target, beside: torch.Tensor | None = None) -> torch.Tensor:
        """Return the weighted sum.

        Args:
            input: Heads as a sequence of `(B, C, *S_i)` with the largest, of the target's size, first, or stacked
                `(B, H, C, *S)`. A single `(B, C, *S)`, which such networks return in evaluation, has weight 1.
            target: Label `(B, 1, *S)`, or label and what the loss wants beside it as one target of a MONAI engine.
            beside: Distance map, target boundary or seeds, as `loss` takes them.

        Raises:
            ValueError: The numbers of heads and weights differ, the first head does not have the target's size, or what
                is beside the label has not.
        """
        label, beside = split_target(target, beside, self.target_name)
        heads = _split_heads(input, label, self._softmax) or input
        return self.loss.weighted(heads, label, lambda heads: self.terms(heads, label, beside))

    def measure_gradients(
        self, input: Heads, target: Target, beside: torch.Tensor | None = None
    ) -> tuple[float, float]:
        """Return the gradient norms of both unweighted terms at the first head; sets nothing. Called as the loss."""
        label, beside = split_target(target, beside, self.target_name)
        heads = _split_heads(input, label, self._softmax) or input
        with self.loss.measuring():
            return gradient_norms(heads, lambda heads: self.terms(heads, label, beside))

    def terms(self, input: Heads, label: torch.Tensor, beside: torch.Tensor | None) -> tuple[torch.Tensor, ...]:
        """Return the sums over the heads of each of the terms of `loss`."""
        heads = _split_heads(input, label, self._softmax)
        if heads is None:
            return self.loss.terms(input, label, beside)  # type: ignore[arg-type]
        size = tuple(label.shape[2:])
        if beside is not None and tuple(beside.shape[2:]) != size:
            raise ValueError(
                f"{self.target_name} must have the size of the label, {size}, got {tuple(beside.shape[2:])}; make it "
                "from the label after the transforms that crop and resample"
            )
        if getattr(self.loss.boundary, "resizes", "target") == "head":
            return sum_over_heads(
                lambda head: self.loss.terms(_enlarge(head, size), label, beside), heads, self.head_weights
            )
        whole = self._compute_target(heads[0], label) if beside is None else beside

        def terms(head: torch.Tensor) -> tuple[torch.Tensor, ...]:
            small = head.shape[2:]
            return self.loss.terms(head, resample_nearest(label, small), resample_nearest(whole, small))

        with seen_coarser(self.loss, size):
            return sum_over_heads(terms, heads, self.head_weights)

    def _compute_target(self, head: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        # Once, at full resolution: each head's own would be in its own voxels.
        name = self.target_name
        compute: Callable[..., torch.Tensor] | None = getattr(self.loss.boundary, f"compute_{name}", None)
        if compute is None:
            raise ValueError(
                f"{name} must be given, got None and {type(self.loss.boundary).__name__} cannot compute it; put "
                f"{TARGET_TRANSFORMS.get(name, 'what makes it')} into the transforms"
            )
        return compute(label, head)

    def extra_repr(self) -> str:
        """Show the weights of the heads."""
        return f"head_weights={self.head_weights}"


def sum_over_heads(
    terms: Callable[[torch.Tensor], tuple[torch.Tensor, ...]],
    heads: Sequence[torch.Tensor],
    head_weights: Sequence[float] | None,
) -> tuple[torch.Tensor, ...]:
    """Return the weighted sum over the heads of each of the terms that `terms` returns for one.

    Raises:
        ValueError: The numbers of heads and weights differ.
    """
    if head_weights is None:
        halves = [0.5**index for index in range(len(heads))]
        head_weights = [half / sum(halves) for half in halves]
    if len(heads) != len(head_weights):
        raise ValueError(
            f"head_weights must hold one value per head ({len(heads)}), got {len(head_weights)}; name one for each "
            "output of the network, highest resolution first (0 skips it), or pass None for 1, 1/2, 1/4, ..."
        )
    # A head of weight 0 is not evaluated: it may hold infinite values, times which 0 is not 0.
    rows = [[weight * term for term in terms(head)] for head, weight in zip(heads, head_weights, strict=True) if weight]
    return tuple(sum(column[1:], start=column[0]) for column in zip(*rows, strict=True))


def resample_nearest(volume: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Return the values of `volume` at the voxels nearest to the centres of those of a grid of `size`."""
    if tuple(volume.shape[2:]) == tuple(size):
        return volume
    # torch resamples no integers other than uint8; labels are far below the 2**24 where float32 ends to be exact.
    values = volume if volume.is_floating_point() else volume.float()
    return F.interpolate(values, size=tuple(size), mode="nearest-exact").to(volume.dtype)


def _enlarge(head: torch.Tensor, size: tuple[int, ...]) -> torch.Tensor:
    if tuple(head.shape[2:]) == size:
        return head
    return F.interpolate(as_float32(head), size=size, mode=("linear", "bilinear", "trilinear")[len(size) - 1])


def _split_heads(output: Heads, label: torch.Tensor, softmax: bool) -> list[torch.Tensor] | None:
    """Return the heads, or ``None`` for the one output of evaluation; heads of a `softmax` have several channels."""
    if not isinstance(label, torch.Tensor):
        raise TypeError(f"target must be a tensor, got {type(label).__name__}; make one with torch.as_tensor")
    check_dense("target", label)
    if not isinstance(output, (torch.Tensor, list, tuple)):
        raise TypeError(f"input must be a tensor or a sequence of heads (B, C, *S), got {type(output).__name__}")
    if isinstance(output, torch.Tensor) and output.ndim != label.ndim + 1:
        check_output(output)
        return None
    if isinstance(output, torch.Tensor):
        check_dense("input", output)
        no_heads = softmax if output.shape[2] == 1 else output.shape[1] == 1
        if no_heads and output.shape[2:] == label.shape[1:]:
            raise ValueError(
                f"target must have a channel axis, (B, 1, *S), got {tuple(label.shape)} beside one output of "
                f"{tuple(output.shape)}; pass target[:, None]"
            )
    heads = list(output.unbind(1) if isinstance(output, torch.Tensor) else output)
    for head in heads:
        check_output(head)
    sizes = [tuple(head.shape[2:]) for head in heads]
    if not heads or sizes[0] != tuple(label.shape[2:]):
        raise ValueError(
            f"input must hold the head of the target's size {tuple(label.shape[2:])} first, got heads of {sizes}; "
            "order them from high to low resolution, and give the label as (B, 1, *S)"
        )
    return heads


def _check_weights(head_weights: Sequence[float]) -> tuple[float, ...]:
    checked = tuple(check_number("head_weights", weight, strict=False) for weight in head_weights)
    if not any(checked):
        raise ValueError(f"head_weights must hold a value above 0, got {checked}; pass None for 1, 1/2, 1/4, ...")
    return checked
