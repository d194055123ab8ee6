"""Test-time augmentation with the symmetries of the square."""

from __future__ import annotations

from collections.abc import Callable

import torch

from monai_boundary._check import check_choice, plain_tensor

__all__ = ["AUGMENTATIONS", "predict_augmented"]

Network = Callable[[torch.Tensor], torch.Tensor]

#: Quarter turns, after a mirroring of the columns or not.
AUGMENTATIONS: dict[str, tuple[tuple[int, bool], ...]] = {
    "none": ((0, False),),
    "flips": ((0, False), (0, True), (2, False), (2, True)),  # identity, columns, both, rows
    "dihedral": tuple((turns, mirrored) for mirrored in (False, True) for turns in range(4)),
}


def predict_augmented(network: Network, batch: torch.Tensor, augment: str = "none") -> torch.Tensor:
    """Return the mean prediction over mirrored and turned copies of a batch, each turned back.

    Args:
        network: From `(B, C, h, w)` to `(B, K, h, w)`.
        batch: Float32 `(B, C, h, w)`, on the network's device.
        augment: ``"none"``; ``"flips"``: 4 copies; ``"dihedral"``: 8 copies, which takes square windows.

    Returns:
        Float64 `(B, K, h, w)` on the CPU: the mean of equal values is that value to the bit.

    Raises:
        TypeError: The network returns no tensor.
        ValueError: The network changes the size, returns values that are not finite, or the windows are not square.
    """
    check_choice("augment", augment, tuple(AUGMENTATIONS))
    if not isinstance(batch, torch.Tensor) or batch.ndim != 4 or not batch.numel() or not batch.is_floating_point():
        what = (tuple(batch.shape), batch.dtype) if isinstance(batch, torch.Tensor) else type(batch).__name__
        raise ValueError(f"batch must be a floating tensor (B, C, h, w), none empty, got {what}")
    plain_tensor("batch", batch)
    if augment == "dihedral" and batch.shape[-2] != batch.shape[-1]:
        raise ValueError(
            f"windows must be square for augment='dihedral', got {tuple(batch.shape[-2:])} pixels; choose a square "
            "size, or augment='flips'"
        )
    total = torch.zeros(1, dtype=torch.float64)
    for turns, mirrored in AUGMENTATIONS[augment]:
        turned = (batch.flip(-1) if mirrored else batch).rot90(turns, (-2, -1)).contiguous()
        values = _checked(network(turned), turned).rot90(-turns, (-2, -1))
        total = total + (values.flip(-1) if mirrored else values).cpu().double()  # not every accelerator has float64
    return total / len(AUGMENTATIONS[augment])


def _checked(values: torch.Tensor, batch: torch.Tensor) -> torch.Tensor:
    if not isinstance(values, torch.Tensor):
        raise TypeError(f"network must return one tensor, got {type(values).__name__}; wrap it to pick the prediction")
    if values.ndim != 4 or values.shape[0] != batch.shape[0] or values.shape[2:] != batch.shape[2:]:
        raise ValueError(
            f"network must return (B, K, h, w) for (B, C, h, w), got {tuple(values.shape)} for {tuple(batch.shape)}; "
            "choose a window size that the network keeps, or wrap it to resample"
        )
    if not torch.isfinite(values).all():
        raise ValueError("network must return finite values, got NaN or infinity; check its weights and the image")
    return values.detach()
