"""Labels to signed distance maps as a MONAI transform pair, and what a map says of itself in its metadata.

MONAI's crops, flips, caches, collating and decollating carry metadata along. Collating knows no ``None`` and wants the
same keys and types in each sample, so the settings are plain values: no clip is infinity, no normalisation ``"none"``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from monai.config.type_definitions import NdarrayOrTensor
from monai.data import MetaTensor
from monai.transforms import Transform
from monai.utils import TransformBackends, convert_to_dst_type

from monai_boundary._check import (
    as_numpy,
    check_array,
    check_choice,
    check_onehot,
    check_onehot_ignore,
    counted_channels,
    plain_tensor,
)
from monai_boundary._geometry import image_spacing
from monai_boundary._options import check_options, keyword_names
from monai_boundary.kernels.distance import (
    BACKENDS,
    Backend,
    DistanceMapOptions,
    Preset,
    batch_masks_map,
    labels_distance_map,
    masks_distance_map,
    preset_options,
)
from monai_boundary.transforms.twins import TwinOfSettings

__all__ = [
    "AFFINE_KEY", "OPTIONS_KEY", "SPACING_KEY", "SignedDistanceMap", "SignedDistanceMapD", "SignedDistanceMapDict",
    "SignedDistanceMapd", "record_grid", "record_map", "record_numbers", "recorded_numbers", "recorded_options",
]  # fmt: skip

OPTIONS_KEY = "distance_map_options"
SPACING_KEY = "distance_map_spacing"
#: The affine that the map had when it was made, row by row; what the map has been through since is the step from there.
AFFINE_KEY = "distance_map_affine"

_NONE = {"clip": math.inf, "normalize": "none"}


class SignedDistanceMap(Transform):
    """Signed distance map of every class, negative inside, computed on the whole array it is given.

    Place it before the first random transform: the map then belongs to the full volume and is cached by `CacheDataset`
    and `VerifiedPersistentDataset` (MONAI's `PersistentDataset` forgets the affine unless made with
    ``track_meta=True, weights_only=False``). Crops, flips and 90 degree rotations carry it exactly; after a random zoom
    add `RescaleDistanceMapd`; after an elastic or anisotropic deformation compute it again, with the `spacing` from
    before it. Spatial transforms must pad it with ``padding_mode="border"`` or ``"reflection"``: a border of zeros
    would be a false contour.

    Args:
        num_classes: Number of classes including the background when the input is a label map `(1, *S)`. ``None``: the
            input is one-hot or multi-label `(C, *S)`, each channel a mask of its own; channels may overlap.
        preset: ``"clipped"``, as the losses expect by default, ``"robust"`` or ``"published"``: the named settings;
            any of those below given beside it replaces the preset's. ``None``: mm, unclipped, convention ``"half"``.
        spacing: Voxel size in mm, one per spatial axis; ``None`` takes it from the affine of a `MetaTensor`. After a
            random zoom or deformation pass that of before: MONAI writes both into the affine as if the object had kept
            its size. A bare array without `spacing` is measured in voxels, with a `MissingSpacingWarning`.
        include_background: Whether channel 0 has a map.
        ignore_index: Label that is not counted (label maps only): map 0, and no distance starts there.
        backend: ``"auto"``, ``"numba"``, ``"edt"``, ``"scipy"`` or ``"torch"``; see `signed_distance_map`.
        dtype: ``torch.float32``, or ``torch.float16`` for half the memory, allowed when clipped or normalised and
            lesions are not balanced.
        **options: Fields of `DistanceMapOptions`: convention, clip, absent, normalize, balance, balance_cap,
            balance_lesions.

    Returns:
        `(C, *S)` of the kind of the input (MetaTensor, tensor or array), on its device, with its affine. A MetaTensor
        also records its settings, spacing and affine, under ``"distance_map_options"``, ``"distance_map_spacing"`` and
        ``"distance_map_affine"`` of its metadata.

    Raises:
        TypeError: Unknown option or dtype, labels of a wrong kind.
        ValueError: Wrong shape, values, spacing or option.
    """

    backend: ClassVar = [TransformBackends.NUMPY, TransformBackends.TORCH]

    def __init__(
        self,
        num_classes: int | None = None,
        preset: Preset | None = "clipped",
        *,
        spacing: Sequence[float] | None = None,
        include_background: bool = True,
        ignore_index: int | None = None,
        backend: Backend = "auto",
        dtype: torch.dtype = torch.float32,
        **options: Any,
    ) -> None:
        check_options("SignedDistanceMap", options, keyword_names(SignedDistanceMap, DistanceMapOptions))
        base = DistanceMapOptions() if preset is None else preset_options(preset)
        self.options = base.replace(**options)
        check_onehot_ignore(num_classes, ignore_index)
        check_choice("dtype", dtype, (torch.float32, torch.float16))
        if dtype == torch.float16 and not self.options.bounded:
            raise ValueError(
                "dtype must be torch.float32 for a map without clip or normalize, with balance_lesions, or with a clip "
                "in mm that balance_cap takes beyond 65504, got torch.float16; pass clip=20, balance_lesions=0"
            )
        self.num_classes = num_classes
        self.spacing = spacing
        self.include_background = include_background
        self.ignore_index = ignore_index
        self._backend = check_choice("backend", backend, BACKENDS)
        self.dtype = dtype

    def __call__(self, labels: NdarrayOrTensor) -> NdarrayOrTensor:
        """Return the map `(C, *S)` of `labels`, `(1, *S)` or, without `num_classes`, `(C, *S)`."""
        check_array("labels", labels)
        values: Any = labels if isinstance(labels, torch.Tensor) else np.asarray(labels)
        spacing = image_spacing(labels, max(1, values.ndim - 1)) if self.spacing is None else self.spacing
        if self.num_classes is None:
            maps: NdarrayOrTensor = self._maps_of_masks(values, spacing)
        else:
            settings = (self.options, self.include_background, self.ignore_index, self._backend)
            maps = labels_distance_map(values, self.num_classes, spacing, *settings)
        tensor = torch.as_tensor(maps).to(self.dtype)
        result = convert_to_dst_type(tensor, labels, dtype=self.dtype)[0]
        record_map(result, self.options, spacing)
        return result

    def _maps_of_masks(self, values: NdarrayOrTensor, spacing: Sequence[float]) -> NdarrayOrTensor:
        channels = counted_channels(values, self.include_background)
        if isinstance(channels, torch.Tensor) and channels.device.type != "cpu":  # looking at them would be a wait
            masks = plain_tensor("labels", channels) > 0.5
            return batch_masks_map(masks[None], spacing, self.options, backend=self._backend)[0]
        array = check_onehot(as_numpy("labels", channels))
        found: np.ndarray = masks_distance_map(array, spacing, self.options, backend=self._backend)
        return found


class SignedDistanceMapd(TwinOfSettings):
    """Dictionary twin of `SignedDistanceMap`: the map of each key is stored under `output_keys`.

    Args:
        keys: Keys of the label maps.
        output_keys: One key per label key; by default ``"distance_map"`` for a single key, else
            ``"<key>_distance_map"``.
        allow_missing_keys: Pass over absent keys.
        **settings: Arguments of `SignedDistanceMap`.

    Example:
        >>> transform = SignedDistanceMapd(keys="label", num_classes=2, preset=None, spacing=(1.0,))
        >>> transform({"label": np.array([[0, 1]])})["distance_map"].tolist()
        [[-0.5, 0.5], [0.5, -0.5]]
    """

    backend = SignedDistanceMap.backend
    array_transform = SignedDistanceMap
    handed_on = (DistanceMapOptions,)
    result = "distance_map"


SignedDistanceMapD = SignedDistanceMapDict = SignedDistanceMapd


def record_map(maps: object, options: DistanceMapOptions, spacing: Sequence[float]) -> None:
    """Write the settings, the spacing and the affine of `maps` `(C, *S)` into its metadata, where it has any."""
    if isinstance(maps, MetaTensor):
        values = vars(options).items()
        maps.meta[OPTIONS_KEY] = {name: _NONE[name] if value is None else value for name, value in values}
        record_grid(maps, spacing)


def record_grid(maps: MetaTensor, spacing: Sequence[float]) -> None:
    """Write that the values of `maps` `(C, *S)` are those of its present grid, with voxels of `spacing` in mm."""
    maps.meta[SPACING_KEY] = [float(size) for size in spacing]
    maps.meta[AFFINE_KEY] = maps.affine.detach().cpu().double().flatten().tolist()


def record_numbers(made: object, key: str, numbers: Sequence[int]) -> None:
    """Write the settings that a loss must share, as whole numbers, into the metadata of a target that has any."""
    if isinstance(made, MetaTensor):
        made.meta[key] = [int(number) for number in numbers]


def recorded_numbers(made: object, key: str) -> set[tuple[int, ...]]:
    """Return what `record_numbers` wrote into a target or a batch of targets; empty where nothing is known."""
    record = made.meta.get(key) if isinstance(made, MetaTensor) else None
    if not record:
        return set()
    columns = [np.atleast_1d(np.asarray(number)) for number in record]  # collated: one tensor for each number
    return {tuple(map(int, row)) for row in zip(*columns, strict=True)}


def recorded_options(maps: object) -> set[DistanceMapOptions]:
    """Return the settings that a map or a batch of maps was made with; empty where it does not say."""
    record = maps.meta.get(OPTIONS_KEY) if isinstance(maps, MetaTensor) else None
    if not record:
        return set()
    if isinstance(record["convention"], str):
        return {_options(record)}
    columns = [column.tolist() if hasattr(column, "tolist") else column for column in record.values()]
    return {_options(dict(zip(record, row, strict=True))) for row in zip(*columns, strict=True)}


def _options(record: dict[str, Any]) -> DistanceMapOptions:
    values: dict[str, Any] = {name: None if _NONE.get(name) == value else value for name, value in record.items()}
    return DistanceMapOptions(**values)
