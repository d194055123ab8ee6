"""Other losses on the signed distance map: generalized surface, region-wise, Hausdorff. None is a default anywhere.

They take the map of `SignedDistanceMapd` as `BoundaryLoss` does, and differ in what they make of it and of the target.
Use each beside a region loss: ``RegionBoundaryLoss(region, RegionWiseLoss(...))``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from monai.data import MetaTensor

from monai_boundary._check import check_number
from monai_boundary.kernels.distance import DistanceMapOptions, Preset
from monai_boundary.losses.contract import Counted
from monai_boundary.losses.map_target import MapLoss
from monai_boundary.losses.target import SMOOTH, by_spacing
from monai_boundary.losses.values import as_float32

__all__ = ["GeneralizedSurfaceLoss", "HausdorffDistanceLoss", "RegionWiseLoss"]


@dataclass(eq=False, repr=False, kw_only=True)
class TargetMapLoss(MapLoss):
    """Base of the losses that read target and map; see `BoundaryLoss` for its arguments."""

    def forward(
        self, input: torch.Tensor, target: torch.Tensor, distance_map: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the loss.

        Args:
            input: Logits, or probabilities without an activation, `(B, C, *S)` with 1 to 3 spatial axes.
            target: `(B, C, *S)` in [0, 1], or labels with `to_onehot_y`.
            distance_map: Float `(B, C, *S)`, or `(B, C - 1, *S)` with ``include_background=False``; ``None`` to make it
                from the target.
        """
        return self.of_map(*self.read(input, target, distance_map))

    def read(
        self, input: torch.Tensor, target: torch.Tensor, distance_map: torch.Tensor | None
    ) -> tuple[Counted, torch.Tensor]:
        """Return output and target, and the map `(B, C, *S)`, of the counted channels, all 0 where voxels do not."""
        counted = self.contract.count(self.contract.read(input, target))
        if distance_map is None:
            return counted, self._maps_of(counted.target > 0.5, counted.valid, target)
        maps = as_float32(self.given_map(input, target, distance_map, counted.first).detach())
        return counted, maps if counted.valid is None else torch.where(counted.valid, maps, 0)

    @torch.no_grad()
    def _maps_of(self, masks: torch.Tensor, valid: torch.Tensor | None, like: torch.Tensor) -> torch.Tensor:
        """Maps of masks `(B, C, *S)` whose spacing `like` carries."""

        def make(part: slice, spacing: tuple[float, ...]) -> torch.Tensor:
            return self.map_of_masks(masks[part], spacing, None if valid is None else valid[part])

        return by_spacing(make, self.spacing_of(like, masks.ndim - 2))

    def of_map(self, counted: Counted, maps: torch.Tensor) -> torch.Tensor:
        """Return the loss of what `read` returned."""
        raise NotImplementedError


@dataclass(eq=False, repr=False, kw_only=True)
class GeneralizedSurfaceLoss(TargetMapLoss):
    """1 - sum((D (1 - t - p))^2) / sum(D^2) for the map D, the target t and the probability p; in [0, 1].

    A voxel counts by the square of its distance, and a perfect prediction scores 0. The unit of the map cancels. On a
    map of zeros, which ``absent="zero"`` gives a class that is not there, the loss is 0 whatever is predicted.

    Args:
        include_background, to_onehot_y, sigmoid, softmax, other_act, ignore_index, validate: As of
            `BoundaryLoss`.
        reduction: ``"mean"`` over samples and channels, ``"sum"``, or ``"none"``: `(B, C)`, `(C,)` with `batch`.
        batch: Take both sums over the batch.
        preset, options, spacing, backend, check_map: See `BoundaryLoss`.

    Raises:
        TypeError, ValueError: See `BoundaryLoss`.

    References:
        Celaya et al., A generalized surface loss for reducing the Hausdorff distance in medical imaging segmentation,
        arXiv 2302.03868; MIST's ``GenSurfLoss`` adds Dice + cross-entropy to it.

    Example:
        >>> target = torch.tensor([[[0.0, 1, 1, 0]]])
        >>> float(GeneralizedSurfaceLoss()(target, target))
        0.0
    """

    def of_map(self, counted: Counted, maps: torch.Tensor) -> torch.Tensor:
        """See `TargetMapLoss`."""
        over = self.summed_axes(maps.ndim)
        largest = maps.abs().amax(over, keepdim=True)  # so that the smoothing has no unit
        squares = (maps / torch.where(largest > 0, largest, 1)).square()
        agreeing = (squares * (1 - counted.target - counted.probs).square()).sum(over)
        voxels = self.counted_voxels(maps, counted.valid)
        return self.reduce(1 - self.smoothed(agreeing, squares.sum(over), SMOOTH, voxels))


