"""Where images and labels come from: readers of public data sets, their conversion, and synthetic stand-ins.

* `nifti`: volumes in NIfTI files, in one orientation. `datalist`: MONAI's JSON list of cases.
* `convert`: challenge downloads to nnU-Net raw data sets that MONAI reads, too.
* `em`, `remote`: electron microscopy and aerial tiles, read piece by piece where they were unpacked.
* `cache`: a `PersistentDataset` that checks what it reads back.
* `phantoms`: synthetic images with known truth.

Transforms of what was read live in `monai_boundary.transforms`, scores in `monai_boundary.metrics`. What is gathered
here imports neither torch nor MONAI, so that reports start quickly; the other rooms are imported by their own names.
"""

from monai_boundary.datasets.nifti import Volume, read_image, read_labels, same_grid, write_volume
from monai_boundary.datasets.phantoms.buildings import BuildingPhantom, BuildingPhantoms, building_phantom
from monai_boundary.datasets.phantoms.lesions import Phantom, lesion_phantom, write_nnunet_phantoms
from monai_boundary.datasets.phantoms.membranes import MembranePhantom, MembranePhantoms, membrane_phantom

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
