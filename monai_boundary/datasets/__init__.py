"""Data sources: NIfTI volumes, synthetic lesions, buildings and membranes."""

from monai_boundary.datasets.buildings import BuildingPhantom, BuildingPhantoms, building_phantom
from monai_boundary.datasets.membranes import MembranePhantom, MembranePhantoms, membrane_phantom
from monai_boundary.datasets.nifti import Volume, read_image, read_labels, same_grid, write_volume
from monai_boundary.datasets.phantoms import Phantom, lesion_phantom, write_nnunet_phantoms

__all__ = [
    "BuildingPhantom",
    "BuildingPhantoms",
    "MembranePhantom",
    "MembranePhantoms",
    "Phantom",
    "Volume",
    "building_phantom",
    "lesion_phantom",
    "membrane_phantom",
    "read_image",
    "read_labels",
    "same_grid",
    "write_nnunet_phantoms",
    "write_volume",
]