@dataclass(eq=False, repr=False, kw_only=True)
class RegionWiseLoss(TargetMapLoss):
    """Mean of probability times the rectified map: D / max|D| inside of the target, which is negative, and 1 outside.

    Outside, the distance does not matter, so that a class that is absent or small has the same gradient everywhere: the
    authors' remedy against the instability of boundary maps. Inside of a class that fills the volume, or whose map is 0
    there, it is -1.

    Args:
        include_background, to_onehot_y, sigmoid, softmax, other_act, ignore_index, validate: As of
            `BoundaryLoss`.
        reduction, batch: See `BoundaryLoss`.
        preset: See `BoundaryLoss`; ``None``, the default, is the published map: unclipped distances between centres.
        options: Settings in place of the preset's.
        spacing, backend, check_map: See `BoundaryLoss`.

    Raises:
        TypeError, ValueError: See `BoundaryLoss`.

    References:
        Valverde and Tohka, Region-wise loss for biomedical image segmentation, Pattern Recognition 2023.

    Example:
        >>> target = torch.tensor([[[0.0, 1, 1, 1]]])
        >>> round(float(RegionWiseLoss()(target, target)), 4)
        -0.5
    """

    preset: Preset | None = None

    def set_up(self) -> None:
        """Take the published map unless another is asked for."""
        _measure_between_centres(self)
        super().set_up()

    def of_map(self, counted: Counted, maps: torch.Tensor) -> torch.Tensor:
        """See `TargetMapLoss`."""
        inside = counted.target > 0.5
        depth = torch.where(inside, -maps, 0)
        largest = depth.flatten(2).amax(2).view(*depth.shape[:2], *[1] * (depth.ndim - 2))
        rectified = torch.where(inside, torch.where(largest > 0, -depth / largest, -1), 1)
        return self._mean(counted.probs * rectified)


@dataclass(eq=False, repr=False, kw_only=True)
class HausdorffDistanceLoss(TargetMapLoss):
    """Mean of (t - p)^2 (|D|^alpha + |D_p|^alpha), for the maps D of the target t and D_p of the prediction p > 0.5.

    With spacing 1 it has the value and gradient of `monai.losses.HausdorffDTLoss` 1.6.1, whose maps are in voxels. The
    prediction's map is made in every step, by `backend`, and has no gradient; a class without a voxel, or of all of
    them, has the map 0.

    Args:
        include_background, to_onehot_y, sigmoid, softmax, other_act, ignore_index, validate: As of
            `BoundaryLoss`.
        reduction, batch: See `BoundaryLoss`.
        preset: See `BoundaryLoss`; ``None``, the default, is MONAI's map: unclipped distances between centres.
        options: Settings in place of the preset's, of both maps.
        spacing: Voxel size in mm, of the prediction's map and of a target's that the loss makes.
        backend, check_map: See `BoundaryLoss`.
        alpha: > 0, power of the distances.
        one_sided: Leave out the prediction's map: the step then costs what a product does (MIST's ``HDOneSidedLoss``).

    Raises:
        TypeError, ValueError: See `BoundaryLoss`.

    References:
        Karimi and Salcudean, Reducing the Hausdorff distance in medical image segmentation with convolutional neural
        networks, IEEE TMI 2020.

    Example:
        >>> target = torch.tensor([[[0.0, 0, 1, 1]]])
        >>> round(float(HausdorffDistanceLoss()(1 - target, target)), 4)
        5.0
    """

    preset: Preset | None = None
    alpha: float = 2.0
    one_sided: bool = False

    def set_up(self) -> None:
        """Check the arguments that this loss adds; take MONAI's map unless another is asked for."""
        _measure_between_centres(self)
        super().set_up()
        check_number("alpha", self.alpha)
        if self.alpha > 10:  # 300 mm to the power of 16 is no float32
            raise ValueError(f"alpha must be at most 10, the power of distances in mm, got {self.alpha}; 2 is usual")

    def forward(
        self, input: torch.Tensor, target: torch.Tensor, distance_map: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the loss; see `GeneralizedSurfaceLoss`."""
        counted, maps = self.read(input, target, distance_map)
        distance = maps.abs().pow(self.alpha)
        if not self.one_sided:
            # a map of the transform says which spacing it was made with
            like = distance_map if isinstance(distance_map, MetaTensor) else target
            predicted = self._maps_of(counted.probs > 0.5, counted.valid, like)
            distance = distance + predicted.abs().pow(self.alpha)
        return self._mean((counted.target - counted.probs).square() * distance)


def _measure_between_centres(loss: MapLoss) -> None:
    if loss.preset is None and loss.options is None:
        loss.options = DistanceMapOptions(convention="centre")
