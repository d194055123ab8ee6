"""Patches of precomputed distance maps along nnU-Net's own crop and augmentation."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from batchgeneratorsv2.transforms.base.basic_transform import BasicTransform, ImageOnlyTransform, SegOnlyTransform
from batchgeneratorsv2.transforms.nnunet.seg_to_onehot import MoveSegAsOneHotToDataTransform
from batchgeneratorsv2.transforms.spatial.mirroring import MirrorTransform
from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform
from batchgeneratorsv2.transforms.utils.nnunet_masking import MaskImageTransform
from batchgeneratorsv2.transforms.utils.pseudo2d import Convert2DTo3DTransform, Convert3DTo2DTransform
from batchgeneratorsv2.transforms.utils.random import RandomTransform
from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2
from nnunetv2.training.nnUNetTrainer import nnUNetTrainer as trainer_module  # noqa: N813

from monai_boundary.kernels.distance import finish_distances
from monai_boundary.map_store import MapStore
from nnunet_trainers.targets import AppendDistanceMaps

__all__ = ["AppendStoredMaps", "LoaderWithMaps", "MapDataset", "PrecomputedMapsMixin", "WarpMaps"]

#: Where batchgenerators keeps what is interpolated as an image is, and moved by every spatial transform.
_KEY = "regression_target"
#: These move the maps as they move voxels, or neither.
_EXACT = (
    ImageOnlyTransform, SegOnlyTransform, MirrorTransform, Convert3DTo2DTransform, Convert2DTo3DTransform,
    MaskImageTransform, MoveSegAsOneHotToDataTransform,
)  # fmt: skip


class MapDataset(nnUNetDatasetBlosc2):
    """nnU-Net's data set that also reads a part of the map of the case it loaded last.

    Args:
        folder: As in nnU-Net.
        identifiers: As in nnU-Net.
        folder_with_segs_from_previous_stage: As in nnU-Net.
        maps: The maps.

    Raises:
        ValueError: A case has no map, its labels changed since, or its shape is another.
    """

    def __init__(
        self,
        folder: str,
        identifiers: list[str] | None = None,
        folder_with_segs_from_previous_stage: str | None = None,
        *,
        maps: MapStore,
    ) -> None:
        super().__init__(folder, identifiers, folder_with_segs_from_previous_stage)
        self.maps = maps
        self.loaded = ""

    def load_case(self, identifier: str) -> tuple:
        """Return what nnU-Net returns, once it is sure that the map is one of these labels."""
        image, labels, previous, properties = super().load_case(identifier)
        self.maps.check_source(identifier, Path(self.source_folder) / f"{identifier}_seg.b2nd")
        stored = self.maps.record(identifier).shape[1:]
        if stored != tuple(image.shape[1:]):
            raise ValueError(
                f"the map of case {identifier!r} must have the shape of its image, {tuple(image.shape[1:])}, got "
                f"{stored}; precompute the maps from this folder"
            )
        self.loaded = identifier
        return image, labels, previous, properties

    def load_map(self, start: list[int], end: list[int]) -> torch.Tensor:
        """Return the map `(C, *S)` of the loaded case from voxel `start` to `end` as float32."""
        shape = [int(high - low) for low, high in zip(start, end, strict=True)]
        return torch.from_numpy(self.maps.read(self.loaded, [int(low) for low in start], shape)).float()


class LoaderWithMaps(nnUNetDataLoader):
    """nnU-Net's loader, which hands the part of the map below each crop to the transforms; arguments as there."""

    def __init__(self, *args: Any, transforms: BasicTransform, **kwargs: Any) -> None:
        super().__init__(*args, transforms=self._with_map, **kwargs)
        self.transforms_of_maps = transforms
        self._box: tuple[list[int], list[int]] | None = None

    def get_bbox(self, *args: Any, **kwargs: Any) -> tuple[list[int], list[int]]:
        """Return nnU-Net's choice, and remember it."""
        self._box = super().get_bbox(*args, **kwargs)
        return self._box

    def _with_map(self, **sample: torch.Tensor) -> dict:
        box, self._box = self._box, None
        if box is None:
            raise RuntimeError("get_bbox must run before the transforms, got none; this nnU-Net crops in another way")
        result: dict = self.transforms_of_maps(**sample, **{_KEY: self._data.load_map(*box)})
        return result


