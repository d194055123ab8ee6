"""From signed distances to the finished map, in torch: zero level, clip, classes without a surface, scale, balance.

Serves the engines `torch`, on its device and without a value that the host has to read, and `edt`; the numba engine
does the same in its compiled loops.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from monai_boundary.kernels.distance.options import DistanceMapOptions
from monai_boundary.kernels.distance.plan import Plan, make_plan

__all__ = ["balance_maps", "finish_distances", "finish_maps", "lesion_factors", "sum_dtype"]

#: Mean value of a lesion, as a part of the largest inside, below which it is 0 with its rounding error.
_NO_MASS = 1e-6


def sum_dtype(device: torch.device) -> torch.dtype:
    """Return the type for long sums: float64, or float32 on Apple's devices, which have no other."""
    return torch.float32 if device.type == "mps" else torch.float64


def finish_maps(maps: torch.Tensor, inside: torch.Tensor, valid: torch.Tensor | None, plan: Plan) -> None:
    """Turn signed distances into finished maps, in place.

    Args:
        maps: Float32 `(B, C, *S)` in mm, +-inf or any value beyond the reach where there is no surface.
        inside: Bool `(B, C, *S)`, False where `valid` is.
        valid: Bool `(B, 1, *S)`, the voxels that count; ``None`` for all.
        plan: See `Plan`.
    """
    outside, within = plan.shifts
    if outside:
        maps.add_(outside)
    if within != outside:
        maps.add_(inside, alpha=within - outside)
    if plan.clip < math.inf:
        maps.clamp_(-plan.clip, plan.clip)
    other = ~inside if valid is None else valid & ~inside
    present, left = inside.flatten(2).any(2), other.flatten(2).any(2)
    del other
    alone = _per_channel(torch.where(present, -plan.far, plan.far).to(maps.dtype), maps)
    torch.where(_per_channel(present & left, maps), maps, alone, out=maps)
    _scale(maps, inside, valid, plan)


def finish_distances(
    maps: np.ndarray, masks: np.ndarray, spacing: Sequence[float] | None, options: DistanceMapOptions
) -> None:
    """Clip, normalise and balance, in place, distances in mm that were computed before, such as a part of a volume's.

    Args:
        maps: Float32 `(C, *S)`.
        masks: Bool `(C, *S)`.
        spacing: Voxel size in mm.
        options: Settings of the map; its convention and `absent` are those that `maps` have.
    """
    plan = make_plan("maps", maps, spacing, options, "torch", 1)
    if plan.clip < math.inf:
        np.clip(maps, -plan.clip, plan.clip, out=maps)
    _scale(torch.from_numpy(maps)[None], torch.from_numpy(np.array(masks))[None], None, plan)


def _scale(maps: torch.Tensor, inside: torch.Tensor, valid: torch.Tensor | None, plan: Plan) -> None:
    if valid is not None:
        maps.masked_fill_(~valid, 0.0)
    if not plan.divisor:
        low, high = maps.flatten(2).amin(2), maps.flatten(2).amax(2)
        largest = torch.maximum(high, -low)
        maps.div_(_per_channel(torch.where(largest > 0, largest, 1.0), maps))  # an all-zero channel stays zero
    elif plan.divisor != 1.0:
        maps.div_(plan.divisor)
    balance_maps(maps, inside, plan)


def balance_maps(maps: torch.Tensor, inside: torch.Tensor, plan: Plan) -> None:
    """Balance the lesions of each channel, and then its two sides, in place; arguments as of `finish_maps`."""
    if plan.balance_lesions > 0:
        maps.mul_(lesion_factors(maps, inside, plan.balance_lesions))
    if plan.balance > 0:
        _balance(maps, inside, plan)


# Opaque to torch.compile: components are found on the CPU.
@torch.library.custom_op("monai_boundary::lesion_factors", mutates_args=())
def lesion_factors(maps: torch.Tensor, inside: torch.Tensor, gamma: float) -> torch.Tensor:
    """Return (mean mass of the lesions / mass of its lesion)^gamma at every inside voxel, 1 elsewhere.

    Args:
        maps: Float32 `(B, C, *S)`.
        inside: Bool `(B, C, *S)`.
        gamma: In [0, 1].

    Returns:
        Float32 `(B, C, *S)`. A lesion whose values are all 0 has the factor 1, and no part in the mean.
    """
    from monai_boundary.kernels.regions import connected_components  # which is made of distances

    factors = np.ones(maps.shape, np.float32)
    pairs = zip(maps.flatten(0, 1).cpu().numpy(), inside.flatten(0, 1).cpu().numpy(), strict=True)
    for channel, (values, mask) in zip(factors.reshape(-1, *maps.shape[2:]), pairs, strict=True):
        ids, masses = connected_components(mask, mask.ndim)[mask], np.abs(values[mask])
        mass, size = np.bincount(ids, masses), np.bincount(ids)
        some = mass > _NO_MASS * size * masses.max(initial=0.0)
        factor = np.ones(len(mass))
        factor[some] = (mass[some].mean() / mass[some]) ** gamma if some.any() else 1.0
        channel[mask] = factor[ids]
    return torch.from_numpy(factors).to(maps.device)


@lesion_factors.register_fake
def _(maps: torch.Tensor, inside: torch.Tensor, gamma: float) -> torch.Tensor:  # noqa: ARG001
    return torch.empty_like(maps, memory_format=torch.contiguous_format)


def _per_channel(values: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
    return values.view(*values.shape, *[1] * (maps.ndim - 2))


def _balance(maps: torch.Tensor, inside: torch.Tensor, plan: Plan) -> None:
    # One voxel less than 1 mm wide is not negative by convention "kervadec": the mask says what is inside.
    inner = _sum(maps.masked_fill(~inside, 0.0).abs_())
    outer = _sum(maps.masked_fill(inside, 0.0))
    both = (inner > 0) & (outer > 0)
    factor = (outer / torch.where(both, inner, 1.0)).clamp(min=0.0).pow(plan.balance)
    factor = torch.where(both, factor.clamp(max=plan.balance_cap), 1.0)
    maps.mul_(torch.where(inside, _per_channel(factor.to(maps.dtype), maps), 1.0))


def _sum(values: torch.Tensor) -> torch.Tensor:
    """Sum of each channel in float64; rows first, whose short sums lose nothing, as torch would copy all to float64."""
    dtype = sum_dtype(values.device)
    return values.sum(-1).flatten(2).sum(2, dtype=dtype) if values.ndim > 3 else values.sum(2)
