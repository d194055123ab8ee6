"""Images and labels: readers of public data sets, their conversion, and synthetic stand-ins.

* `nifti`: volumes in NIfTI files, in one orientation. `datalist`: MONAI's JSON list of cases.
* `convert`: from challenge downloads to nnU-Net raw data sets that MONAI also reads.
* `em`, `remote`: electron microscopy and aerial tiles, read in parts from the unpacked download.
* `cache`: a `PersistentDataset` that checks what it reads back.
* `phantoms`: synthetic images with known truth.

Transforms are in `monai_boundary.transforms`, scores in `monai_boundary.metrics`. The names exported here import
neither torch nor MONAI, so that reports start quickly; import the other modules by their own names.
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
