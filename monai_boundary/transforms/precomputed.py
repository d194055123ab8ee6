"""Read the distance map of whatever part of a volume a sample holds by now."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Hashable, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from monai.config import KeysCollection
from monai.config.type_definitions import NdarrayOrTensor
from monai.data import MetaTensor
from monai.utils import TransformBackends, convert_to_dst_type

from monai_boundary._geometry import mm_per_unit
from monai_boundary._options import check_options, keyword_names
from monai_boundary.kernels.distance import DistanceMapOptions, Preset, preset_options
from monai_boundary.map_store import MapRecord, MapStore
from monai_boundary.transforms.distance_map import record_map
from monai_boundary.transforms.twins import DictionaryTwin

__all__ = ["PrecomputedDistanceMapD", "PrecomputedDistanceMapDict", "PrecomputedDistanceMapd"]

#: Of a voxel: how far a corner of the sample may lie from the voxel of the volume that it is.
_TOLERANCE = 0.05
#: Of the stored maps, beside the fields of `DistanceMapOptions`.
_OTHER_SETTINGS = ("num_classes", "include_background", "ignore_index")
#: From the worlds of MONAI's readers to the RAS of the stored affines.
_TO_RAS = {"RAS": np.eye(4), "LPS": np.diag([-1.0, -1.0, 1.0, 1.0])}


class PrecomputedDistanceMapd(DictionaryTwin):
    """Distance map of a label map from the files of ``monai-boundary precompute-maps``.

    Where the sample lies in its volume is read from its affine. Crops, paddings, flips, rotations by 90 degrees and
    changes of orientation put voxels onto voxels, in any order: the map is then exactly that part of the volume's map,
    turned likewise, and only this part is read. Zoom, rotation by an angle, resampling and elastic deformation come
    after it. Beyond the volume the map repeats its border.

    The map is a `MetaTensor` `(C, *S)` with the affine of the labels, and options and spacing in its metadata.

    Args:
        keys: Key of the label map `(1, *S)`, a `MetaTensor`.
        maps: Folder that the command wrote.
        output_keys: Where the map is stored; by default under ``"distance_map"``.
        case_key: Key of the name of the case; where it is missing, the file of the labels tells the case.
        preset: ``"clipped"``, ``"robust"`` or ``"published"``: the options that the maps must have; ``None``: any.
        check_source: Compare the label file with the one that the map was made from, at its first use in a process.
        dtype: ``torch.float32`` or ``torch.float16``; ``None``: as stored.
        allow_missing_keys: Pass over absent keys.
        **expected: Settings that the maps must have: num_classes, include_background, ignore_index, and fields of
            `DistanceMapOptions`.

    Raises:
        TypeError: The labels are no `MetaTensor`, or an expected setting is unknown.
        ValueError: The maps have other settings, are damaged, or lack one for the labels; these changed since, were
            resampled, lie wholly outside the volume, or their affine is of an unknown space.
    """

    backend: ClassVar = [TransformBackends.TORCH]

    def __init__(
        self,
        keys: KeysCollection,
        maps: str | os.PathLike[str],
        output_keys: KeysCollection | None = None,
        case_key: str = "case",
        *,
        preset: Preset | None = None,
        check_source: bool = True,
        dtype: torch.dtype | None = None,
        allow_missing_keys: bool = False,
        **expected: Any,
    ) -> None:
        known = [*keyword_names(PrecomputedDistanceMapd, DistanceMapOptions), *_OTHER_SETTINGS]
        check_options("PrecomputedDistanceMapd", expected, known)
        super().__init__(keys, output_keys, allow_missing_keys, self.read, "distance_map")
        options = {} if preset is None else vars(preset_options(preset))
        self.store = MapStore(maps, **{**options, **expected})
        self.case_key = case_key
        self.check_source = check_source
        self.dtype = dtype

    def __call__(self, data: Mapping[Hashable, NdarrayOrTensor]) -> dict[Hashable, NdarrayOrTensor]:
        """Return `data` with the maps added."""
        d = dict(data)
        for key, output_key in self.key_iterator(d, self.output_keys):
            d[output_key] = self.read(d[key], d.get(self.case_key))
        return d

    def read(self, labels: NdarrayOrTensor, case: object = None) -> MetaTensor:
        """Return the map of `labels`; the case is that of the file they were read from unless named."""
        if not isinstance(labels, MetaTensor):
            raise TypeError(
                f"labels must be a MetaTensor, got {type(labels).__name__}; load them with LoadImaged, whose affine "
                "says where in the volume they lie"
            )
        file = str(labels.meta.get("filename_or_obj") or "")
        if case is None and not file:
            raise ValueError("labels must carry meta['filename_or_obj'], got none; name the case under case_key")
        name = self.store.case_of(file) if case is None else str(case)
        if self.check_source and os.path.isfile(file):  # noqa: PTH113 - any text may stand there
            self.store.check_source(name, file)
        record = self.store.record(name)
        axes, signs, start, shape = _place(labels, record, name)
        block = self.store.read(name, start, shape)
        block = np.flip(block, tuple(1 + axis for axis in range(len(axes)) if signs[axis] < 0))
        block = np.ascontiguousarray(block.transpose(0, *(1 + axis for axis in axes)))
        result: MetaTensor = convert_to_dst_type(torch.from_numpy(block), labels, dtype=self.dtype or block.dtype)[0]
        options = {field.name: record.settings[field.name] for field in dataclasses.fields(DistanceMapOptions)}
        record_map(result, DistanceMapOptions(**options), [record.spacing[axis] for axis in axes])
        return result


def _place(labels: MetaTensor, record: MapRecord, case: str) -> tuple[list[int], np.ndarray, list[int], list[int]]:
    """Return the volume's axis along each axis of `labels`, the direction along each of the volume, and the box."""
    ndim, space = labels.ndim - 1, str(labels.meta.get("space") or "RAS")
    if space not in _TO_RAS:
        raise ValueError(f"labels must have an affine in {' or '.join(_TO_RAS)}, got meta['space']={space!r}")
    if ndim != len(record.shape) - 1:
        raise ValueError(f"labels must have {len(record.shape) - 1} spatial axes, got shape {tuple(labels.shape)}")
    affine = _TO_RAS[space] @ np.asarray(labels.affine.detach().cpu(), np.float64)
    affine[:-1] *= mm_per_unit(labels.meta)
    lattice = np.linalg.solve(record.affine, affine)
    turn = np.rint(lattice[:ndim, :ndim]).astype(int)
    corners = np.array([[0] * ndim, [size - 1 for size in labels.shape[1:]]])
    exact = corners @ lattice[:ndim, :ndim].T + lattice[:ndim, ndim]
    found = corners @ turn.T + np.rint(exact[0]).astype(int)
    one_to_one = (np.abs(turn).sum(0) == 1).all() and (np.abs(turn).sum(1) == 1).all()
    if not one_to_one or np.abs(exact - found).max() > _TOLERANCE:
        now = np.linalg.norm(np.asarray(record.affine)[:3, :3] @ lattice[:ndim, :ndim], axis=0)
        stored, now, steps = (np.round(values, 4).tolist() for values in (record.spacing, now, lattice[:ndim, :ndim]))
        raise ValueError(
            f"labels of case {case!r} must lie on the voxels of their volume, spacing {stored} mm, got spacing {now} mm"
            f" and axes {steps}; read the map before Spacingd, zoom, rotation and deformation, or precompute from "
            "resampled labels"
        )
    shapes = tuple(labels.shape[1:]), tuple(record.shape[1:])
    if np.array_equal(np.abs(turn), np.eye(ndim)) and shapes[0] != shapes[1] and sorted(shapes[0]) == sorted(shapes[1]):
        raise ValueError(
            f"labels of case {case!r} must have the axes of their affine, got shape {shapes[0]} in a volume of "
            f"{shapes[1]}, whose axes they were before they were transposed; read the map before Transposed, or turn "
            "with Orientationd"
        )
    axes = [int(np.argmax(np.abs(turn[:, axis]))) for axis in range(ndim)]
    low, high = found.min(0), found.max(0)
    return axes, turn.sum(1), low.tolist(), (high - low + 1).tolist()


PrecomputedDistanceMapD = PrecomputedDistanceMapDict = PrecomputedDistanceMapd
