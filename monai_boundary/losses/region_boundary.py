"""A region loss and a boundary loss in one, weighted by alpha: base of the combined losses, and their target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import nn

from monai_boundary._check import check_choice, check_fraction, check_number
from monai_boundary.losses.gradient_share import (
    GradientBalance,
    Heads,
    KeepsFloat32,
    Share,
    Terms,
    gradient_norms,
    weigh_by_share,
)
from monai_boundary.losses.soft_recall import check_same_output, foreground_hits, output_contract
from monai_boundary.losses.values import check_output

__all__ = ["TARGET_TRANSFORMS", "Mode", "RegionBoundaryLoss", "Target", "split_target"]

Mode = Literal["rebalance", "increase", "complement"]
#: A label, or label and what the loss wants beside it as they pass through a MONAI engine.
Target = torch.Tensor | Mapping[str, torch.Tensor]
#: What a loss may want beside the label, and the transform that makes it.
TARGET_TRANSFORMS = {
    "distance_map": "SignedDistanceMapd", "target_boundary": "BoundaryBandd", "seeds": "RegionSeedsd",
    "lesion_cells": "LesionCellsd",
}  # fmt: skip
_MODES: tuple[Mode, ...] = ("rebalance", "increase", "complement")


class RegionBoundaryLoss(KeepsFloat32):
    """Region weight times region loss plus alpha times boundary loss.

    Set the weights once per epoch: ``loss.term_weights = GradientShare().weights(epoch, max_epochs)``. After each call
    `region_term` and `boundary_term` hold the two unweighted terms, detached, for logging.

    With `Share(0.2)` or `GradientShare().weights(epoch, max_epochs)` in place of the number, alpha follows in each step
    from the gradients of the two terms at the logits; reading `alpha` then returns the last one. The moving averages
    that it comes from are in the loss's `state_dict`: save it with the network's. Each term is then evaluated once, not
    compiled, and the loss has no second derivative.

    Args:
        region: Any loss called as ``region(input, target)``.
        boundary: Called as ``boundary(input, target, beside)``. Its `target_name` is the name of what it wants beside
            the label, ``"distance_map"`` if it has none.
        alpha: Weight of the boundary term until it is set again, a number or a `Share`.
        mode: What setting `alpha` does to the region weight: ``"rebalance"`` makes it max(region_floor, 1 - alpha),
            ``"increase"`` leaves it at 1, ``"complement"`` makes it 1 - alpha and refuses weights whose sum is not 1.
            Under a `Share` the region weight stays 1, and with ``"complement"`` both follow from the share.
        region_floor: Smallest region weight under ``"rebalance"``.

    Raises:
        TypeError: A weight is no number.
        ValueError: One loss takes a softmax and the other a sigmoid or neither, `mode` is unknown, or a weight is
            negative, not finite or, under ``"complement"``, above 1.

    Example:
        >>> from monai_boundary.losses import BoundaryLoss, GeneralizedDiceLoss
        >>> loss = RegionBoundaryLoss(GeneralizedDiceLoss(softmax=True), BoundaryLoss(softmax=True), alpha=0.25)
        >>> loss.term_weights
        (0.75, 0.25)
    """

    def __init__(
        self,
        region: nn.Module,
        boundary: nn.Module,
        alpha: float | Share = 0.01,
        mode: Mode = "rebalance",
        region_floor: float = 0.1,
    ) -> None:
        super().__init__()
        check_same_output(region, boundary)
        self.region = region
        self.boundary = boundary
        self.mode: Mode = check_choice("mode", mode, _MODES)
        self.region_floor = check_fraction("region_floor", region_floor)
        # A tensor, so that a compiled loss reads new weights without another graph.
        self._weights: torch.Tensor
        self.register_buffer("_weights", torch.zeros(2, dtype=torch.float32), persistent=False)
        self.balance: GradientBalance | None = None
        self._share: Share | None = None
        self.region_term: torch.Tensor | None = None
        self.boundary_term: torch.Tensor | None = None
        self.alpha = alpha

    @property
    def target_name(self) -> str:
        """Name of what the boundary loss wants beside the label."""
        name: str = getattr(self.boundary, "target_name", "distance_map")
        return name

    @property
    def alpha(self) -> float:
        """Weight of the boundary term; setting it sets the region weight too, as `mode` says."""
        return self.term_weights[1]

    @alpha.setter
    def alpha(self, value: float | Share) -> None:
        _refuse_schedule("alpha", value)
        if isinstance(value, Share):
            self.term_weights = 1.0, value
        elif self.mode == "complement":
            number = check_fraction("alpha", value)
            self.term_weights = 1.0 - number, number
        else:
            number = check_number("alpha", value, strict=False)
            self.term_weights = (max(self.region_floor, 1.0 - number) if self.mode == "rebalance" else 1.0, number)

    @property
    def gradient_share(self) -> float | None:
        """Share of the gradient that the boundary term is to have, ``None`` where alpha is a number."""
        return None if self._share is None else self._share.value

    @property
    def uses_boundary(self) -> bool:
        """Whether the boundary term has a weight, or is about to get one from its share."""
        return self._share is not None or self._pair[1] > 0

    @property
    def gradient_norms(self) -> tuple[float, float] | None:
        """Moving averages behind a share: norms of the region and the boundary gradient; ``None`` before the first.

        A run that is resumed without the loss's `state_dict` goes on with the same bits once they are set again.
        """
        if self.balance is None or not self.balance.norms.any():
            return None
        region, boundary = self.balance.norms.tolist()
        return region, boundary

    @gradient_norms.setter
    def gradient_norms(self, pair: tuple[float, float] | None) -> None:
        norms = self._balance().norms
        norms.copy_(norms.new_tensor((0.0, 0.0) if pair is None else _checked_norms(pair)))
        self._weigh_again()

    @property
    def foreground_found(self) -> float | None:
        """Part of the foreground that is found, which a share is multiplied by; ``None`` before the first batch.

        That of the class of which least is. Where a run is resumed without the loss's `state_dict`, set this to
        `found_by_class`, beside `gradient_norms`; a single number is that of every class.
        """
        found = self.found_by_class
        return None if found is None else min(found)

    @foreground_found.setter
    def foreground_found(self, value: float | Sequence[float] | None) -> None:
        by_class = value if isinstance(value, Sequence) and value else [1.0 if value is None else value]
        checked = [check_fraction("foreground_found", one) for one in by_class]
        self._balance().set_found(torch.tensor(checked, dtype=torch.float32))
        self._weigh_again()

    @property
    def found_by_class(self) -> tuple[float, ...] | None:
        """Part of each foreground class that is found, in the last batch that held it; ``None`` before the first."""
        return None if self.gradient_norms is None else tuple(self._balance().found.tolist())

    @property
    def term_weights(self) -> tuple[float, float]:
        """Weights of the region and the boundary term; with a share those of the last step."""
        if self._share is None:
            return self._pair
        self._balance().warn()
        region, boundary = self._weights.tolist()
        return region, boundary

    @term_weights.setter
    def term_weights(self, pair: tuple[float, float | Share]) -> None:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise TypeError(f"term_weights must be a pair (region, boundary), got {pair!r}; set alpha for one number")
        _refuse_schedule("term_weights, boundary", pair[1])
        region = check_number("term_weights, region", pair[0], strict=False)
        if isinstance(pair[1], Share):
            if region == 0 or (self.mode == "complement" and region != 1):
                allowed = "1" if self.mode == "complement" else "> 0"
                raise ValueError(
                    f"term_weights, region, must be {allowed} beside a Share in {type(self).__name__}, got {region:g}; "
                    "set alpha for both: loss.alpha = Share(0.2)"
                )
            self._share, self._pair = pair[1], (region, 0.0)
            self._weigh_again()
            return
        boundary = check_number("term_weights, boundary", pair[1], strict=False)
        if self.mode == "complement" and abs(region + boundary - 1) > 1e-6:
            raise ValueError(
                f"term_weights must have the sum 1 in {type(self).__name__}, got ({region:g}, {boundary:g}); set "
                "alpha, and the region weight follows: loss.alpha = schedule.weights(epoch, max_epochs)[1]"
            )
        self._share, self._pair = None, (region, boundary)
        if self._weights.is_inference():  # made, or set by a share, in a validation
            self._weights = self._weights.clone()
        self._weights.copy_(torch.tensor(self._pair, dtype=torch.float32))

    def _balance(self) -> GradientBalance:
        if self.balance is None:  # a loss without a share has no state
            self.balance = GradientBalance()
        return self.balance

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        norms, found = (state_dict.get(f"{prefix}balance.{name}") for name in ("norms", "found"))
        if norms is not None:
            self._balance()
            if norms.shape == (2,):  # the weights of the next validation; another shape is named below
                self.gradient_norms = tuple(norms.tolist())
                self.foreground_found = None if found is None or found.ndim > 1 else found.reshape(-1).tolist()
        elif self.balance is not None:  # of a run without a share: nothing of this one is left
            self.gradient_norms = self.foreground_found = None
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _weigh_again(self) -> None:
        """Set the weights of a share, if there is one, from what is known before the next batch."""
        if self._share is not None:
            self._weigh(self._balance().ratio, self._balance().found.amin())

    def _weigh(self, ratio: torch.Tensor, found: torch.Tensor) -> torch.Tensor:
        """Set the weights of a share from what `GradientBalance` returns, and return them."""
        assert self._share is not None  # noqa: S101 - its callers see to it
        alpha = self._share.alpha(ratio, found.to(ratio.device))
        if self.mode == "complement":
            self._weights = torch.stack([1 / (1 + alpha), alpha / (1 + alpha)])
        else:
            region = self._pair[0]
            self._weights = torch.stack([torch.full_like(alpha, region), region * alpha])
        return self._weights

    def forward(self, input: torch.Tensor, target: Target, distance_map: torch.Tensor | None = None) -> torch.Tensor:
        """Return the weighted sum.

        Args:
            input: Logits `(B, C, *S)`.
            target: Label `(B, 1, *S)`, or label and map as ``{"label": ..., "distance_map": ...}``, which is how they
                pass through a MONAI engine (`PrepareBatchTarget`).
            distance_map: Float `(B, C, *S)` or without the background; ``None`` to compute it from the label.
        """
        check_output(input)
        label, beside = split_target(target, distance_map, self.target_name)
        return self.weighted(input, label, lambda logits: self.terms(logits, label, beside))

    def weighted(self, heads: Heads, label: torch.Tensor, terms: Terms) -> torch.Tensor:
        """Return the weighted sum of `terms` of the heads, with the weights of the schedule or by the gradient share.

        Args:
            heads: Logits, or those of several heads, the main one first.
            label: As of the call.
            terms: Called with `heads`; returns what the method `terms` does.
        """
        outputs = [heads] if isinstance(heads, torch.Tensor) else list(heads)
        if self._share is None or not (torch.is_grad_enabled() and any(head.requires_grad for head in outputs)):
            self._weigh_again()  # a last batch without foreground must not weigh the cases of a validation
            return self.combine(*terms(heads))

        def weigh(norms: torch.Tensor) -> torch.Tensor:
            return self._weigh(*self._balance()(norms, *self.foreground_hits(outputs[0].detach(), label)))

        total: torch.Tensor = weigh_by_share(heads, terms, self.combine, weigh)
        return total

    def measure_gradients(
        self, input: Heads, target: Target, beside: torch.Tensor | None = None
    ) -> tuple[float, float]:
        """Return the gradient norms of both unweighted terms at the logits; sets nothing. Arguments as of a call."""
        label, beside = split_target(target, beside, self.target_name)
        with self.measuring():
            return gradient_norms(input, lambda logits: self.terms(logits, label, beside))

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """Let `terms` return the boundary term even where its weight is 0."""
        kept, self._pair = self._pair, (1.0, 1.0)
        try:
            yield
        finally:
            self._pair = kept

    def foreground_hits(self, logits: torch.Tensor, label: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the sum of the probabilities of each foreground class over its voxels, and their number, `(K,)`.

        Args:
            logits: `(B, C, *S)`.
            label: As of the call: labels, or a channel for each class.
        """
        return foreground_hits(output_contract(self.boundary, self.region), logits, label)

    def terms(self, input: torch.Tensor, label: torch.Tensor, beside: torch.Tensor | None) -> tuple[torch.Tensor, ...]:
        """Return the unweighted terms: region, boundary, and in some losses one that always has the weight 1."""
        with _unchanged(input, self.region):
            region = self.region(input, label)
        return region, self.boundary(input, label, beside)

    def combine(self, region: torch.Tensor, boundary: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
        """Keep both terms for logging, and return the weighted sum of what `terms` returned."""
        if region.ndim and boundary.ndim and region.shape != boundary.shape:
            raise ValueError(
                "both terms must have one shape, or be single numbers, got "
                f"{tuple(region.shape)} from {type(self.region).__name__} and {tuple(boundary.shape)} from "
                f"{type(self.boundary).__name__}; give them reduction='mean'"
            )
        self.region_term, self.boundary_term = region.detach(), boundary.detach()
        weights = self._weights.to(region.dtype, copy=True)  # setting them again must not reach this graph
        total: torch.Tensor = weights[0] * region + weights[1] * boundary
        return sum(others, start=total)

    def extra_repr(self) -> str:
        """Show the weights."""
        weights = f"gradient_share={self.gradient_share}" if self._share else f"term_weights={self.term_weights}"
        return f"{weights}, mode={self.mode!r}"


@contextmanager
def _unchanged(logits: torch.Tensor, region: nn.Module) -> Iterator[None]:
    """Refuse a region loss that changes the logits in place: the boundary term would be that of other ones."""
    compiling = torch.compiler.is_compiling()  # type: ignore[attr-defined]
    before, cause = None if compiling or logits.is_inference() else logits._version, None
    try:
        yield
    except RuntimeError as error:
        if "in-place operation" not in str(error):
            raise
        cause = error
    if cause is not None or (before is not None and logits._version != before):
        raise ValueError(
            f"region must not change its input in place, as {type(region).__name__} does: the boundary term reads the "
            "same logits; leave out inplace=True, sigmoid_ and the like"
        ) from cause


def _checked_norms(pair: Any) -> list[float]:
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        raise TypeError(f"gradient_norms must be a pair (region, boundary) of numbers, or None, got {pair!r}")
    return [check_number("gradient_norms", norm, strict=False) for norm in pair]


def _refuse_schedule(name: str, value: object) -> None:
    if hasattr(value, "weights"):
        raise TypeError(
            f"{name} must be a number or a Share, got the schedule {value!r}; set its weights in every epoch: "
            "loss.term_weights = schedule.weights(epoch, max_epochs)"
        )


def split_target(target: Any, beside: torch.Tensor | None, name: str) -> tuple[Any, torch.Tensor | None]:
    """Return the label and what the loss wants beside it, given apart or as the one target of a MONAI engine.

    Raises:
        ValueError: The target of an engine lacks one of them.
    """
    if not isinstance(target, Mapping):
        return target, beside
    missing = [key for key in ("label", name) if key not in target]
    if missing:
        raise ValueError(
            f"target must hold label and {name}, got no {', '.join(missing)} among {sorted(target)}; use "
            f"PrepareBatchTarget({name!r}), and put {TARGET_TRANSFORMS.get(name, 'what makes it')} into the transforms"
        )
    return target["label"], target[name]