class WarpMaps(BasicTransform):
    """nnU-Net's spatial transform, with the maps interpolated linearly, border repeated, and rescaled by the zoom.

    Args:
        spatial: The transform.
        clip: Limit of the stored maps in mm.

    Raises:
        ValueError: It deforms elastically, or zooms each axis on its own: no factor mends the distances then.
    """

    def __init__(self, spatial: SpatialTransform, clip: float | None) -> None:
        super().__init__()
        if spatial.p_elastic_deform > 0 or (spatial.p_scaling > 0 and spatial.p_synchronize_scaling_across_axes < 1):
            raise ValueError(
                "precomputed maps must be zoomed alike along all axes and not deformed, got p_elastic_deform="
                f"{spatial.p_elastic_deform} and p_synchronize_scaling_across_axes="
                f"{spatial.p_synchronize_scaling_across_axes}; use a trainer that computes maps of the patch"
            )
        self.spatial = spatial
        self.clip = clip
        self.of_maps = copy.copy(spatial)
        self.of_maps.padding_mode_image = "border"  # a border of zeros would be a false contour

    def get_parameters(self, **data_dict: Any) -> dict:
        """Draw what nnU-Net draws."""
        parameters: dict = self.spatial.get_parameters(**data_dict)
        return parameters

    def apply(self, data_dict: dict, **params: Any) -> dict:
        """Move image, labels and maps alike."""
        maps = data_dict.pop(_KEY)
        result: dict = self.spatial.apply(data_dict, **params)
        moved = self.of_maps._apply_to_image(maps, **params)
        affine = params["affine"]
        if affine is not None:  # its determinant is above 1 where more of the volume is drawn into the patch
            moved = moved / abs(float(np.linalg.det(affine))) ** (1 / len(affine))
            moved = moved if self.clip is None else moved.clamp(-self.clip, self.clip)
        return {**result, _KEY: moved}


class AppendStoredMaps(AppendDistanceMaps):
    """Put the maps that came along at the end of the target, finished for the patch as those of the patch are.

    The clip of the trainer, the normalisation and the balance are applied here, so that one set of stored maps in mm
    serves several trainers. Arguments as of `AppendDistanceMaps`.
    """

    def apply(self, data_dict: dict, **params: Any) -> dict:  # noqa: ARG002
        """Return the sample with the maps in the target."""
        maps = data_dict.pop(_KEY, None)
        if maps is None:
            raise RuntimeError(f"the sample must hold the stored maps under {_KEY!r}, got none; use LoaderWithMaps")
        segmentation = data_dict["segmentation"]
        heads = segmentation if isinstance(segmentation, list) else [segmentation]
        array = heads[0].numpy()
        if self.regions:
            masks, valid = self.region_masks(array)
        else:
            masks = np.stack([array[0] == label for label in range(1, self.num_classes)])
            valid = None if self.ignore_label is None else array[0] != self.ignore_label
        finish_distances(maps.numpy(), masks, self.spacing, self.options, valid)
        return {**data_dict, "segmentation": [*heads, self.half(maps)]}


