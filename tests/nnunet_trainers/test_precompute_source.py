"""The labels of nnU-Net's preprocessed folders, as ``precompute-maps`` reads them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from nnunetv2.paths import nnUNet_preprocessed
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2
from nnunetv2.utilities.label_handling.label_handling import LabelManager

from monai_boundary.map_store import MapStore
from monai_boundary.precompute import precompute_maps
from monai_boundary.precompute.sources import label_scheme
from tests.nnunet_trainers.datasets import FOLDER, KINDS, LABELS


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_labels_are_read_as_nnunet_reads_them(kind, nnunet_folders: Path) -> None:
    scheme = label_scheme(Path(nnUNet_preprocessed) / kind.name / "dataset.json")
    manager = LabelManager(kind.labels, kind.regions_class_order)
    assert scheme.ignore_index == manager.ignore_label
    if manager.has_regions:
        assert list(scheme.regions) == [tuple(np.atleast_1d(r).tolist()) for r in manager.foreground_regions]
    else:
        assert scheme.num_classes == manager.num_segmentation_heads
        assert scheme.regions is None


def test_voxels_outside_the_body_are_background(nnunet_folders: Path, tmp_path: Path) -> None:
    folder = tmp_path / "Dataset909" / FOLDER
    folder.mkdir(parents=True)
    for name in ("tinyPlans.json", "dataset.json"):
        (folder.parent / name).write_text((Path(nnUNet_preprocessed) / LABELS / name).read_text())
    labels = np.zeros((1, 6, 20, 20), np.int16)
    labels[0, 2:4, 8:12, 8:12] = 1
    outside = np.where(np.arange(20) < 5, -1, labels)
    for name, array in (("plain", labels), ("masked", outside)):
        nnUNetDatasetBlosc2.save_seg(array.astype(np.int8), os.fspath(folder / f"{name}_seg"))
    precompute_maps(folder, tmp_path / "maps", progress=False)
    store = MapStore(tmp_path / "maps")
    assert np.array_equal(store.read("plain"), store.read("masked"))
