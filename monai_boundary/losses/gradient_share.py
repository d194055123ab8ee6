"""The weight of a boundary term as its share of the gradient at the logits."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import distributed as dist
from torch import nn

from monai_boundary._check import check_fraction
from monai_boundary.losses.contract import as_float32

__all__ = ["GradientBalance", "GradientShareWarning", "Heads", "Share", "gradient_norms", "weigh_by_share"]

Heads = torch.Tensor | Sequence[torch.Tensor]
Terms = Callable[[Any], tuple[torch.Tensor, ...]]


@dataclass(frozen=True)
class Share:
    """A boundary weight given as a share of the gradient: ``loss.alpha = Share(0.2)``.

    `RegionBoundaryLoss` then chooses alpha in each step such that alpha |gb| / (region weight |gr| + alpha |gb|) is
    `value`, for the norms of the gradients of both terms at the logits. `GradientShare` is the schedule.

    Args:
        value: In (0, 1).

    Raises:
        ValueError: `value` is outside (0, 1).
    """

    value: float

    def __post_init__(self) -> None:
        if not 0 < check_fraction("share", self.value) < 1:
            raise ValueError(f"share must lie between 0 and 1, got {self.value}; 0.2 is a fifth of the gradient")

    @property
    def odds(self) -> float:
        """Share over what is left of 1: alpha of two terms with equal gradient norms."""
        return self.value / (1 - self.value)


class GradientShareWarning(UserWarning):
    """A batch from which no weight of the boundary term can be told: the weight of the batches before is kept."""


class GradientBalance(nn.Module):
    """Moving averages of the two gradient norms, and the boundary weight that gives the boundary term its share.

    With the norms r of the region term and b of the boundary term at the logits of the main head, alpha =
    share / (1 - share) * r / b. It is taken of the moving averages, and of the present batch where that gives less: in
    no batch that is measured is the share larger than asked for. A batch moves the averages if it holds foreground and
    both norms are finite and above 0; any other has the weight of those before it. All values stay on the device, and
    are the same on all ranks.

    Args:
        momentum: Of the moving averages, per batch.

    Attributes:
        norms: Moving sums of the region and the boundary norm, `(2,)`. They are all that a resumed run needs.
    """

    norms: torch.Tensor
    unusable: torch.Tensor

    def __init__(self, momentum: float = 0.9) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("norms", torch.zeros(2))
        self.register_buffer("unusable", torch.zeros((), dtype=torch.bool), persistent=False)
        self._said = False

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        state_dict.setdefault(f"{prefix}norms", self.norms)  # a checkpoint of a run without a share
        super()._load_from_state_dict(state_dict, prefix, *args)

    @property
    def ratio(self) -> torch.Tensor:
        """Region norm over boundary norm of the moving averages, `()`; 0 before the first batch that is measured."""
        return _ratio(self.norms)

    @torch.no_grad()
    def forward(self, now: torch.Tensor, foreground: torch.Tensor) -> torch.Tensor:
        """Take the norms of a batch, and return the ratio for it, `()`.

        Args:
            now: Gradient norms of the region and the boundary term, `(2,)`.
            foreground: Bool `()`, whether the batch holds any.
        """
        if self.norms.device != now.device:
            self.to(now.device)
        now = now.float()
        measured = torch.cat([now.square() * foreground, foreground.float().view(1)])
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(measured)
        now = (measured[:2] / measured[2].clamp(min=1)).sqrt()  # root mean square over the ranks with foreground
        usable = (now > 0).all() & now.isfinite().all()
        self.unusable |= (measured[2] > 0) & ~usable
        averages = self.norms * self.momentum + now * (1 - self.momentum)
        self.norms.copy_(torch.where(usable, averages, self.norms))
        if self.unusable.device.type == "cpu":
            self.warn()
        return torch.where(usable, torch.minimum(self.ratio, _ratio(now)), self.ratio)

    def warn(self) -> None:
        """Say once that a batch could not be used; reads from the device."""
        if not self._said and bool(self.unusable):
            self._said = True
            warnings.warn(
                "the gradient of a term is zero or not finite at the logits of a batch with foreground: the boundary "
                "weight of the batches before is kept; a zero is a perfect prediction or a map of zeros, NaN comes "
                "from the network or the maps",
                GradientShareWarning,
                stacklevel=2,
            )


def _ratio(norms: torch.Tensor) -> torch.Tensor:
    return torch.where(norms[1] > 0, norms[0] / norms[1], 0.0)


class _WithGradient(torch.autograd.Function):
    """A value whose gradient is known already: it is worked out once, and the network's backward starts from it."""

    @staticmethod
    def forward(ctx: Any, value: torch.Tensor, count: int, *heads_and_gradients: torch.Tensor) -> torch.Tensor:
        ctx.count = count
        ctx.save_for_backward(*heads_and_gradients[count:])
        return value.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, outer: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        gradients = ctx.saved_tensors
        return (None, None, *(outer * gradient for gradient in gradients), *[None] * ctx.count)


