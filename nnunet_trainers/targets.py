"""Distance maps of nnU-Net's targets: as the last transform of the data loader, or of a batch on its device."""

from __future__ import annotations

import torch
from batchgeneratorsv2.transforms.base.basic_transform import SegOnlyTransform

from monai_boundary.kernels.distance import DistanceMapOptions, batch_labels_map, batch_masks_map

__all__ = ["AppendDistanceMaps"]

_LARGEST = torch.finfo(torch.float16).max


class AppendDistanceMaps(SegOnlyTransform):
    """Turn the target into a list that ends with the float16 maps of the foreground classes or regions.

    Being last it sees the final patch: padding is background again, the cascade's channel and dummy 2D are undone,
    regions are bool channels. The maps are those of the patch: what lies outside it is not known here, which is
    why the trainers clip them.

    Args:
        num_classes: Classes including the background, or regions.
        spacing: Voxel size of the patch in mm.
        options: Settings of the maps.
        regions: Whether the target holds one bool channel per region.
        ignore_index: Label that is not counted; with regions it is the last channel.
    """

    def __init__(
        self,
        num_classes: int,
        spacing: tuple[float, ...],
        options: DistanceMapOptions,
        regions: bool = False,
        ignore_index: int | None = None,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.spacing = spacing
        self.options = options
        self.regions = regions
        self.ignore_index = ignore_index
        # normalised values lie in [-1, 1] before the balance
        self._fits = options.normalize is not None and options.balance_cap < _LARGEST

    def _apply_to_segmentation(
        self,
        segmentation: torch.Tensor | list[torch.Tensor],
        **params: object,  # noqa: ARG002
    ) -> list[torch.Tensor]:
        heads = segmentation if isinstance(segmentation, list) else [segmentation]
        return [*heads, self.distance_maps(heads[0])]

    def distance_maps(self, segmentation: torch.Tensor) -> torch.Tensor:
        """Return float16 maps `(C, *S)` of a target `(1, *S)` or of regions `(R, *S)`.

        Raises:
            ValueError: The maps leave the range of float16.
        """
        maps = self.batch_distance_maps(segmentation[None])[0]
        half = maps.half()
        if not self._fits and not half.isfinite().all():
            raise ValueError(
                f"distance maps must stay below {_LARGEST:g} to be kept in float16, got {float(maps.abs().max()):g} at "
                f"spacing {self.spacing}; set boundary_map to options with normalize='clip', for example "
                f"DistanceMapOptions(clip={10 * max(self.spacing):g}, normalize='clip')"
            )
        return half

    @torch.no_grad()
    def batch_distance_maps(self, target: torch.Tensor) -> torch.Tensor:
        """Return float32 maps `(B, C, *S)` of targets `(B, 1, *S)` or regions `(B, R, *S)`, on their device."""
        if self.regions:
            valid = None if self.ignore_index is None else ~target[:, -1:].bool()
            return batch_masks_map(target[:, : self.num_classes].bool(), self.spacing, self.options, valid)
        return batch_labels_map(target, self.num_classes, self.spacing, self.options, False, self.ignore_index)
