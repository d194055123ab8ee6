"""The boundary-aware loss: cross-entropy along the contours of the minimum-barrier cut; alone, and with all voxels'."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import KW_ONLY, dataclass
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from monai.utils import LossReduction
from torch.nn.modules.loss import _Loss

from monai_boundary._check import check_choice, check_count, check_per_axis, check_slice_axis, is_integer, plain_tensor
from monai_boundary._options import check_options, keyword_names
from monai_boundary.losses.binary_cross_entropy import BinaryCrossEntropyLoss
from monai_boundary.losses.contract import Pair, TargetContract
from monai_boundary.losses.map_agreement import compare_numbers
from monai_boundary.losses.region_boundary import Mode, RegionBoundaryLoss, Target
from monai_boundary.transforms.region_seeds import SEEDS_KEY, seed_settings

if TYPE_CHECKING:
    from monai_boundary.kernels.barrier import Weighting

__all__ = ["BoundaryAwareLoss", "BoundaryAwarePreset", "CrossEntropyBoundaryAwareLoss"]

_KERNEL = "monai_boundary.kernels.barrier"  # compiles, which takes seconds where nothing is kept yet
BoundaryAwarePreset = Literal["robust", "paper", "published"]
_PUBLISHED_BALANCE = 1.1
_PRESETS: dict[str, dict[str, Any]] = {
    "robust": {"alpha": 1.0, "balanced": False, "weighting": "mean", "dilation": 3},
    "paper": {"alpha": 0.1, "balanced": False, "weighting": "count", "dilation": 0},
    "published": {
        "alpha": 0.1, "balanced": True, "weighting": "published", "dilation": 3, "double_sigmoid": True
    },
}  # fmt: skip


@dataclass(eq=False, repr=False)
class BoundaryAwareLoss(_Loss):
    """Weighted cross-entropy of the voxels on the contours of all regions, cut in the prediction as it is now.

    The seeds of two cells flood the predicted membranes; where they meet a contour runs, also through a gap, and there
    the loss asks for membrane. The contours are constants: no gradient goes through the cut. The cut of a sample runs
    on the CPU, samples in threads.

    On a poor prediction the contours lie nearly at random: train on cross-entropy alone first
    (``Warmup(epochs, Constant(1.0))`` with `CrossEntropyBoundaryAwareLoss`). Freeze batch norm, or use another norm,
    where batches hold one image.

    Args:
        dilation: Voxels that contours are widened by to each side, all axes or one each; 3 in the published code. 0 is
            the paper's text; then most contour voxels lie beside the membrane.
        weighting: ``"mean"`` is the mean over the voxels of all contours, of any size and number of regions;
            ``"count"`` equation 4 over the number of voxels; ``"area"`` the mean over regions of the mean over their
            contour; ``"published"`` the published code, without the constant that it adds. See
            `monai_boundary.kernels.barrier.barrier_weights`.
        connectivity: Axes along which neighbours may differ, in the cut; that of `RegionSeeds`.
        slice_axis: Spatial axis of volumes whose slices are cut one by one, for ``RegionSeeds(slice_axis=...)`` and
            anisotropic voxels; `dilation` and `connectivity` then are those of a slice, and a sample's value is the
            mean over its slices.
        quantize: Cut on 256 levels of the probability. ``False``: on float32, at three times the cost.
        double_sigmoid: Take the cross-entropy of the sigmoid of the probability, as the published code does. It never
            is 0 then.
        ignore_index: Value of the target at voxels that do not count, 255 as `RegionSeeds` writes it. The cut takes
            them for what lies outside the image, and no contour has a weight there.
        validate: See `BoundaryLoss`.
        threads: Threads of the cut; ``None`` for those of torch.
        reduction: ``"mean"`` or ``"sum"`` over samples, or ``"none"``: `(B,)`.

    Raises:
        TypeError: Arguments of a wrong kind.
        ValueError: Wrong values, or shapes that do not match.

    References:
        Vu Ngoc et al., Introducing the boundary-aware loss for deep image segmentation, BMVC 2021, eq. 4.

    Example:
        >>> loss = BoundaryAwareLoss(dilation=0)
        >>> logits = torch.tensor([[[-9.0, 0.0, -9.0]]])  # a weak membrane between two cells
        >>> round(float(loss(logits, torch.tensor([[[0, 1, 0]]]), torch.tensor([[[1, 0, 2]]]))), 4)
        0.6931
    """

    resizes: ClassVar[str] = "head"  # seeds and membranes of one voxel do not survive being made smaller
    target_name: ClassVar[str] = "seeds"

    dilation: int | Sequence[int] = 3
    weighting: Weighting = "mean"
    _: KW_ONLY
    connectivity: int = 1
    slice_axis: int | None = None
    quantize: bool = True
    double_sigmoid: bool = False
    ignore_index: int | None = None
    validate: bool = False
    threads: int | None = None
    reduction: str = LossReduction.MEAN

    def __post_init__(self) -> None:
        super().__init__(reduction=LossReduction(self.reduction).value)
        kernel = import_module(_KERNEL)
        check_per_axis("dilation", self.dilation, len(self.dilation) if isinstance(self.dilation, (list, tuple)) else 1)
        check_choice("weighting", self.weighting, kernel.WEIGHTINGS)
        check_count("connectivity", self.connectivity)
        self.contract = TargetContract(sigmoid=True, ignore_index=self.ignore_index, validate=self.validate)
        self._compared = False
        if self.threads is not None and (not is_integer(self.threads) or self.threads < 1):
            raise ValueError(f"threads must be None or an integer >= 1, got {self.threads!r}")

    def forward(self, input: torch.Tensor, target: torch.Tensor, seeds: torch.Tensor | None = None) -> torch.Tensor:
        """Return the loss.

        Args:
            input: Logits of the membrane `(B, 1, *S)`.
            target: Membrane `(B, 1, *S)`, 0 and 1.
            seeds: Integers `(B, 1, *S)` of `RegionSeeds`, on any device. A sample of fewer than two labels has the
                value 0 and the gradient 0.
        """
        return self.value(*self.read(input, target, seeds))

    def read(self, input: torch.Tensor, target: torch.Tensor, seeds: Any) -> tuple[Pair, torch.Tensor]:
        """Return logits and membrane, and the seeds, checked; arguments as of the call."""
        if isinstance(input, torch.Tensor) and input.ndim > 1 and input.shape[1] != 1:
            raise ValueError(f"input must have one channel, the membrane, got shape {tuple(input.shape)}; select it")
        if not isinstance(seeds, torch.Tensor):
            raise (ValueError if seeds is None else TypeError)(
                f"seeds must be given as a tensor, got {type(seeds).__name__}; put RegionSeedsd into the transforms"
            )
        pair = self.contract.read(input, target)
        plain_tensor("seeds", seeds)  # holds values
        if seeds.shape != input.shape:
            raise ValueError(
                f"input and seeds must share their shape, got {tuple(input.shape)} and {tuple(seeds.shape)}; "
                "crop, then make seeds"
            )
        if seeds.is_floating_point() or seeds.dtype == torch.bool:
            raise TypeError(f"seeds must hold integers, got {seeds.dtype}; make them with RegionSeeds")
        if not (self._compared or torch.compiler.is_compiling()):
            self._compared = True
            axis = check_slice_axis(self.slice_axis, input.ndim - 2)
            expected = seed_settings(self.connectivity, axis)
            compare_numbers("seeds", seeds, SEEDS_KEY, expected, "connectivity and slice_axis")
        return pair, seeds

    def value(self, pair: Pair, seeds: torch.Tensor) -> torch.Tensor:
        """Return the loss of what `read` returned."""
        weights = self.compute_weights(pair.logits, pair.target, seeds, pair.valid)
        scores = torch.sigmoid(pair.logits) if self.double_sigmoid else pair.logits
        values = F.binary_cross_entropy_with_logits(scores, pair.target.to(scores.dtype), reduction="none")
        samples = (weights * values).flatten(1).sum(1)
        return {"mean": samples.mean, "sum": samples.sum}.get(self.reduction, lambda: samples)()

    @torch.no_grad()
    def compute_weights(
        self, input: torch.Tensor, target: torch.Tensor, seeds: torch.Tensor, valid: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the weight of every voxel, float32 `(B, 1, *S)` on the device of `input`; arguments as of the call.

        `valid`, bool `(B, 1, *S)`, holds the voxels that count.
        """
        axis = None if self.slice_axis is None else check_slice_axis(self.slice_axis, input.ndim - 2)
        probs = torch.sigmoid(input)
        likelihood = (probs * 255).to(torch.uint8) if self.quantize else probs.float()
        samples = _samples([likelihood, seeds, target > 0.5, *([] if valid is None else [valid])], axis)
        kernel = import_module(_KERNEL)
        dilation = tuple(self.dilation) if isinstance(self.dilation, list) else self.dilation
        settings = kernel.cut_settings(samples[0].ndim - 1, dilation, self.weighting, self.connectivity)
        cut = partial(kernel.weigh_contours, settings=settings)
        threads = min(len(samples[0]), torch.get_num_threads() if self.threads is None else self.threads)
        if threads == 1:
            weights = np.stack(list(map(cut, *samples)))
        else:
            with ThreadPoolExecutor(threads) as pool:
                weights = np.stack(list(pool.map(cut, *samples)))
        if axis is not None:
            count = input.shape[2 + axis]
            weights = weights.reshape(len(input), count, *weights.shape[1:]) / np.float32(count)
            weights = np.moveaxis(weights, 1, 1 + axis)
        return torch.from_numpy(np.ascontiguousarray(weights)).view(input.shape).to(input.device)

    def extra_repr(self) -> str:
        """Show the settings that change the value."""
        return f"dilation={self.dilation}, weighting={self.weighting!r}, connectivity={self.connectivity}"


