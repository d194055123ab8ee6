"""Box max and min pooling with stride 1 for 1 to 3 spatial axes, and the soft boundary of a mask made of them.

Pooled along one axis after another, each in log2(window) maxima of shifted views: a window of 9^3 costs 12 comparisons
per voxel in place of 729. Values and gradients are those of ``torch.nn.functional.max_pool3d``:

* Border: windows are cut at the edge of the array. That is padding with minus infinity, and with 0 where no value is
  negative.
* Ties: of equal largest values the gradient goes to the first in memory order. That is one subgradient of many: on maps
  of exact zeros and ones, where most windows are ties, it prefers the low corner of each window.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from monai_boundary._check import check_dense, check_per_axis, check_spatial_ndim

__all__ = ["BAND_BOUNDARY", "BAND_IGNORED", "boundary_band", "box_max_pool", "box_min_pool", "soft_boundary"]

#: Codes of `boundary_band`: a boundary voxel, and one that is not counted.
BAND_BOUNDARY, BAND_IGNORED = 2, 255

#: Of these torch has no maximum.
_WITHOUT_ORDER = (torch.uint16, torch.uint32, torch.uint64)
Windows = int | Sequence[int]


def box_max_pool(values: torch.Tensor, window: Windows) -> torch.Tensor:
    """Largest value in the box around every voxel.

    Args:
        values: `(B, C, *S)` with 1 to 3 spatial axes, of any dtype with an order, any device, any strides.
        window: Odd width of the box in voxels, or one per spatial axis; 1 leaves an axis alone.

    Returns:
        `(B, C, *S)` of the dtype of `values`. A NaN in the box is its largest value. Differentiable twice.

    Raises:
        TypeError: A width is not an integer.
        ValueError: `values` has another rank or an empty axis; a width is even or < 1, or their number is wrong.

    Example:
        >>> box_max_pool(torch.tensor([[[0, 5, 1, 2, 3]]]), 3).tolist()
        [[[5, 5, 5, 3, 3]]]
    """
    _check_tensor("values", values)
    windows = check_per_axis("window", window, check_spatial_ndim("values", values.shape, channels=2), odd=True)
    if torch.is_grad_enabled() and values.requires_grad:
        pooled: torch.Tensor = _BoxMax.apply(values, windows)[0]
        return pooled
    return _pool(values, windows, None)[0]


def box_min_pool(values: torch.Tensor, window: Windows) -> torch.Tensor:
    """Smallest value in the box around every voxel; in all else as `box_max_pool`.

    Args:
        values: `(B, C, *S)`, see `box_max_pool`.
        window: See `box_max_pool`.

    Example:
        >>> box_min_pool(torch.tensor([[[0, 5, 1, 2, 3]]]), 3).tolist()
        [[[0, 0, 1, 1, 2]]]
    """
    _check_tensor("values", values)
    if values.is_floating_point():
        return -box_max_pool(-values, window)
    return ~box_max_pool(~values, window)  # NOT turns the order around: of bool, signed and unsigned alike


def soft_boundary(probs: torch.Tensor, theta0: Windows = 3, valid: torch.Tensor | None = None) -> torch.Tensor:
    """How much every voxel is inside while a neighbour is outside: of a mask, its inner layer (theta0 - 1) / 2 thick.

    b(y) = pool(1 - y, theta0) - (1 - y). An object has no boundary where the edge of the array cuts it, nor where it
    meets voxels that do not count; a mask that is full has none at all. ``box_max_pool(boundary, theta)`` extends it
    by (theta - 1) / 2 voxels, corners included.

    Args:
        probs: Float `(B, C, *S)` in [0, 1].
        theta0: Odd width of the window, or one per spatial axis.
        valid: Bool `(B, C or 1, *S)`, the voxels that count; ``None`` for all.

    Returns:
        `(B, C, *S)` in [0, 1], 0 where not `valid`.

    Raises:
        TypeError: `probs` is not floating point; a width is not an integer.
        ValueError: `probs` has another rank or an empty axis; a width is even or < 1, or their number is wrong.

    References:
        Bokhovkin and Burnaev, Boundary loss for remote sensing imagery semantic segmentation, ISNN 2019, eqs. 1, 2.

    Example:
        >>> soft_boundary(torch.tensor([[[0.0, 1.0, 1.0, 1.0, 1.0]]])).tolist()
        [[[0.0, 1.0, 0.0, 0.0, 0.0]]]
    """
    _check_tensor("probs", probs)
    check_per_axis("theta0", theta0, check_spatial_ndim("probs", probs.shape, channels=2), odd=True)
    if not probs.is_floating_point():
        raise TypeError(f"probs must be floating point in [0, 1], got {probs.dtype}; use probs.float()")
    inverse = 1 - probs
    if valid is None:
        return box_max_pool(inverse, theta0) - inverse
    inverse = torch.where(valid, inverse, 0)  # 0 never is the largest, like what lies beyond the array
    return torch.where(valid, box_max_pool(inverse, theta0) - inverse, 0)


@torch.no_grad()
def boundary_band(
    masks: torch.Tensor, theta0: Windows = 3, theta: Windows = 5, valid: torch.Tensor | None = None
) -> torch.Tensor:
    """Boundary and extended boundary of binary masks (`soft_boundary` and its pool), one byte per voxel.

    Args:
        masks: Bool `(B, C, *S)` with 1 to 3 spatial axes.
        theta0: Odd width of the window that finds the boundary, or one per spatial axis.
        theta: Odd width of the window that extends it, or one per spatial axis.
        valid: Bool `(B, C or 1, *S)`, the voxels that count; ``None`` for all.

    Returns:
        Uint8 `(B, C, *S)`: 2 on the boundary, 1 in the rest of the extended boundary, 0 elsewhere, 255 where not
        `valid`.

    Raises:
        TypeError: `masks` is not bool; a width is not an integer.
        ValueError: Wrong shape, or a width is even or < 1.

    Example:
        >>> boundary_band(torch.tensor([[[False, False, False, True, True]]]), theta=3).tolist()
        [[[0, 0, 1, 2, 1]]]
    """
    _check_tensor("masks", masks)
    if masks.dtype != torch.bool:
        raise TypeError(f"masks must be bool, got {masks.dtype}; compare them with the label or a threshold first")
    check_per_axis("theta", theta, check_spatial_ndim("masks", masks.shape, channels=2), odd=True)
    check_per_axis("theta0", theta0, masks.ndim - 2, odd=True)
    solid = masks if valid is None else masks | ~valid
    boundary = solid & ~box_min_pool(solid, theta0)
    if valid is not None:
        boundary &= valid
    band = boundary.to(torch.uint8)
    band = band + box_max_pool(band, theta)
    return band if valid is None else torch.where(valid, band, BAND_IGNORED)


def _check_tensor(name: str, values: torch.Tensor) -> None:
    if not isinstance(values, torch.Tensor):
        raise TypeError(f"{name} must be a tensor (B, C, *S), got {type(values).__name__}; call torch.as_tensor")
    check_dense(name, values)
    if values.is_complex() or values.dtype in _WITHOUT_ORDER:
        raise TypeError(f"{name} must have a dtype that torch can compare, got {values.dtype}")


class _BoxMax(torch.autograd.Function):
    """Pooled values, and for each the flat index of the voxel that it comes from."""

    @staticmethod
    def forward(values: torch.Tensor, windows: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:  # type: ignore[override]
        # Four bytes where the volume allows: this is what the graph keeps, torch's own pooling keeps eight.
        dtype = torch.int32 if values.numel() < 2**31 else torch.int64
        source = torch.arange(values.numel(), dtype=dtype, device=values.device).view(values.shape)
        pooled, source = _pool(values, windows, source)
        return pooled, source

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[torch.Tensor, torch.Tensor]) -> None:  # noqa: ARG004
        ctx.mark_non_differentiable(output[1])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(output[1])

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor | None, _: None) -> tuple[torch.Tensor | None, None]:  # type: ignore[override]
        if grad is None:
            return None, None
        (source,) = ctx.saved_tensors
        flat = grad.new_zeros(source.numel()).index_add(0, source.flatten(), grad.flatten())
        return flat.view(source.shape), None


def _pool(values: torch.Tensor, windows: tuple[int, ...], source: Any) -> tuple[torch.Tensor, Any]:
    """Pool `values`, and let `source`, a tensor or ``None``, go along with the largest."""
    # Last axis first: then of equal values the one with the lowest index along axis 2, then 3, ... wins, as in torch.
    for axis in reversed(range(2, values.ndim)):
        reach = min(windows[axis - 2] // 2, values.shape[axis] - 1)
        values = _widen(values, axis, reach)
        source = None if source is None else _widen(source, axis, reach)
        covered = 1
        while covered < 2 * reach + 1:
            step = min(covered, 2 * reach + 1 - covered)
            first, second = _shifted(values, axis, step)
            if source is not None:
                near, far = _shifted(source, axis, step)
                source = torch.where(second > first, far, near)
            values = torch.maximum(first, second)
            covered += step
    return values, source


def _widen(values: torch.Tensor, axis: int, reach: int) -> torch.Tensor:
    """Repeat the outermost voxels `reach` times: a window that is cut there holds them anyway."""
    if reach == 0:
        return values
    shape = [*values.shape]
    shape[axis] = reach
    low, high = (values.narrow(axis, index, 1).expand(shape) for index in (0, values.shape[axis] - 1))
    return torch.cat([low, values, high], dim=axis)


def _shifted(values: torch.Tensor, axis: int, step: int) -> tuple[torch.Tensor, torch.Tensor]:
    count = values.shape[axis] - step
    return values.narrow(axis, 0, count), values.narrow(axis, step, count)