@torch.compiler.disable  # type: ignore[untyped-decorator]
def weigh_by_share(
    heads: Heads,
    terms: Terms,
    combine: Callable[..., torch.Tensor],
    set_ratio: Callable[[torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """Return the weighted sum of `terms`, weighted by the gradients that they have at `heads`.

    Each term is gone through backwards once, here; the network's backward starts from the weighted sum of these
    gradients. So a share costs no second evaluation. Second derivatives do not exist, and parameters of the losses get
    no gradient.

    Args:
        heads: Logits, or the logits of several heads, the main one first.
        terms: Returns region term, boundary term, and others of weight 1.
        combine: Returns their weighted sum.
        set_ratio: Takes the two norms at the main head, sets the weights, and returns them, `(2,)`.
    """
    outputs = [as_float32(head) for head in ([heads] if isinstance(heads, torch.Tensor) else heads)]
    leaves = [output.detach().requires_grad_() for output in outputs]
    values = terms(leaves[0] if isinstance(heads, torch.Tensor) else leaves)
    gradients = _gradients(values, leaves)
    weights = set_ratio(torch.stack([rows[0].norm() for rows in gradients[:2]]))
    factors = [*weights.unbind(), *[None] * (len(values) - 2)]
    totals = []
    for column in zip(*gradients, strict=True):
        rows = [row if factor is None else factor * row for factor, row in zip(factors, column, strict=True)]
        totals.append(sum(rows[1:], start=rows[0]))
    value = combine(*(value.detach() for value in values))
    total: torch.Tensor = _WithGradient.apply(value, len(outputs), *outputs, *totals)
    return total


def gradient_norms(heads: Heads, terms: Terms) -> tuple[float, float]:
    """Return the gradient norms of the region and the boundary term at the logits of the main head.

    Args:
        heads: Logits, or the logits of several heads, the main one first; their graph is left alone.
        terms: Returns both terms, and perhaps others.
    """
    outputs = [heads] if isinstance(heads, torch.Tensor) else heads
    leaves = [as_float32(head).detach().requires_grad_() for head in outputs]
    with torch.enable_grad():
        values = terms(leaves[0] if isinstance(heads, torch.Tensor) else leaves)
        region, boundary = _gradients(values[:2], leaves)
    return float(region[0].norm()), float(boundary[0].norm())


def _gradients(values: Sequence[torch.Tensor], leaves: Sequence[torch.Tensor]) -> list[list[torch.Tensor]]:
    """Return the gradient of each term at each head; a head that a term does not use has the gradient 0."""
    rows: dict[int, list[torch.Tensor]] = {}
    # The region term comes last and frees its graph: a compiled one, as nnU-Net's Dice, allows one way back only.
    for index in [*range(1, len(values)), 0]:
        found: Sequence[torch.Tensor | None] = [None] * len(leaves)
        if values[index].requires_grad:
            found = torch.autograd.grad(values[index], leaves, retain_graph=index != 0, allow_unused=True)
        if index == 0 and found[0] is None:
            raise ValueError(
                "region must have a gradient at the logits for a share of it, got none; it must be made of the input "
                "without detach, argmax or a threshold"
            )
        rows[index] = [
            torch.zeros_like(leaf) if part is None else part for part, leaf in zip(found, leaves, strict=True)
        ]
    return [rows[index] for index in range(len(values))]
