"""Cells of lesions in the data loader: made once, in mm, and carried as labels are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import CacheDataset, DataLoader, MetaTensor
from monai.transforms import Compose, RandFlipd, RandRotate90d, RandSpatialCropd, SpatialCropd

from monai_boundary import LesionCells, LesionCellsd
from monai_boundary.kernels.components import components, lesion_cells
from monai_boundary.transforms import MissingSpacingWarning
from monai_boundary.transforms import lesion_cells as module
from tests.transforms.images import on_grid

KEYS = ["label", "lesion_cells", "index"]
SPACING = (3.0, 1.0, 1.0)


@pytest.fixture
def case() -> dict:
    """Three lesions of class 1, the last one long, and two of class 2; `index` says where a voxel came from."""
    labels = np.zeros((1, 8, 16, 18), np.uint8)
    labels[0, 2:5, 3:6, 4:6] = labels[0, 6, 12, 3] = labels[0, 1, 10, 2:17] = 1
    labels[0, 4:7, 1:3, 11:16] = labels[0, 0, 15, 17] = 2
    index = np.arange(labels.size, dtype=np.float32).reshape(labels.shape)
    return {"label": on_grid(labels, SPACING), "index": on_grid(index, SPACING)}


def test_spacing_is_that_of_the_image_or_of_the_argument(case):
    labels = case["label"].numpy()
    for given, spacing in ((SPACING, None), ((1.0, 1.0, 7.0), (1.0, 1.0, 7.0))):
        cells = LesionCells(3, spacing=spacing)(case["label"])
        np.testing.assert_array_equal(cells, lesion_cells(labels, 3, given))
    assert (lesion_cells(labels, 3, SPACING) != lesion_cells(labels, 3)).any()
    with pytest.warns(MissingSpacingWarning, match="distances are in voxels"):
        np.testing.assert_array_equal(LesionCells(3)(labels), lesion_cells(labels, 3))


def test_one_pass_gives_cells_and_numbers(case):
    cells = LesionCells(3)(case["label"])
    assert isinstance(cells, MetaTensor)
    for label in (1, 2):
        mask = case["label"][0].numpy() == label
        np.testing.assert_array_equal(cells[label - 1].numpy() * mask, components(mask))


def test_a_cache_makes_the_cells_once_and_crops_and_flips_carry_them(case, monkeypatch):
    calls, kernel = [], module.lesion_cells
    monkeypatch.setattr(module, "lesion_cells", lambda *a, **k: calls.append(1) or kernel(*a, **k))
    random = [RandSpatialCropd(KEYS, roi_size=(4, 8, 8), random_size=False), RandFlipd(KEYS, 0.5, spatial_axis=1),
              RandRotate90d(KEYS, 0.5, spatial_axes=(1, 2))]  # fmt: skip
    data = CacheDataset([case], Compose([LesionCellsd("label", num_classes=3, dtype=torch.int16), *random]),
                        progress=False)  # fmt: skip
    whole = kernel(case["label"].numpy(), 3, SPACING)
    for _ in range(6):
        crop = data[0]
        assert crop["lesion_cells"].dtype == torch.int16
        from_where = crop["index"][0].numpy().astype(int)
        np.testing.assert_array_equal(crop["lesion_cells"], whole.reshape(2, -1)[:, from_where])
    assert len(calls) == 1
    batch = next(iter(DataLoader(data, batch_size=1)))
    assert batch["lesion_cells"].shape == (1, 2, 4, 8, 8)


def test_a_crop_keeps_the_parts_of_a_lesion_together_and_empty_cells(case):
    case["label"][0, 1, 10, 9] = 0  # the long lesion has two parts, joined outside the crop
    case["label"][0, 2, 10, 8:11] = 1
    case["label"][0, 1, 7, 14] = 1  # beside the crop
    crop = SpatialCropd(["label", "lesion_cells"], roi_start=(0, 8, 0), roi_end=(2, 16, 18))
    found = crop(LesionCellsd("label", num_classes=3)(case))
    cells, mask = found["lesion_cells"][0].numpy(), found["label"][0].numpy() == 1
    assert components(mask).max() == 2
    assert len(np.unique((cells * mask)[mask])) == 1
    assert set(np.unique(cells)) > set(np.unique(cells[mask]))  # a lesion outside the crop keeps a cell


def test_regions_have_cells_of_the_first_channel_when_asked(case):
    masks = np.concatenate([case["label"].numpy() > 0, case["label"].numpy() == 2])
    cells = LesionCells(spacing=SPACING, include_background=True)(masks)
    np.testing.assert_array_equal(cells, lesion_cells(masks, spacing=SPACING, include_background=True))
    assert len(LesionCells(spacing=SPACING)(masks)) == 1


def test_settings_reach_the_kernel():
    labels = np.array([[[1, 0, 0, 3], [0, 1, 0, 0]]])
    corners, faces = (LesionCells(4, spacing=(1, 1), connectivity=rank, ignore_index=3)(labels) for rank in (2, 1))
    assert corners[0].max() == 1
    assert faces[0].max() == 2
    assert not faces[2].any()


def test_wrong_settings_are_refused_before_the_first_sample():
    with pytest.raises(ValueError, match=r"dtype must be one of torch.int32, torch.int16, got torch.int64"):
        LesionCells(2, dtype=torch.int64)
    with pytest.raises(ValueError, match="backend must be one of"):
        LesionCells(2, backend="gpu")
    with pytest.raises(ValueError, match="ignore_index must be None for one-hot input, got 3"):
        LesionCells(ignore_index=3)


def test_more_lesions_than_int16_holds_are_refused():
    checkers = np.indices((32, 64, 48)).sum(0)[None] % 2
    settings = {"num_classes": 2, "spacing": SPACING, "connectivity": 1}
    assert LesionCells(**settings)(checkers).max() == 49152
    with pytest.raises(ValueError, match=r"dtype must be torch.int32 for more than 32767 .* 49152 lesions"):
        LesionCells(**settings, dtype=torch.int16)(checkers)
