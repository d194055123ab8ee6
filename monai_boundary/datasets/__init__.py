"""Data sources: NIfTI volumes and synthetic lesion phantoms."""

from monai_boundary.datasets.nifti import Volume, read_image, read_labels, same_grid, write_volume
from monai_boundary.datasets.phantoms import Phantom, lesion_phantom, write_nnunet_phantoms

__all__ = [
    "Phantom",
    "Volume",
    "lesion_phantom",
    "read_image",
    "read_labels",
    "same_grid",
    "write_nnunet_phantoms",
    "write_volume",
]