def _samples(tensors: Sequence[torch.Tensor], axis: int | None) -> list[np.ndarray]:
    """Return each `(B, 1, *S)` as array `(B, *S)`, or as slices `(B * S[axis], *rest)`."""
    volumes = [tensor.detach().cpu().numpy()[:, 0] for tensor in tensors]
    if axis is None:
        return volumes
    slices = [np.moveaxis(volume, 1 + axis, 1) for volume in volumes]
    return [array.reshape(-1, *array.shape[2:]) for array in slices]


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
        mode: See `RegionBoundaryLoss`.
        balanced: Class-balanced cross-entropy in place of the preset's choice.
        ignore_index: Value of the target at voxels that do not count.
        validate: See `BoundaryLoss`.
        **boundary: Arguments of `BoundaryAwareLoss` in place of the preset's.

    Raises:
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

    region: BinaryCrossEntropyLoss
    boundary: BoundaryAwareLoss

    def __init__(
        self,
        preset: BoundaryAwarePreset = "robust",
        alpha: float | None = None,
        mode: Mode = "increase",
        *,
        balanced: bool | None = None,
        ignore_index: int | None = None,
        validate: bool = False,
        **boundary: Any,
    ) -> None:
        known = keyword_names(CrossEntropyBoundaryAwareLoss, BoundaryAwareLoss)
        check_options("CrossEntropyBoundaryAwareLoss", boundary, known)
        if boundary.get("reduction", "mean") != "mean":
            raise ValueError(
                f"reduction must be 'mean', as that of the cross-entropy, got {boundary['reduction']!r}; join the "
                "two by RegionBoundaryLoss for another"
            )
        settings = dict(_PRESETS[check_choice("preset", preset, tuple(_PRESETS))])
        preset_alpha, preset_balanced = settings.pop("alpha"), settings.pop("balanced")
        is_balanced = preset_balanced if balanced is None else balanced
        super().__init__(
            BinaryCrossEntropyLoss(_PUBLISHED_BALANCE if is_balanced else None, ignore_index=ignore_index),
            BoundaryAwareLoss(**{**settings, "ignore_index": ignore_index, "validate": validate, **boundary}),
            alpha=preset_alpha if alpha is None else alpha,
            mode=mode,
        )

    def forward(self, input: torch.Tensor, target: Target, seeds: torch.Tensor | None = None) -> torch.Tensor:
        """Return the weighted sum.

        Args:
            input: Logits of the membrane `(B, 1, *S)`.
            target: Membrane `(B, 1, *S)`, or membrane and seeds as ``{"label": ..., "seeds": ...}``, which is how they
                pass through a MONAI engine (`PrepareBatchTarget`).
            seeds: Integers `(B, 1, *S)` of `RegionSeeds`.
        """
        return super().forward(input, target, seeds)

    def terms(self, input: torch.Tensor, label: torch.Tensor, beside: Any) -> tuple[torch.Tensor, ...]:
        """Return the unweighted terms: cross-entropy, boundary-aware loss."""
        pair, seeds = self.boundary.read(input, label, beside)  # also while alpha is 0: not only after the warm-up
        region = self.region.value(pair)
        return region, self.boundary.value(pair, seeds) if self.uses_boundary else torch.zeros_like(region)
