"""Losses in which every lesion counts as much, whatever its size: inside of its cell, or with the others left out.

All lesions are scored at once: a voxel's place among the sums is its cell and whether it is target, so that one pass
over the volume serves one lesion or 30,000. Cells are those of `kernels.components.lesion_cells`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch

from monai_boundary._check import check_fraction, check_number, plain_tensor
from monai_boundary.losses.cell_sums import Places, Sums, check_cells, mask_cells, sums_of_logits, sums_of_probs
from monai_boundary.losses.contract import Pair
from monai_boundary.losses.target import SMOOTH, SpacedLoss, by_spacing
from monai_boundary.losses.values import label_numbers

__all__ = ["BlobLoss", "ComponentDiceLoss", "LesionLoss"]

_TINY = 1e-7  # of probabilities that come without logits: below, their logarithm has no gradient


class _Seen(NamedTuple):
    """Output and target of one call; of the channels that count, which voxels are target and which count."""

    pair: Pair
    #: Probabilities of these channels; ``None`` where they are made of the logits piece by piece.
    probs: torch.Tensor | None
    true: torch.Tensor
    valid: torch.Tensor | None


@dataclass(eq=False, repr=False, kw_only=True)
class LesionLoss(SpacedLoss):
    """Base of the losses that are means over lesions; see `ComponentDiceLoss` for its arguments."""

    resizes: ClassVar[str] = "target"
    target_name: ClassVar[str] = "lesion_cells"
    makes: ClassVar[str] = "cells"
    made_by: ClassVar[str] = "LesionCellsd"

    dice_weight: float = 1.0
    ce_weight: float = 1.0
    smooth: float = SMOOTH
    ignore_index: int | None = None

    def set_up(self) -> None:
        """Check the arguments that these losses add."""
        super().set_up()
        check_number("dice_weight", self.dice_weight, strict=False)
        check_number("ce_weight", self.ce_weight, strict=False)
        if not (self.dice_weight or self.ce_weight):
            raise ValueError("dice_weight or ce_weight must be above 0, got 0 and 0; pass dice_weight=1")
        self.smooth = check_number("smooth", self.smooth)

    def forward(
        self, input: torch.Tensor, target: torch.Tensor, lesion_cells: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the loss.

        Args:
            input: Logits, or probabilities without an activation, `(B, C, *S)` with 1 to 3 spatial axes.
            target: Binary `(B, C, *S)` (soft ones are cut at 0.5), or labels with `to_onehot_y`.
            lesion_cells: For every voxel the number of the nearest lesion, as `LesionCellsd` makes it: integers
                `(B, C, *S)`, or `(B, C - 1, *S)` with ``include_background=False``, 0 where a class has no lesion.
                ``None`` to make them from the target, on the CPU. On a GPU and in a compiled loss, where they are not
                looked at, numbers above 32,768 and the number of voxels count as one lesion.
        """
        pair = self.contract.read(input, target)
        true, valid = self._counted(pair)
        seen = _Seen(pair, self._probs(pair, true), true, valid)
        if lesion_cells is None:
            sums = self._sums(seen, self._make_cells(true, valid, target))
        else:
            cells = self._given(lesion_cells, pair, true)
            sums = self._sums(seen, cells)
            check_cells(cells, sums)
        values = self._mean(sums, sums.voxels[..., 1] > 0)
        return self.reduce(self._beside(values, seen, target).to(pair.logits.dtype))

    def compute_lesion_cells(self, target: torch.Tensor, input: torch.Tensor) -> torch.Tensor:
        """Return the cells of the counted channels of `target`, int32 `(B, C, *S)`, as `forward` makes them."""
        return self._make_cells(*self._counted(self.contract.read(input, target)), target)

    def regions(self, sums: torch.Tensor) -> torch.Tensor:
        """Return the sums over what each lesion is scored on, of the sums over cells, both `(..., cells, 2)`."""
        raise NotImplementedError

    def _beside(self, values: torch.Tensor, seen: _Seen, target: torch.Tensor) -> torch.Tensor:
        """Return `values` with whatever a loss has beside the mean over the lesions of the target."""
        del seen, target
        return values

    def _counted(self, pair: Pair) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return which voxels are target and which count, of the channels that count."""
        first, valid = self.contract.first_channel(pair.logits), pair.valid
        return pair.target[:, first:] > 0.5, valid if valid is None or valid.shape[1] == 1 else valid[:, first:]

    def _given(self, cells: torch.Tensor, pair: Pair, true: torch.Tensor) -> torch.Tensor:
        cells = self.contract.beside("lesion_cells", cells, true, pair.logits.shape[1] - true.shape[1])
        if cells.dtype == torch.bool or cells.is_complex():
            raise TypeError(f"lesion_cells must hold numbers of lesions, got {cells.dtype}; masks go into target")
        return label_numbers(plain_tensor("lesion_cells", cells))

    @torch.no_grad()
    def _make_cells(self, masks: torch.Tensor, valid: torch.Tensor | None, target: torch.Tensor) -> torch.Tensor:
        masks = plain_tensor("masks", masks if valid is None else masks & valid)
        spacings = self.spacing_of(target, masks.ndim - 2)
        return by_spacing(lambda part, spacing: mask_cells(masks[part], spacing), spacings)

    def _probs(self, pair: Pair, true: torch.Tensor) -> torch.Tensor | None:
        if self.contract.sigmoid or (self.contract.softmax and pair.logits.shape[1] > 1):
            return None
        return self.contract.activate(pair.logits)[:, -true.shape[1] :]

    def _sums(self, seen: _Seen, cells: torch.Tensor) -> Sums:
        (logits, target, _), probs, true, valid = seen
        places = Places(cells, true, valid)
        if probs is None:
            return sums_of_logits(logits, target, places, self.contract.softmax)
        target, bounded = target[:, -true.shape[1] :].to(probs.dtype), probs.clamp(_TINY, 1 - _TINY)
        return sums_of_probs(probs, -(target * bounded.log() + (1 - target) * (1 - bounded).log()), places)

    def _mean(self, sums: Sums, present: torch.Tensor) -> torch.Tensor:
        """Mean over the lesions, `(B, C)`, `(C,)` with `batch`; where there is none, the loss of the whole volume.

        Args:
            sums: See `Sums`.
            present: Bool `(B, C, cells)`, which cells hold a lesion; cell 0 never counts.
        """
        if self.batch:  # as if the volumes lay side by side
            sums = Sums(*(part.transpose(0, 1).flatten(1, 2) for part in sums))
            present = torch.cat([torch.zeros_like(present[..., :1]), present[..., 1:]], -1).transpose(0, 1).flatten(1)
        else:
            present = torch.cat([torch.zeros_like(present[..., :1]), present[..., 1:]], -1)
        scores = self._score(*map(self.regions, sums))
        count = present.sum(-1)
        mean = torch.where(present, scores, 0).sum(-1) / count.clamp(min=1)
        return torch.where(count > 0, mean, self._score(*(part.sum(-2) for part in sums)))

    def _score(self, probs: torch.Tensor, entropy: torch.Tensor, voxels: torch.Tensor) -> torch.Tensor:
        """Dice loss and cross-entropy of regions whose sums outside and inside of the target are `(..., 2)`."""
        count = voxels.sum(-1).clamp(min=1)
        dice = 1 - self.smoothed(2 * probs[..., 1], probs.sum(-1) + voxels[..., 1], self.smooth, count)
        # the entropy of an infinite logit is infinite, and 0 times that is NaN
        return self.dice_weight * dice + (self.ce_weight * entropy.sum(-1) / count if self.ce_weight else 0)

    def extra_repr(self) -> str:
        """Show the settings that change the value."""
        return f"dice_weight={self.dice_weight}, ce_weight={self.ce_weight}, {super().extra_repr()}"


@dataclass(eq=False, repr=False, kw_only=True)
class ComponentDiceLoss(LesionLoss):
    """Mean over the lesions of Dice loss plus cross-entropy inside of the lesion's cell, for each class.

    The cell of a lesion is all voxels that are nearer to it than to any other lesion of its class; what is predicted
    there belongs to it. So a lesion of 5 voxels counts as much as one of 5,000. Published as CC-DiceCE, beside as much
    Dice + cross-entropy of the whole volume:
    ``RegionBoundaryLoss(DiceCELoss(...), ComponentDiceLoss(...), alpha=0.5, mode="complement")``.

    * A class without a lesion in the sample is scored on the whole volume as one cell: the Dice part is then 1 unless
      hardly anything is predicted (less than `smooth` of 100,000 voxels), and cross-entropy is what falls.
    * Cells that hold no voxel of their lesion, after a crop, do not count, and voxels in no cell do not either: another
      loss beside this one must see them.
    * Only the voxels of a lesion that are not ignored make it a lesion.

    Args:
        include_background: Whether channel 0 counts; its components are then lesions as those of all others are. Give
            ``False`` with softmax. Given cells may hold or leave out that channel.
        to_onehot_y, sigmoid, softmax, other_act: See `BoundaryLoss`.
        reduction: ``"mean"`` over samples and classes, ``"sum"``, or ``"none"``: `(B, C)`, `(C,)` with `batch`.
        batch: Take the mean over all lesions of the batch, so that a sample without the class is no case of its own.
            Under DDP this is the batch of one process.
        dice_weight: Weight of the Dice loss; ``None`` for 1, and for 0.5 with `bidirectional`, as published.
        ce_weight: Weight of the cross-entropy, the mean over the voxels of the cell: after a softmax that of all
            classes, else that of the channel.
        smooth: > 0, added above and below in the Dice, in voxels of 100,000 of the cell.
        spacing: Voxel size in mm of cells that the loss makes itself, one per axis in array order; ``None`` takes that
            of a `MetaTensor` target, and 1 for a plain tensor, with one `MissingSpacingWarning`.
        ignore_index: Value of the target at voxels that do not count.
        validate: See `BoundaryLoss`.
        bidirectional: Look from the prediction, too: the loss is the mean of that over the target's lesions and the
            same over the components of the prediction above `threshold`, each in its own cell, so that a false
            component counts as a missed lesion does. Components are found on the CPU, and have no gradient. The idea is
            BiCC's (2026); that both directions weigh the same is a choice made here.
        threshold: From which probability on a voxel is predicted, for `bidirectional`.

    Raises:
        TypeError, ValueError: See `BoundaryLoss`; both weights are 0; the cells are those of another label.

    References:
        Bouteille et al., Learning to look closer: a new instance-wise loss for small cerebral lesion segmentation,
        arXiv 2511.17146; Jaus et al., Every component counts, arXiv 2410.18684, for the cells.

    Example:
        >>> loss = ComponentDiceLoss(sigmoid=True, ce_weight=0)
        >>> target = torch.tensor([[[1.0, 0, 0, 0, 0, 1, 1, 1]]])
        >>> missed_the_small = 40 * target - 20
        >>> missed_the_small[..., 0] = -20
        >>> round(float(loss(missed_the_small, target)), 3)
        0.5
    """

    dice_weight: float | None = None  # type: ignore[assignment] # a number once it is made
    bidirectional: bool = False
    threshold: float = 0.5

    def set_up(self) -> None:
        """Check the arguments that this loss adds."""
        if self.dice_weight is None:
            self.dice_weight = 0.5 if self.bidirectional else 1.0
        super().set_up()
        check_fraction("threshold", self.threshold)

    def regions(self, sums: torch.Tensor) -> torch.Tensor:
        """Return the sums over the cells: a lesion is scored on its own."""
        return sums

    def _beside(self, values: torch.Tensor, seen: _Seen, target: torch.Tensor) -> torch.Tensor:
        if not self.bidirectional:
            return values
        with torch.no_grad():
            probs = self.contract.activate(seen.pair.logits) if seen.probs is None else seen.probs
            predicted = probs[:, -seen.true.shape[1] :] > self.threshold
        sums = self._sums(seen, self._make_cells(predicted, seen.valid, target))
        return (values + self._mean(sums, sums.voxels.sum(-1) > 0)) / 2


@dataclass(eq=False, repr=False, kw_only=True)
class BlobLoss(LesionLoss):
    """Mean over the lesions of Dice loss plus cross-entropy of the volume without all other lesions, for each class.

    All lesions share the background, so that a false component costs in the term of each of them, and not in the one of
    its cell (`ComponentDiceLoss`).

    The published code sets what is predicted at other lesions to 0 and counts these voxels; here they do not count.
    A class without a lesion in the sample is scored on the whole volume; the published code leaves the sample out.

    Args:
        include_background: See `ComponentDiceLoss`, as all others.
        to_onehot_y, sigmoid, softmax, other_act, reduction, batch: See `ComponentDiceLoss`.
        dice_weight, ce_weight, smooth, spacing, ignore_index, validate: See `ComponentDiceLoss`.

    Raises:
        TypeError, ValueError: See `ComponentDiceLoss`.

    References:
        Kofler et al., blob loss: instance imbalance aware loss functions for semantic segmentation, arXiv 2205.08209.

    Example:
        >>> target = torch.tensor([[[1.0, 0, 0, 0, 0, 1, 1, 1]]])
        >>> round(float(BlobLoss(sigmoid=True, ce_weight=0)(40 * target - 20, target)), 3)
        0.0
    """

    def regions(self, sums: torch.Tensor) -> torch.Tensor:
        """Return the sums over each lesion and all that is no lesion."""
        outside = sums[..., 0].sum(-1, keepdim=True)
        return torch.stack([outside.expand_as(sums[..., 1]), sums[..., 1]], -1)
