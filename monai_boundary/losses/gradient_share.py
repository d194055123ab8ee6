"""The weight of a boundary term as its share of the gradient at the logits."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import distributed as dist
from torch import nn

from monai_boundary._check import check_number
from monai_boundary.losses.values import as_float32

__all__ = [
    "GradientBalance",
    "GradientShareWarning",
    "Heads",
    "KeepsFloat32",
    "Share",
    "check_share",
    "gradient_norms",
    "weigh_by_share",
]

Heads = torch.Tensor | Sequence[torch.Tensor]
Gradients = Sequence[torch.Tensor | None]
Number = TypeVar("Number", float, torch.Tensor)
Terms = Callable[[Any], tuple[torch.Tensor, ...]]


@dataclass(frozen=True)
class Share:
    """A boundary weight given as a share of the gradient: ``loss.alpha = Share(0.2)``.

    `RegionBoundaryLoss` then chooses alpha in each step such that alpha |gb| / (region weight |gr| + alpha |gb|) is
    `value` times the part of the foreground that is found (`GradientBalance`), for the norms of the gradients of both
    terms at the logits. `GradientShare` is the schedule. Alpha grows during training, and the loss of a validation
    with it: choose checkpoints by a score or by `region_term`.

    Args:
        value: In (0, 1).

    Raises:
        ValueError: `value` is outside (0, 1).
    """

    value: float

    def __post_init__(self) -> None:
        check_share("share", self.value)

    def alpha(self, ratio: Number, found: Number) -> Number:
        """Return the weight of the boundary term, relative to that of the region term.

        Args:
            ratio: Gradient norm of the region term over that of the boundary term.
            found: Which part of the foreground is found, in [0, 1].
        """
        share = self.value * found
        return share / (1 - share) * ratio


def check_share(name: str, value: float) -> None:
    """Raise ``ValueError`` unless the argument `name` is a share in (0, 1)."""
    if not 0 < check_number(name, value, strict=False) < 1:
        raise ValueError(f"{name} must lie between 0 and 1, got {value}; 0.2 is a fifth of the gradient")


#: Of the moving averages, per batch.
_MOMENTUM = 0.9


class GradientShareWarning(UserWarning):
    """A batch from which no weight of the boundary term can be told: it takes that of the averages before it."""


class KeepsFloat32(nn.Module):
    """A module whose own buffers stay float32 when it is put into half precision, which is too coarse for weights."""

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> KeepsFloat32:
        kept = dict(self.named_buffers(recurse=False))
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, buffer in kept.items():
            setattr(self, name, buffer.to(getattr(self, name).device))
        return self


class GradientBalance(KeepsFloat32):
    """Moving averages of the two gradient norms, and the boundary weight that gives the boundary term its share.

    With the norms r of the region term and b of the boundary term at the logits of the main head, alpha =
    share / (1 - share) * r / b. It is taken of the moving averages, and of the present batch where that gives less: in
    no batch that is measured is the share larger than asked for. A batch moves the averages if it holds foreground and
    both norms are finite and above 0. Where they are not, the weight is that of the averages, but for a batch
    without foreground from which the region term wants nothing: there the boundary term has no weight.

    The share is that much smaller as the foreground is not found yet, by the mean probability of its voxels (the soft
    recall): the gradient of a boundary term fades with the prediction, and a constant share of the whole would hold an
    empty prediction empty (docs/evidence/constant_share.md). It goes by the class that is found least; a class that a
    batch does not hold counts as it was found in the last batch that held it. A batch that moves no average changes
    nothing of what is found.

    The norms of a batch that is spread over ranks are root mean squares: over all ranks for the batch itself, and over
    those whose part holds foreground for the averages. For losses that are means over the samples the ratio over all
    ranks is that of the whole batch in one process. All values stay on the device, and are the same on all ranks.

    Attributes:
        norms: Moving sums of the region and the boundary norm, `(2,)`.
        found: Part of each class that is found, `(K,)`, in the last batch that tells; 1 before. `(1,)` stands for all
            classes. A resumed run needs both.
    """

    norms: torch.Tensor
    found: torch.Tensor
    unusable: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        with torch.inference_mode(False):  # a share may be set in a validation; the next step writes into these
            self.register_buffer("norms", torch.zeros(2, dtype=torch.float32))
            self.register_buffer("found", torch.ones(1, dtype=torch.float32))
            self.register_buffer("unusable", torch.zeros((), dtype=torch.bool), persistent=False)
        self._said = False

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        state_dict.setdefault(prefix + "norms", torch.zeros(2))  # a checkpoint of a run without a share
        found = state_dict.get(prefix + "found", torch.ones(1))  # nor does one from before `found` was kept hold it
        state_dict[prefix + "found"] = found.reshape(1) if found.ndim == 0 else found
        if found.ndim < 2:
            self.set_found(found)
        super()._load_from_state_dict(state_dict, prefix, *args)

    @property
    def ratio(self) -> torch.Tensor:
        """Region norm over boundary norm of the moving averages, `()`; 0 before the first batch that is measured."""
        return _ratio(self.norms)

    @torch.no_grad()
    def forward(self, now: torch.Tensor, hits: torch.Tensor, true: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Take the norms of a batch.

        Args:
            now: Gradient norms of the region and the boundary term, `(2,)`.
            hits: Sum of the probabilities of each class over its own voxels, `(K,)`.
            true: Number of voxels of each class, `(K,)`.

        Returns:
            The ratio of the norms for this batch, `()`, and which part of the foreground is found, `()`: that of
            the class of which least is. What the batch does not tell is that of the batches before.
        """
        if self.norms.device != now.device:
            self.to(now.device)
        now, masses = now.float(), torch.stack([hits, true]).as_subclass(torch.Tensor).float()
        foreground = masses[1].any()
        squares = torch.cat([now.square(), now.new_ones(1)])
        measured = torch.cat([torch.where(foreground, squares, 0), squares, masses.flatten()])
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(measured)
        some = measured[2] > 0
        now = (measured[:2] / measured[2]).sqrt()  # root mean square over the ranks with foreground, NaN if none has
        batch = (measured[3:5] / measured[5]).sqrt()
        usable = (now > 0).all() & now.isfinite().all()
        bounded = (batch[1] > 0) & batch.isfinite().all() & (usable | ~some)
        self.unusable |= some & ~usable
        averages = self.norms * _MOMENTUM + now * (1 - _MOMENTUM)
        self.norms.copy_(torch.where(some & usable, averages, self.norms))
        if self.unusable.device.type == "cpu":
            self.warn()
        ratio = torch.where(bounded, torch.minimum(self.ratio, _ratio(batch)), self.ratio)
        hits, true = measured[6:].view(2, -1)
        if len(self.found) != len(true):
            self.set_found(self.found.amin().expand(len(true)))
        found = (hits / true).clamp(0, 1)
        self.found.copy_(torch.where(some & usable & (true > 0) & found.isfinite(), found, self.found))
        return ratio, self.found.amin()

    @torch.no_grad()
    def set_found(self, found: torch.Tensor) -> None:
        """Take over what is found of each class, `(K,)`, or of all, `()`."""
        found = found.reshape(-1).to(self.found, copy=True)
        self.found.resize_(found.shape).copy_(found)

    def warn(self) -> None:
        """Say once that a batch could not be used; reads from the device."""
        if not self._said and bool(self.unusable):
            self._said = True
            warnings.warn(
                "the gradient of a term is zero or not finite at the logits of a batch with foreground: the boundary "
                "weight is that of the averages before it; a zero is a perfect prediction or a map of zeros, NaN comes "
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
    weigh: Callable[[torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """Return the weighted sum of `terms`, weighted by the gradients that they have at `heads`.

    Each term is gone through backwards once, here; the network's backward starts from the weighted sum of these
    gradients. So a share costs no second evaluation. Second derivatives do not exist, and parameters of the losses get
    no gradient.

    Args:
        heads: Logits, or the logits of several heads, the main one first. A head that no term uses gets no gradient.
        terms: Returns region term, boundary term, and others of weight 1.
        combine: Returns their weighted sum.
        weigh: Takes the two norms at the main head, sets the weights, and returns them, `(2,)`.
    """
    outputs = [as_float32(head) for head in ([heads] if isinstance(heads, torch.Tensor) else heads)]
    values, gradients = _term_gradients(outputs, terms, isinstance(heads, torch.Tensor))
    factors: list[torch.Tensor | float] = [*weigh(_norms(gradients)).unbind(), *[1.0] * (len(values) - 2)]
    totals: dict[int, torch.Tensor] = {}
    for factor, row in zip(factors, gradients, strict=True):
        for head, part in enumerate(row):
            if part is not None:
                totals[head] = totals[head] + factor * part if head in totals else factor * part
    value = combine(*(value.detach() for value in values))
    used = [outputs[head] for head in totals]
    total: torch.Tensor = _WithGradient.apply(value, len(used), *used, *totals.values())
    return total


def gradient_norms(heads: Heads, terms: Terms) -> tuple[float, float]:
    """Return the gradient norms of the region and the boundary term at the logits of the main head.

    Args:
        heads: Logits, or the logits of several heads, the main one first; their graph is left alone.
        terms: Returns both terms, and perhaps others.
    """
    outputs = [as_float32(head) for head in ([heads] if isinstance(heads, torch.Tensor) else heads)]
    with torch.enable_grad():
        _, gradients = _term_gradients(outputs, lambda logits: terms(logits)[:2], isinstance(heads, torch.Tensor))
    region, boundary = _norms(gradients).tolist()
    return region, boundary


def _norms(gradients: Sequence[Gradients]) -> torch.Tensor:
    """Return the norms of the gradients of the first two terms at the main head, a plain tensor `(2,)`."""
    region, boundary = (row[0] for row in gradients[:2])
    assert region is not None  # noqa: S101 - or _term_gradients raises
    found = [region.norm(), torch.zeros_like(region).norm() if boundary is None else boundary.norm()]
    return torch.stack(found).as_subclass(torch.Tensor)


def _term_gradients(
    outputs: Sequence[torch.Tensor], terms: Terms, single: bool
) -> tuple[tuple[torch.Tensor, ...], list[Gradients]]:
    """Return the terms, and the gradient of each at each head, ``None`` where a term does not use it."""
    leaves = [output.detach().requires_grad_() for output in outputs]
    values = terms(leaves[0] if single else leaves)
    if wrong := [tuple(value.shape) for value in values if value.numel() != 1]:
        raise ValueError(f"both terms must be single numbers for a share, got {wrong[0]}; give them reduction='mean'")
    rows: dict[int, Gradients] = {}
    # The region term comes last and frees its graph: a compiled one, as nnU-Net's Dice, allows one way back only.
    for index in [*range(1, len(values)), 0]:
        rows[index] = [None] * len(leaves)
        if values[index].requires_grad:
            rows[index] = torch.autograd.grad(values[index], leaves, retain_graph=index != 0, allow_unused=True)
    if rows[0][0] is None:
        raise ValueError(
            "region must have a gradient at the logits for a share of it, got none; it must be made of the input "
            "without detach, argmax or a threshold, and the first of head_weights must not be 0"
        )
    return values, [rows[index] for index in range(len(values))]
