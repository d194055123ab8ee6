"""Read the distance map of whatever part of a volume a sample holds by now."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from monai.config import KeysCollection
from monai.config.type_definitions import NdarrayOrTensor
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform
from monai.utils import TransformBackends, convert_to_dst_type, ensure_tuple_rep

from monai_boundary.kernels.distance import Preset, preset_options
from monai_boundary.map_store import MapStore
from monai_boundary.transforms.map_record import record_map

__all__ = [
    "PrecomputedDistanceMap",
    "PrecomputedDistanceMapD",
    "PrecomputedDistanceMapDict",
    "PrecomputedDistanceMapd",
]

#: Of a voxel: how far a corner of the sample may lie from the voxel of the volume that it is.
_TOLERANCE = 0.05


class PrecomputedDistanceMap(Transform):
    """Distance map of a label map from the files of ``monai-boundary precompute-maps``.

    Where the sample lies in its volume is read from its affine. Crops, paddings, flips, rotations by 90 degrees and
    changes of orientation put voxels onto voxels, in any order: the map is then exactly that part of the volume's map,
    turned likewise, and only this part is read. So it may stand behind a random crop, or before it, where it reads the
    whole volume. Whatever puts voxels between voxels (zoom, rotation by an angle, resampling, elastic) must come after
    it; what holds for `SignedDistanceMapd` there holds here. Beyond the volume the map repeats its border.

    Args:
        maps: Folder that the command wrote.
        preset: ``"robust"`` or ``"published"``: the options that the maps must have.
        check_source: Compare the label file with the one that the map was made from, at its first use in a process.
        dtype: ``torch.float32`` or ``torch.float16``; ``None``: as stored.
        **expected: Settings that the maps must have: num_classes, include_background, ignore_index, and fields of
            `DistanceMapOptions`.

    Returns:
        `(C, *S)` as a `MetaTensor` with the affine of the labels, ready for `RescaleDistanceMapd`.

    Raises:
        ImportError: Blosc2 is not installed.
        TypeError: The labels are no `MetaTensor`, or an expected setting is unknown.
        ValueError: The maps have other settings, there is none for the labels, it is damaged, the labels changed
            since, or they were resampled.
    """

    backend: ClassVar = [TransformBackends.TORCH]

    def __init__(
        self,
        maps: str | os.PathLike[str],
        preset: Preset | None = None,
        *,
        check_source: bool = True,
        dtype: torch.dtype | None = None,
        **expected: Any,
    ) -> None:
        self.store = MapStore(maps)
        options = {} if preset is None else vars(preset_options(preset))
        self.store.require(**{**options, **expected})
        self.check_source = check_source
        self.dtype = dtype

    def __call__(self, labels: NdarrayOrTensor, case: str | None = None) -> MetaTensor:
        """Return the map of `labels` `(1, *S)`; the case is that of the file they were read from unless named."""
        if not isinstance(labels, MetaTensor):
            raise TypeError(
                f"labels must be a MetaTensor, got {type(labels).__name__}; load them with LoadImaged, whose affine "
                "says where in the volume they lie"
            )
        file = labels.meta.get("filename_or_obj")
        if case is None:
            if not file:
                raise ValueError("labels must carry meta['filename_or_obj'], got none; name the case under case_key")
            case = self.store.case_of(str(file))
        if self.check_source and file and os.path.isfile(str(file)):  # noqa: PTH113 - any text may stand there
            self.store.check_source(case, str(file))
        axes, signs, start, shape = self._place(labels, case)
        block = self.store.read(case, start, shape)
        block = np.flip(block, tuple(1 + axis for axis in range(len(axes)) if signs[axis] < 0))
        block = np.ascontiguousarray(block.transpose(0, *(1 + axis for axis in axes)))
        result: MetaTensor = convert_to_dst_type(torch.from_numpy(block), labels, dtype=self.dtype or block.dtype)[0]
        spacing = self.store.record(case).spacing
        record_map(result, self.store.settings.options, [spacing[axis] for axis in axes])
        return result

    def _place(self, labels: MetaTensor, case: str) -> tuple[list[int], np.ndarray, list[int], list[int]]:
        """Return the volume's axis along each axis of `labels`, the direction along each of the volume, and the box."""
        record, ndim = self.store.record(case), labels.ndim - 1
        if record.affine is None:
            raise ValueError(
                f"maps of case {case!r} must have been made from NIfTI labels, got such of an nnU-Net folder; "
                "precompute from the datalist"
            )
        if ndim != len(record.shape) - 1:
            raise ValueError(
                f"labels must be (1, *S) with {len(record.shape) - 1} spatial axes, got shape {tuple(labels.shape)}"
            )
        present = np.asarray(labels.affine.detach().cpu(), np.float64)
        lattice = np.linalg.solve(np.asarray(record.affine, np.float64), present)
        turn = np.rint(lattice[:ndim, :ndim]).astype(int)
        corners = np.array([[0] * ndim, [size - 1 for size in labels.shape[1:]]])
        exact = corners @ lattice[:ndim, :ndim].T + lattice[:ndim, ndim]
        found = corners @ turn.T + np.rint(exact[0]).astype(int)
        if (
            (np.abs(turn).sum(0) != 1).any()
            or (np.abs(turn).sum(1) != 1).any()
            or np.abs(exact - found).max() > _TOLERANCE
        ):
            now = np.linalg.norm(present[:ndim, :ndim], axis=0)
            raise ValueError(
                f"labels of case {case!r} must lie on the voxels of their volume, spacing {_short(record.spacing)} mm, "
                f"got spacing {_short(now)} mm and axes {np.round(lattice[:ndim, :ndim], 3).tolist()}; read the map "
                "before Spacingd, zoom, rotation and deformation, or precompute from resampled labels"
            )
        axes = [int(np.argmax(np.abs(turn[:, axis]))) for axis in range(ndim)]
        low, high = found.min(0), found.max(0)
        return axes, turn.sum(1), low.tolist(), (high - low + 1).tolist()


class PrecomputedDistanceMapd(MapTransform):
    """Dictionary twin of `PrecomputedDistanceMap`.

    Args:
        keys: Key of the label map.
        maps: Folder that ``monai-boundary precompute-maps`` wrote.
        output_keys: Where the map is stored.
        case_key: Key of the name of the case; where it is missing, the file of the labels tells the case.
        allow_missing_keys: Pass over absent keys.
        **settings: Further arguments of `PrecomputedDistanceMap`.
    """

    backend = PrecomputedDistanceMap.backend

    def __init__(
        self,
        keys: KeysCollection,
        maps: str | os.PathLike[str],
        output_keys: KeysCollection = "distance_map",
        case_key: str = "case",
        allow_missing_keys: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.output_keys = ensure_tuple_rep(output_keys, len(self.keys))
        if len(set(self.output_keys)) != len(self.keys):
            raise ValueError(f"output_keys must name one key per label key ({len(self.keys)}), got {self.output_keys}")
        self.case_key = case_key
        self.transform = PrecomputedDistanceMap(maps, **settings)

    def __call__(self, data: Mapping[Hashable, NdarrayOrTensor]) -> dict[Hashable, NdarrayOrTensor]:
        """Return `data` with the maps added."""
        d = dict(data)
        for key, output_key in self.key_iterator(d, self.output_keys):
            case: Any = d.get(self.case_key)
            d[output_key] = self.transform(d[key], None if case is None else str(case))
        return d


def _short(values: Any) -> tuple[float, ...]:
    return tuple(round(float(value), 4) for value in values)


PrecomputedDistanceMapD = PrecomputedDistanceMapDict = PrecomputedDistanceMapd
