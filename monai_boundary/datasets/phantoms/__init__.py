"""Synthetic images with known truth: brain lesions, buildings from above, membranes of cells.

They stand in for data that may not be shipped, in tests, tutorials and experiments. Each file draws one kind: a
function that makes one phantom from a seed and, where whole sets are trained on, a class that gives MONAI-style items.
The same arguments give the same phantom. Real data are read by the other rooms of `monai_boundary.datasets`; nothing
here imports torch or MONAI.
"""

from monai_boundary.datasets.phantoms.buildings import BuildingPhantom, BuildingPhantoms, building_phantom
from monai_boundary.datasets.phantoms.lesions import Phantom, lesion_phantom, write_nnunet_phantoms
from monai_boundary.datasets.phantoms.membranes import MembranePhantom, MembranePhantoms, membrane_phantom

__all__ = [
    "BuildingPhantom",
    "BuildingPhantoms",
    "MembranePhantom",
    "MembranePhantoms",
    "Phantom",
    "building_phantom",
    "lesion_phantom",
    "membrane_phantom",
    "write_nnunet_phantoms",
]