class PrecomputedMapsMixin:
    """Reads the distance maps from disk: ``class Mine(PrecomputedMapsMixin, nnUNetTrainerBoundary): ...``.

    The maps are those of the whole volume: ``monai-boundary precompute-maps FOLDER FOLDER_maps`` with FOLDER the
    preprocessed data of the configuration. They must be stored in mm, neither normalised nor balanced, and with room
    for the zoom: clip at least 1.4 times that of `boundary_map`. Exact where nothing but crop and mirroring moved the
    voxels, as in validation; interpolated where nnU-Net rotates or zooms (docs/scale.md).

    Attributes:
        map_folder: Folder of the maps; ``None``: that of the data with ``_maps`` appended.
    """

    map_folder: ClassVar[str | None] = None
    _store: MapStore | None = None

    def _map_store(self) -> MapStore:
        if self._store is None:
            self._store = self._find_maps()
        return self._store

    def _find_maps(self) -> MapStore:
        if len(self.configuration_manager.patch_size) != 3:  # type: ignore[attr-defined]
            raise ValueError("precomputed maps must be of volumes, got a 2d configuration; use nnUNetTrainerBoundary")
        folder = self.map_folder or f"{self.preprocessed_dataset_folder}_maps"  # type: ignore[attr-defined]
        store = MapStore(folder)
        options, labels = self.boundary_map, self.label_manager  # type: ignore[attr-defined]
        scheme: dict[str, Any] = {"regions": None, "num_classes": labels.num_segmentation_heads}
        if labels.has_regions:
            scheme = {"regions": [np.atleast_1d(region).tolist() for region in labels.foreground_regions]}
        store.require(
            convention=options.convention,
            absent=options.absent,
            normalize=None,
            balance=0.0,
            include_background=False,
            ignore_index=labels.ignore_label,
            **scheme,
        )
        spacing = tuple(float(size) for size in self.configuration_manager.spacing)  # type: ignore[attr-defined]
        found = {record.spacing for record in store.records.values()}
        if found != {spacing}:
            raise ValueError(
                f"maps in {folder} must have the spacing of the configuration, {spacing}, got {sorted(found)}; "
                "precompute them from its folder"
            )
        return store

    def get_tr_and_val_datasets(self) -> tuple[MapDataset, MapDataset]:
        """Return nnU-Net's data sets, with the maps."""
        store = self._map_store()
        return tuple(
            MapDataset(each.source_folder, each.identifiers, each.folder_with_segs_from_previous_stage, maps=store)
            for each in super().get_tr_and_val_datasets()  # type: ignore[misc]
        )  # type: ignore[return-value]

    def get_dataloaders(self) -> Any:
        """Return nnU-Net's loaders, made of `LoaderWithMaps`."""
        with _replaced_loader():
            loaders = super().get_dataloaders()  # type: ignore[misc]
        return loaders

    def _with_maps(self, transforms: Any) -> Any:
        if self.distance_maps_on != "workers":  # type: ignore[attr-defined]
            raise ValueError(
                f"distance_maps_on must be 'workers' with precomputed maps, got {self.distance_maps_on!r}; "  # type: ignore[attr-defined]
                "they are read there"
            )
        from_patch: AppendDistanceMaps = self._map_transform()  # type: ignore[attr-defined]
        stored, needed = self._map_store().settings.options.clip, from_patch.options.clip
        chain = [_follow(each, stored) for each in transforms.transforms]
        zoom = max((_largest_zoom(each) for each in chain), default=1.0)
        if (needed is None and stored is not None) or (needed and stored and stored < needed * zoom):
            want = "none" if needed is None else f"{needed * zoom:g} mm: {needed:g} mm at a zoom of {zoom:g}"
            raise ValueError(f"the stored maps must have a clip of at least {want}, got {stored}; precompute them so")
        last = AppendStoredMaps(
            from_patch.num_classes, from_patch.spacing, from_patch.options, from_patch.regions, from_patch.ignore_label
        )
        transforms.transforms = [*chain, last]
        return transforms


@contextmanager
def _replaced_loader() -> Iterator[None]:
    """Let nnU-Net's get_dataloaders, which names its class outright, make `LoaderWithMaps`."""
    original, trainer_module.nnUNetDataLoader = trainer_module.nnUNetDataLoader, LoaderWithMaps
    try:
        yield
    finally:
        trainer_module.nnUNetDataLoader = original


def _follow(transform: BasicTransform, clip: float | None) -> BasicTransform:
    """Return a transform that moves the maps along, or refuse one that the maps cannot follow."""
    if isinstance(transform, SpatialTransform):
        return WarpMaps(transform, clip)
    inner = transform
    while isinstance(inner, RandomTransform):
        inner = inner.transform
    if isinstance(inner, _EXACT):
        return transform
    raise ValueError(
        f"precomputed maps must be moved as the voxels are, got {type(inner).__name__}, which is not known to leave "
        "them in step; use a trainer that computes maps of the patch"
    )


def _largest_zoom(transform: BasicTransform) -> float:
    scaling = transform.spatial.scaling if isinstance(transform, WarpMaps) else 1.0
    return max(scaling) if isinstance(scaling, tuple | list) else float(scaling)
