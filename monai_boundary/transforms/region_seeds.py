"""Instance ids or a membrane mask to the seeds and the target of the boundary-aware loss, as a MONAI transform pair."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from monai.config import KeysCollection
from monai.config.type_definitions import NdarrayOrTensor
from monai.transforms import MapTransform, Transform
from monai.utils import TransformBackends, convert_to_dst_type

from monai_boundary._check import (
    as_numpy,
    check_array,
    check_choice,
    check_count,
    check_ids,
    check_ignore_index,
    check_mask,
    check_number,
    check_slice_axis,
    check_spacing,
    check_spatial_ndim,
)
from monai_boundary._geometry import image_spacing
from monai_boundary._options import check_options, keyword_names
from monai_boundary.kernels.regions import (
    compact_ids,
    connected_components,
    near_other_regions,
    region_seeds,
    unlabelled_voxels,
)
from monai_boundary.transforms.distance_map import record_numbers

__all__ = ["RegionSeeds", "RegionSeedsD", "RegionSeedsDict", "RegionSeedsd"]

_IGNORE = 255  # of the membrane: nobody knows


#: In the metadata of seeds: connectivity, and the axis of slices or -1.
SEEDS_KEY = "region_seeds_settings"


def seed_settings(connectivity: int, slice_axis: int | None) -> tuple[int, int]:
    """Return what seeds and `BoundaryAwareLoss` must share; `slice_axis` counts from 0 on."""
    return int(connectivity), -1 if slice_axis is None else slice_axis


@dataclass(eq=False)
class RegionSeeds(Transform):
    """Seeds of all regions, and the membrane to learn, for `BoundaryAwareLoss`.

    Place it after the last spatial transform: a crop cuts regions in two, moves their middle and takes seeds away, and
    flips and crops of a seed map that was made before them leave regions without a seed. It takes some milliseconds, in
    the worker of the data loader.

    Args:
        source: ``"instances"``: ids, 0 on membranes, such as the neuron ids of CREMI. ``"membrane"``: a mask of the
            membranes. A mask of the cells, such as the labels of ISBI 2012, is a map of instances too.
        connectivity: Axes along which neighbours may differ; that of the loss. 1 keeps diagonal membranes of one voxel
            closed.
        min_region_size: Regions of fewer voxels get no seed. Seeds of tiny regions often lie on predicted membranes,
            from where they win whole networks of them.
        membrane_width: Voxels whose distance to the nearest voxel of another id is at most this also are membrane, in
            the unit of `spacing`. For ids that touch, such as those of CREMI; 0 adds none.
        slice_axis: Spatial axis of a volume whose slices are taken one by one, for ``slice_axis`` of the loss;
            ``None`` for regions across slices.
        spacing: Voxel size, one per spatial axis; ``None`` for that of the MetaTensor, else 1 with a warning.
        image_edge: Whether the edge of the image bounds regions, which keeps seeds away from it.
        ignore_index: Value of `labels` at voxels that nobody labelled. They bound regions and are no membrane. Ids that
            CREMI reserves, 2**64 - 3 and above, always are such voxels.

    Returns:
        Seeds, int32 `(1, *S)` with a number of its own at one voxel per region and 0 elsewhere, and membrane, uint8
        `(1, *S)` of 0 and 1, and of 255 where nobody labelled, for ``ignore_index=255`` of the loss; of the kind of the
        input (MetaTensor, tensor or array), on its device, with its affine.

    Raises:
        TypeError: Labels or settings of a wrong kind.
        ValueError: Wrong shape; labels that are no ids, or no mask.

    References:
        Vu Ngoc et al., Introducing the boundary-aware loss for deep image segmentation, BMVC 2021, section 4.1.

    Example:
        >>> seeds, membrane = RegionSeeds(spacing=(1.0,))(np.array([[8, 8, 8, 0, 5]]))
        >>> seeds.tolist(), membrane.tolist()
        ([[0, 1, 0, 0, 2]], [[0, 0, 0, 1, 0]])
    """

    backend: ClassVar = [TransformBackends.TORCH, TransformBackends.NUMPY]

    source: Literal["instances", "membrane"] = "instances"
    _: KW_ONLY
    connectivity: int = 1
    min_region_size: int = 0
    membrane_width: float = 0.0
    slice_axis: int | None = None
    spacing: Sequence[float] | None = None
    image_edge: bool = True
    ignore_index: int | None = None

    def __post_init__(self) -> None:
        check_ignore_index(self.ignore_index)
        check_choice("source", self.source, ("instances", "membrane"))
        check_count("min_region_size", self.min_region_size, 0)
        check_number("membrane_width", self.membrane_width, strict=False)
        if self.source == "membrane" and self.membrane_width:
            raise ValueError(
                f"membrane_width must be 0 for source='membrane', got {self.membrane_width}; widen the mask"
            )

    def __call__(self, labels: NdarrayOrTensor) -> tuple[NdarrayOrTensor, NdarrayOrTensor]:
        """Return seeds and membrane of `labels`, `(1, *S)`."""
        check_array("labels", labels)
        array = as_numpy("labels", labels)
        ndim = check_spatial_ndim("labels", array.shape, channels=1)
        if array.shape[0] != 1:
            raise ValueError(f"labels must have one channel, (1, *S), got shape {array.shape}; use one map of ids")
        spacing = image_spacing(labels, ndim) if self.spacing is None else check_spacing(self.spacing, ndim)
        ids, unlabelled = self._ids(array[0])
        seeds, membrane = np.zeros(ids.shape, np.int32), np.zeros(ids.shape, np.uint8)
        axis = check_slice_axis(self.slice_axis, ndim)
        parts = [()] if axis is None else [(slice(None),) * axis + (index,) for index in range(ids.shape[axis])]
        in_slice = [size for index, size in enumerate(spacing) if index != axis]
        count = 0  # labels go on from slice to slice
        for part in parts:
            found, membrane[part] = self._seeds(ids[part], in_slice, unlabelled[part])
            seeds[part] = np.where(found > 0, found + count, 0)
            count += int(found.max())
        result = _like(labels, seeds[None])
        record_numbers(result, SEEDS_KEY, seed_settings(self.connectivity, axis))
        return result, _like(labels, membrane[None])

    def _ids(self, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ids, and bool where nobody labelled; there they are 0."""
        unlabelled = unlabelled_voxels(labels, self.ignore_index)
        known = np.where(unlabelled, 0, labels) if unlabelled.any() else labels
        ids = ~check_mask("labels", known) & ~unlabelled if self.source == "membrane" else check_ids("labels", known)
        return ids, unlabelled

    def _seeds(
        self, ids: np.ndarray, spacing: Sequence[float], unlabelled: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        regions = connected_components(ids, self.connectivity)
        if self.membrane_width > 0:
            # Of the ids, not of the regions: parts of one id that a crop has cut apart do not bound each other.
            thin = near_other_regions(compact_ids(ids)[0], self.membrane_width, spacing, unlabelled)
            regions = connected_components(np.where(thin, 0, regions), self.connectivity)
        seeds = region_seeds(regions, spacing, self.min_region_size, self.image_edge)
        return seeds, np.where(unlabelled, _IGNORE, regions == 0).astype(np.uint8)


def _like(reference: NdarrayOrTensor, values: np.ndarray) -> NdarrayOrTensor:
    tensor = torch.from_numpy(values)
    result: NdarrayOrTensor = convert_to_dst_type(tensor, reference, dtype=tensor.dtype)[0]
    return result


class RegionSeedsd(MapTransform):
    """Dictionary twin of `RegionSeeds` for one label map.

    Args:
        keys: Key of the label map.
        seeds_key: Key that the seeds are stored under.
        membrane_key: Key that the membrane is stored under; may be that of the label map.
        allow_missing_keys: Pass over an absent key.
        **settings: Arguments of `RegionSeeds`.

    Raises:
        ValueError: Several keys.

    Example:
        >>> transform = RegionSeedsd("label", spacing=(1.0,))
        >>> sorted(transform({"label": np.array([[8, 8, 0, 5, 5]])}))
        ['label', 'membrane', 'seeds']
    """

    backend = RegionSeeds.backend

    def __init__(
        self,
        keys: KeysCollection,
        seeds_key: str = "seeds",
        membrane_key: str = "membrane",
        allow_missing_keys: bool = False,
        **settings: Any,
    ) -> None:
        check_options("RegionSeedsd", settings, keyword_names(RegionSeedsd, RegionSeeds))
        super().__init__(keys, allow_missing_keys)
        if len(self.keys) != 1:
            raise ValueError(f"keys must name one label map, got {self.keys}; use one RegionSeedsd for each")
        if seeds_key in (membrane_key, *self.keys):
            raise ValueError(f"seeds_key must differ from the other keys, got {seeds_key!r}")
        self.seeds_key = seeds_key
        self.membrane_key = membrane_key
        self.transform = RegionSeeds(**settings)

    def __call__(self, data: Mapping[Hashable, NdarrayOrTensor]) -> dict[Hashable, NdarrayOrTensor]:
        """Return `data` with seeds and membrane added."""
        d = dict(data)
        for key in self.key_iterator(d):
            d[self.seeds_key], d[self.membrane_key] = self.transform(d[key])
        return d


RegionSeedsD = RegionSeedsDict = RegionSeedsd
