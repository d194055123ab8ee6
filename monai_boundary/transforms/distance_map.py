"""Labels to signed distance maps as a MONAI transform pair."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from monai.config import KeysCollection
from monai.config.type_definitions import NdarrayOrTensor
from monai.transforms import Transform
from monai.utils import TransformBackends, convert_to_dst_type

from monai_boundary._check import (
    as_numpy,
    check_choice,
    check_onehot,
    check_onehot_ignore,
    counted_channels,
    plain_tensor,
)
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
from monai_boundary.transforms.dictionary_twin import DictionaryTwin
from monai_boundary.transforms.map_record import record_map
from monai_boundary.transforms.spacing import image_spacing

__all__ = ["SignedDistanceMap", "SignedDistanceMapD", "SignedDistanceMapDict", "SignedDistanceMapd"]


class SignedDistanceMap(Transform):
    """Signed distance map of every class, negative inside, computed on the whole array it is given.

    Place it before the first random transform: the map then belongs to the full volume and is cached by `CacheDataset`
    and `VerifiedPersistentDataset` (MONAI's `PersistentDataset` forgets the affine unless made with
    ``track_meta=True, weights_only=False``). Crops, flips and 90 degree rotations carry it exactly; after a random zoom
    add `RescaleDistanceMapd`; after an elastic or anisotropic deformation compute it again. Spatial transforms must pad
    it with ``padding_mode="border"`` or ``"reflection"``: a border of zeros would be a false contour.

    Args:
        num_classes: Number of classes including the background when the input is a label map `(1, *S)`. ``None``: the
            input is one-hot or multi-label `(C, *S)`, each channel a mask of its own; channels may overlap.
        preset: ``"robust"``, as the losses expect by default, or ``"published"``: the named settings; any of the
            settings below given beside it replaces the preset's. ``None``: mm, unclipped, convention ``"half"``.
        spacing: Voxel size in mm, one per spatial axis; ``None`` takes it from the affine of a `MetaTensor`. A bare
            array without `spacing` is measured in voxels, with a `MissingSpacingWarning`.
        include_background: Whether channel 0 has a map.
        ignore_index: Label that is not counted (label maps only): map 0, and no distance starts there.
        backend: ``"auto"``, ``"numba"``, ``"edt"``, ``"scipy"`` or ``"torch"``; see `signed_distance_map`.
        dtype: ``torch.float32``, or ``torch.float16`` for half the memory, allowed when clipped or normalised.
        **options: Fields of `DistanceMapOptions`: convention, clip, absent, normalize, balance, balance_cap.

    Returns:
        `(C, *S)` of the kind of the input (MetaTensor, tensor or array), on its device, with its affine. A MetaTensor
        also records its settings and spacing, ``meta["distance_map_options"]`` and ``meta["distance_map_spacing"]``.

    Raises:
        TypeError: Unknown option or dtype, labels of a wrong kind.
        ValueError: Wrong shape, values, spacing or option.
    """

    backend: ClassVar = [TransformBackends.NUMPY, TransformBackends.TORCH]

    def __init__(
        self,
        num_classes: int | None = None,
        preset: Preset | None = "robust",
        *,
        spacing: Sequence[float] | None = None,
        include_background: bool = True,
        ignore_index: int | None = None,
        backend: Backend = "auto",
        dtype: torch.dtype = torch.float32,
        **options: Any,
    ) -> None:
        base = DistanceMapOptions() if preset is None else preset_options(preset)
        self.options = base.replace(**options)
        check_onehot_ignore(num_classes, ignore_index)
        check_choice("dtype", dtype, (torch.float32, torch.float16))
        if dtype == torch.float16 and not self.options.bounded:
            raise ValueError(
                "dtype must be torch.float32 for a map without clip or normalize, got torch.float16; pass clip=20"
            )
        self.num_classes = num_classes
        self.spacing = spacing
        self.include_background = include_background
        self.ignore_index = ignore_index
        self._backend = check_choice("backend", backend, BACKENDS)
        self.dtype = dtype

    def __call__(self, labels: NdarrayOrTensor) -> NdarrayOrTensor:
        """Return the map `(C, *S)` of `labels`, `(1, *S)` or, without `num_classes`, `(C, *S)`."""
        values: Any = labels if isinstance(labels, torch.Tensor) else np.asarray(labels)
        spacing = image_spacing(labels, None, max(1, values.ndim - 1)) if self.spacing is None else self.spacing
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


class SignedDistanceMapd(DictionaryTwin):
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

    def __init__(
        self,
        keys: KeysCollection,
        output_keys: KeysCollection | None = None,
        allow_missing_keys: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__(keys, output_keys, allow_missing_keys, SignedDistanceMap(**settings), "distance_map")


SignedDistanceMapD = SignedDistanceMapDict = SignedDistanceMapd
