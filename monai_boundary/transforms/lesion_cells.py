"""Labels to the cells of their lesions, as a MONAI transform pair."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from monai.config.type_definitions import NdarrayOrTensor
from monai.transforms import Transform
from monai.utils import TransformBackends, convert_to_dst_type

from monai_boundary._check import check_array, check_choice, check_onehot_ignore
from monai_boundary._geometry import image_spacing
from monai_boundary.kernels.components import lesion_cells
from monai_boundary.kernels.distance import BACKENDS, Backend
from monai_boundary.transforms.twins import TwinOfSettings

__all__ = ["LesionCells", "LesionCellsD", "LesionCellsDict", "LesionCellsd"]


class LesionCells(Transform):
    """For every class the number of the lesion that is nearest to each voxel: the cells of its lesions.

    ``cells * mask`` are the numbers of the lesions themselves. Place it before the first random transform: the cells
    then belong to the full volume and are cached. Spatial transforms carry them as they carry labels, with
    ``mode="nearest"`` and ``padding_mode="border"``: a border of 0 is of no lesion.

    A crop keeps the numbers of the full volume. The parts of a lesion that it cuts in two stay one lesion. A lesion
    outside the crop may keep a cell in it, which then holds no foreground; the losses count only cells that hold some.
    Put the transform behind the crop for the lesions of the patch alone.

    Args:
        num_classes: Number of classes including the background when the input is a label map `(1, *S)`. ``None``: the
            input is one-hot or multi-label `(C, *S)`, each channel a mask of its own; channels may overlap.
        spacing: Voxel size in mm, one per spatial axis; ``None`` takes it from the affine of a `MetaTensor`. A bare
            array without `spacing` is measured in voxels, with a `MissingSpacingWarning`.
        connectivity: Axes along which neighbours of one lesion may differ: 1 for faces, up to the number of axes, which
            is the default (26 neighbours in 3D).
        include_background: Whether channel 0 has cells; regions, which have no background, need ``True``.
        ignore_index: Label that is not counted (label maps only): of no lesion, but in a cell.
        backend: See `nearest_label`, as for lesions that are equally far.
        dtype: ``torch.int32``, or ``torch.int16`` for half the memory and up to 32,767 lesions of a class.

    Returns:
        `(K, *S)` of the kind of the input (MetaTensor, tensor or array), on its device, with its affine; 0 everywhere
        where a class has no lesion.

    Raises:
        TypeError: Labels of a wrong kind.
        ValueError: Wrong shape, values, spacing or setting; more lesions than the type holds.

    Example:
        >>> LesionCells(2, spacing=(1.0,))(np.array([[1, 0, 0, 0, 0, 1]])).tolist()
        [[1, 1, 1, 2, 2, 2]]
    """

    backend: ClassVar = [TransformBackends.NUMPY, TransformBackends.TORCH]

    def __init__(
        self,
        num_classes: int | None = None,
        *,
        spacing: Sequence[float] | None = None,
        connectivity: int | None = None,
        include_background: bool = False,
        ignore_index: int | None = None,
        backend: Backend = "auto",
        dtype: torch.dtype = torch.int32,
    ) -> None:
        check_onehot_ignore(num_classes, ignore_index)
        self.num_classes = num_classes
        self.spacing = spacing
        self.connectivity = connectivity
        self.include_background = include_background
        self.ignore_index = ignore_index
        self._backend = check_choice("backend", backend, BACKENDS)
        self.dtype = check_choice("dtype", dtype, (torch.int32, torch.int16))

    def __call__(self, labels: NdarrayOrTensor) -> NdarrayOrTensor:
        """Return the cells `(K, *S)` of `labels`, `(1, *S)` or, without `num_classes`, `(C, *S)`."""
        check_array("labels", labels)
        values: Any = labels if isinstance(labels, torch.Tensor) else np.asarray(labels)
        spacing = image_spacing(labels, max(1, values.ndim - 1)) if self.spacing is None else self.spacing
        cells = lesion_cells(
            values,
            self.num_classes,
            spacing,
            connectivity=self.connectivity,
            include_background=self.include_background,
            ignore_index=self.ignore_index,
            dtype=self.dtype,
            backend=self._backend,
        )
        result: NdarrayOrTensor = convert_to_dst_type(torch.as_tensor(cells), labels, dtype=self.dtype)[0]
        return result


class LesionCellsd(TwinOfSettings):
    """Dictionary twin of `LesionCells`: the cells of each key are stored under `output_keys`.

    Args:
        keys: Keys of the label maps.
        output_keys: One key per label key; by default ``"lesion_cells"`` for a single key, else
            ``"<key>_lesion_cells"``.
        allow_missing_keys: Pass over absent keys.
        **settings: Arguments of `LesionCells`.

    Example:
        >>> transform = LesionCellsd("label", num_classes=2, spacing=(1.0,))
        >>> transform({"label": np.array([[0, 1, 0, 1]])})["lesion_cells"].tolist()
        [[1, 1, 1, 2]]
    """

    backend = LesionCells.backend
    array_transform = LesionCells
    result = "lesion_cells"


LesionCellsD = LesionCellsDict = LesionCellsd
