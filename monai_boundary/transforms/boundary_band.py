"""Labels to the target boundary of the boundary F1 loss, as a MONAI transform pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import numpy as np
import torch
from monai.config.type_definitions import NdarrayOrTensor
from monai.transforms import Transform
from monai.utils import TransformBackends, convert_to_dst_type

from monai_boundary._check import (
    as_numpy,
    check_array,
    check_count,
    check_labels,
    check_onehot,
    check_onehot_ignore,
    check_per_axis,
    check_spatial_ndim,
    check_windows,
    counted_channels,
)
from monai_boundary.kernels.pooling import boundary_band
from monai_boundary.transforms.distance_map import record_numbers
from monai_boundary.transforms.twins import TwinOfSettings

__all__ = ["BoundaryBand", "BoundaryBandD", "BoundaryBandDict", "BoundaryBandd"]


#: In the metadata of a band: theta0 along each spatial axis, then theta.
WINDOWS_KEY = "boundary_band_windows"


def band_windows(theta0: int | Sequence[int], theta: int | Sequence[int], ndim: int) -> tuple[int, ...]:
    """Return both widths along each of `ndim` axes, one after the other."""
    return check_per_axis("theta0", theta0, ndim, odd=True) + check_per_axis("theta", theta, ndim, odd=True)


@dataclass(eq=False)
class BoundaryBand(Transform):
    """Boundary of every class and its extension, coded in one byte per voxel, for `BoundaryF1Loss`.

    2 on the boundary, 1 in the rest of the extended boundary, 0 elsewhere, 255 on voxels that are not counted. Place it
    after the last spatial transform, so that the crop's edge cuts target and prediction alike; made before a crop it
    holds boundaries that the prediction cannot show. It takes some milliseconds, in the worker of the data loader.

    Args:
        num_classes: Number of classes including the background when the input is a label map `(1, *S)`. ``None``: the
            input is one-hot or multi-label `(C, *S)` of 0 and 1, each channel a mask of its own.
        theta0: Odd width of the window that finds the boundary, in voxels, or one per spatial axis; as in the loss.
        theta: Odd width of the window that extends it; as in the loss.
        include_background: Whether channel 0 has a band.
        ignore_index: Label that is not counted (label maps only).

    Returns:
        Uint8 `(C, *S)` of the kind of the input (MetaTensor, tensor or array), on its device, with its affine. A
        MetaTensor also records both widths, which the loss compares with its own.

    Raises:
        TypeError: Labels of a wrong kind; a width is no integer.
        ValueError: Wrong shape, labels out of range or not 0 and 1, even width.

    References:
        Bokhovkin and Burnaev, Boundary loss for remote sensing imagery semantic segmentation, ISNN 2019, eqs. 1, 2.

    Example:
        >>> BoundaryBand(theta=3)(np.array([[0, 0, 0, 1, 1]])).tolist()
        [[0, 0, 1, 2, 1]]
    """

    backend: ClassVar = [TransformBackends.TORCH, TransformBackends.NUMPY]

    num_classes: int | None = None
    theta0: int | Sequence[int] = 3
    theta: int | Sequence[int] = 5
    _: KW_ONLY
    include_background: bool = True
    ignore_index: int | None = None

    def __post_init__(self) -> None:
        check_windows(self.theta0, self.theta)
        check_onehot_ignore(self.num_classes, self.ignore_index)
        if self.num_classes is not None:
            check_count("num_classes", self.num_classes, 2)

    def __call__(self, labels: NdarrayOrTensor) -> NdarrayOrTensor:
        """Return the band `(C, *S)` of `labels`, `(1, *S)` or, without `num_classes`, `(C, *S)`."""
        check_array("labels", labels)
        array = as_numpy("labels", labels)
        check_spatial_ndim("labels", array.shape, channels=1)
        masks, valid = self._masks(array)
        counted = None if valid is None else torch.from_numpy(valid)[None, None]
        band = boundary_band(torch.from_numpy(masks)[None], self.theta0, self.theta, counted)[0]
        result: NdarrayOrTensor = convert_to_dst_type(band, labels, dtype=band.dtype)[0]
        record_numbers(result, WINDOWS_KEY, band_windows(self.theta0, self.theta, band.ndim - 1))
        return result

    def _masks(self, array: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Bool `(C, *S)`, and `(*S)` of the voxels that count."""
        if self.num_classes is None:
            return check_onehot(counted_channels(array, self.include_background)), None
        if len(array) != 1:
            raise ValueError(
                f"labels must have one channel, (1, *S), got shape {array.shape}; use argmax on one-hot labels"
            )
        classes = check_labels(array[0], self.num_classes, self.ignore_index)
        masks = np.stack([classes == index for index in range(0 if self.include_background else 1, self.num_classes)])
        return masks, None if self.ignore_index is None else classes != self.ignore_index


class BoundaryBandd(TwinOfSettings):
    """Dictionary twin of `BoundaryBand`: the band of each key is stored under `output_keys`.

    Args:
        keys: Keys of the label maps.
        output_keys: One key per label key; by default ``"target_boundary"`` for a single key, else
            ``"<key>_target_boundary"``.
        allow_missing_keys: Pass over absent keys.
        **settings: Arguments of `BoundaryBand`.

    Example:
        >>> transform = BoundaryBandd(keys="label", num_classes=2, include_background=False, theta=3)
        >>> transform({"label": np.array([[0, 0, 1, 1]])})["target_boundary"].tolist()
        [[0, 1, 2, 1]]
    """

    backend = BoundaryBand.backend
    array_transform = BoundaryBand
    result = "target_boundary"


BoundaryBandD = BoundaryBandDict = BoundaryBandd
