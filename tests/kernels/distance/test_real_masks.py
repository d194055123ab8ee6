"""Real lesion masks on their raw anisotropic grid."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from monai_boundary import signed_distance_map
from tests import oracles

pytestmark = pytest.mark.real_data


@pytest.fixture(scope="module")
def lesions(data_dir):
    """A crop of about a million voxels around the lesions of one patient, and its spacing."""
    image = nib.load(data_dir / "ms_lesions" / "masks_raw" / "patient07.nii.gz")
    mask = np.asanyarray(image.dataobj) > 0
    centre = np.argwhere(mask).mean(axis=0).astype(int)
    crop = tuple(slice(max(0, c - r), c + r) for c, r in zip(centre, (40, 60, 60), strict=True))
    assert mask[crop].any()
    return mask[crop], tuple(float(size) for size in image.header.get_zooms()[:3])


@pytest.mark.parametrize("convention", ["half", "kervadec"])
def test_real_lesions_are_within_a_ten_thousandth_mm_of_scipy(lesions, convention):
    mask, spacing = lesions
    maps = signed_distance_map(mask[None].astype(np.uint8), 2, spacing, convention)
    expected = oracles.signed_map(mask, spacing, convention, distance=oracles.scipy_distance)
    assert np.abs(maps[1] - expected).max() <= 1e-4


def test_clip_is_exact_on_real_lesions(lesions):
    mask, spacing = lesions
    labels = mask[None].astype(np.uint8)
    clipped = signed_distance_map(labels, 2, spacing, clip=8.0)
    np.testing.assert_array_equal(clipped, np.clip(signed_distance_map(labels, 2, spacing), -8, 8))
