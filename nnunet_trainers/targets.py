"""What a loss takes beside the label, made of nnU-Net's targets: distance maps and the cells of lesions.

Each is a transform at the end of the data loader's. Being last it sees the final patch: padding is background again,
the cascade's channel and dummy 2D are undone, regions are bool channels. What lies outside the patch is not known here.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from batchgeneratorsv2.transforms.base.basic_transform import SegOnlyTransform

from monai_boundary.kernels.components import lesion_cells
from monai_boundary.kernels.distance import DistanceMapOptions, batch_labels_map, batch_masks_map

__all__ = ["AppendBeside", "AppendDistanceMaps", "AppendLesionCells"]

_LARGEST = torch.finfo(torch.float16).max


class AppendBeside(SegOnlyTransform):
    """Turn the target into a list that ends with something more; several of these append in their order.

    Attributes:
        name: What the loss calls it.
        dtype: Of the tensor, which tells it from a target.

    Args:
        num_classes: Classes including the background, or regions.
        spacing: Voxel size of the patch in mm.
        regions: Whether the target holds one bool channel per region.
        ignore_index: Label that is not counted; with regions it is the last channel.
    """

    name: ClassVar[str]
    dtype: ClassVar[torch.dtype]

    def __init__(
        self,
        num_classes: int,
        spacing: tuple[float, ...],
        regions: bool = False,
        ignore_index: int | None = None,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.spacing = spacing
        self.regions = regions
        self.ignore_index = ignore_index

    def _apply_to_segmentation(
        self,
        segmentation: torch.Tensor | list[torch.Tensor],
        **params: object,  # noqa: ARG002
    ) -> list[torch.Tensor]:
        heads = segmentation if isinstance(segmentation, list) else [segmentation]
        return [*heads, self.of_sample(heads[0])]

    def of_sample(self, target: torch.Tensor) -> torch.Tensor:
        """Return what is appended, `(C, *S)`, of a target `(1, *S)` or of regions `(R, *S)`."""
        raise NotImplementedError

    def of_batch(self, target: torch.Tensor) -> torch.Tensor:
        """Return the same of a batch, `(B, C, *S)`, on its device."""
        return torch.stack([self.of_sample(sample) for sample in target])


class AppendLesionCells(AppendBeside):
    """The cells of the lesions of each foreground class or region, int32: those of the patch.

    A lesion that the patch cuts is the part inside; two parts are two lesions.
    """

    name = "lesion_cells"
    dtype = torch.int32  # nnU-Net's batch has the type of its first sample, and labels are int16

    def of_sample(self, target: torch.Tensor) -> torch.Tensor:
        """Return the cells; see `monai_boundary.kernels.components.lesion_cells`."""
        if self.regions:
            masks = target[: self.num_classes].bool()
            if self.ignore_index is not None:
                masks = masks & ~target[-1:].bool()
            return lesion_cells(masks, spacing=self.spacing, include_background=True, dtype=self.dtype)
        settings = (self.num_classes, self.spacing)
        return lesion_cells(target, *settings, ignore_index=self.ignore_index, dtype=self.dtype)


class AppendDistanceMaps(AppendBeside):
    """The distance maps of the foreground classes or regions, float16.

    They are those of the patch, which is why the trainers clip them.

    Args:
        num_classes: See `AppendBeside`.
        spacing: See `AppendBeside`.
        options: Settings of the maps.
        regions: See `AppendBeside`.
        ignore_index: See `AppendBeside`.
    """

    name = "distance_map"
    dtype = torch.float16

    def __init__(
        self,
        num_classes: int,
        spacing: tuple[float, ...],
        options: DistanceMapOptions,
        regions: bool = False,
        ignore_index: int | None = None,
    ) -> None:
        super().__init__(num_classes, spacing, regions, ignore_index)
        self.options = options

    def of_sample(self, target: torch.Tensor) -> torch.Tensor:
        """Return the maps, float16.

        Raises:
            ValueError: The maps leave the range of float16.
        """
        maps = self.of_batch(target[None])[0]
        half = maps.half()
        if not self.options.bounded and not half.isfinite().all():
            raise ValueError(
                f"distance maps must stay below {_LARGEST:g} to be kept in float16, got {float(maps.abs().max()):g} at "
                f"spacing {self.spacing}; set boundary_map to options with normalize='clip', for example "
                f"DistanceMapOptions(clip={10 * max(self.spacing):g}, normalize='clip')"
            )
        return half

    @torch.no_grad()
    def of_batch(self, target: torch.Tensor) -> torch.Tensor:
        """Return the maps, float32."""
        if self.regions:
            valid = None if self.ignore_index is None else ~target[:, -1:].bool()
            return batch_masks_map(target[:, : self.num_classes].bool(), self.spacing, self.options, valid)
        return batch_labels_map(target, self.num_classes, self.spacing, self.options, False, self.ignore_index)
