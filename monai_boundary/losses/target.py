"""Base of the losses that compare an output with a target."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import InitVar, dataclass, field
from typing import ClassVar

import torch
from monai.utils import LossReduction
from torch import nn
from torch.nn.modules.loss import _Loss

from monai_boundary._check import check_spacing
from monai_boundary._geometry import MissingSpacingWarning, batch_spacing
from monai_boundary.losses.contract import Counted, TargetContract
from monai_boundary.transforms.rescale import recorded_spacing

__all__ = ["SMOOTH", "SMOOTH_VOXELS", "Counted", "SpacedLoss", "TargetLoss", "by_spacing", "seen_coarser"]

#: Added above and below in the ratios of all losses here.
SMOOTH = 1e-5
#: Where the ratio is one of voxels, that is in voxels of so many that count. In voxels of whatever a patch has, a class
#: that is absent and hardly predicted would cost another value in a patch of another size.
SMOOTH_VOXELS = 1e5


def by_spacing(
    make: Callable[[slice, tuple[float, ...]], torch.Tensor], spacings: Sequence[tuple[float, ...]]
) -> torch.Tensor:
    """Return what `make` gives of a whole batch where its samples have one spacing, else of each sample, joined.

    Args:
        make: Takes a part of the batch and its spacing.
        spacings: Of each sample, or one for all.
    """
    if len(set(spacings)) == 1:
        return make(slice(None), spacings[0])
    return torch.cat([make(slice(index, index + 1), spacing) for index, spacing in enumerate(spacings)])


@dataclass(eq=False, repr=False)
class TargetLoss(_Loss):
    """Base of the losses that compare an output with a target: MONAI's seven arguments, and voxels that do not count.

    A loss lists what it adds as the fields of a dataclass of its own, with ``kw_only=True``, and completes them in
    `set_up`: the constructor, MONAI's arguments first, is made of both.

    Args:
        include_background: See `TargetContract`, as the next four and the last.
        to_onehot_y, sigmoid, softmax, other_act, ignore_index: See `TargetContract`.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        batch: Take the samples of a batch as one.
        validate: See `TargetContract`.

    Raises:
        TypeError: `other_act` is not callable, or `ignore_index` no integer; `input` is not floating point.
        ValueError: More than one activation; wrong shapes, values or reduction.
    """

    include_background: bool = True
    to_onehot_y: bool = False
    sigmoid: bool = False
    softmax: bool = False
    other_act: InitVar[Callable | None] = None  # no field: it may be a module, which nobody looks for in a loss
    reduction: str = LossReduction.MEAN
    batch: bool = False
    ignore_index: int | None = None
    validate: bool = field(default=False, kw_only=True)

    def __post_init__(self, other_act: Callable | None) -> None:
        super().__init__(reduction=LossReduction(self.reduction).value)
        self.contract = TargetContract(
            self.include_background, self.to_onehot_y, self.sigmoid, self.softmax, other_act, self.ignore_index,
            self.validate,
        )  # fmt: skip
        self.set_up()

    def set_up(self) -> None:
        """Check and complete the arguments that a loss adds to these."""

    def forward(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the loss.

        Args:
            input: Logits, or probabilities without an activation, `(B, C, *S)`.
            target: `(B, C, *S)` in [0, 1], or labels with `to_onehot_y`.
        """
        return self.value(self.contract.count(self.contract.read(input, target)))

    def value(self, counted: Counted) -> torch.Tensor:
        """Return the loss of what `contract.count` returned."""
        raise NotImplementedError

    def reduce(self, values: torch.Tensor) -> torch.Tensor:
        """Reduce one value per sample and channel as `reduction` says."""
        if self.reduction == "mean":
            return values.mean()
        return values.sum() if self.reduction == "sum" else values

    def summed_axes(self, ndim: int) -> list[int]:
        """Return the axes of `(B, C, *S)` that sums run over."""
        return [*([0] if self.batch else []), *range(2, ndim)]

    def counted_voxels(self, values: torch.Tensor, valid: torch.Tensor | None) -> torch.Tensor | int:
        """Return how many voxels count, 1 at least, in each of the sums over `summed_axes` of `values` `(B, C, *S)`."""
        if valid is None:
            return values.numel() // values.shape[1] // (1 if self.batch else values.shape[0])
        return valid.sum(self.summed_axes(valid.ndim)).clamp(min=1)

    def smoothed(
        self, part: torch.Tensor, whole: torch.Tensor, smooth: float, voxels: torch.Tensor | int
    ) -> torch.Tensor:
        """Return part / whole, sums over `voxels` of them, with `smooth` per `SMOOTH_VOXELS` added above and below."""
        added = smooth * voxels / SMOOTH_VOXELS
        return (part + added) / (whole + added)

    def extra_repr(self) -> str:
        """Show the settings that change the value."""
        return f"include_background={self.contract.include_background}, reduction={self.reduction!r}"


@dataclass(eq=False, repr=False, kw_only=True)
class SpacedLoss(TargetLoss):
    """Base of the losses that can make what they want beside the target themselves, by distances in mm.

    Args:
        spacing: Voxel size in mm of what the loss makes itself, one per axis in array order; ``None`` takes that of a
            `MetaTensor` target, and 1 for a plain tensor, with one `MissingSpacingWarning`.
    """

    makes: ClassVar[str]
    made_by: ClassVar[str]

    spacing: Sequence[float] | None = None

    def set_up(self) -> None:
        """Check the arguments that these losses add."""
        self._said_spacing = False
        self._whole: tuple[int, ...] | None = None

    def spacing_of(self, target: torch.Tensor, ndim: int) -> list[tuple[float, ...]]:
        """Spacing of each sample of the target, or one for all; of a coarser target, see `seen_coarser`."""
        found = self._known_spacing(target, ndim)
        if self._whole is None:
            return found
        steps = [whole / part for whole, part in zip(self._whole, target.shape[-ndim:], strict=True)]
        return [tuple(size * step for size, step in zip(one, steps, strict=True)) for one in found]

    def _known_spacing(self, target: torch.Tensor, ndim: int) -> list[tuple[float, ...]]:
        if self.spacing is not None:
            return [check_spacing(self.spacing, ndim)]
        found = recorded_spacing(target, ndim) or batch_spacing(target, ndim)
        if found is None and not (self._said_spacing or torch.compiler.is_compiling()):
            self._said_spacing = True
            warnings.warn(
                f"spacing of the target is unknown, so that the loss makes {self.makes} in voxels; pass spacing= to "
                f"the loss, or hand it a MetaTensor (LoadImaged) or what {self.made_by} makes",
                MissingSpacingWarning,
                stacklevel=6,
            )
        return found or [(1.0,) * ndim]


@contextmanager
def seen_coarser(loss: nn.Module, whole: tuple[int, ...]) -> Iterator[None]:
    """Let a loss, and all within it, know that the spacing is that of a grid of the size `whole`.

    They see fewer, larger voxels of it.
    """
    spaced = [part for part in loss.modules() if isinstance(part, SpacedLoss)]
    for part in spaced:
        part._whole = whole
    try:
        yield
    finally:
        for part in spaced:
            part._whole = None
