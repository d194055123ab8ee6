"""Synthetic membranes: closed in the truth, open in the image where they fade."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from monai_boundary.datasets import membrane_phantom
from monai_boundary.metrics import instance_scores

CASES = [
    {"shape": (96, 128)},
    {"shape": (64, 64), "cell_size": 16, "width": 2},
    {"shape": (20, 48, 40), "cell_size": 20},
    {"shape": (14, 48, 48), "spacing": (2.0, 1.0, 1.0), "cell_size": 24, "width": 4},
]


@pytest.mark.parametrize("settings", CASES, ids=str)
def test_cells_are_the_components_between_closed_membranes(settings):
    phantom = membrane_phantom(1, **settings)
    parts, count = ndimage.label(phantom.ids > 0)
    assert count == phantom.ids.max() > 8
    assert all(len(np.unique(phantom.ids[parts == part])) == 1 for part in range(1, count + 1))
    assert phantom.image.shape == phantom.ids.shape == settings["shape"]
    assert (phantom.image.dtype, phantom.ids.dtype, phantom.membrane.dtype) == (np.float32, np.int32, np.uint8)
    assert 0 <= phantom.image.min() < phantom.image.max() <= 1
    assert ((phantom.membrane == 1) == (phantom.ids == 0)).all()


def test_no_cell_is_a_speck():
    sizes = [np.bincount(membrane_phantom(seed, (20, 48, 40), cell_size=20).ids.ravel()).min() for seed in range(6)]
    assert min(sizes) >= 12


@pytest.mark.parametrize("gaps", [0.0, 0.1, 0.5])
def test_the_wished_share_of_the_membranes_fades(gaps):
    phantom = membrane_phantom(2, gaps=gaps)
    assert phantom.faded.sum() / phantom.membrane.sum() == pytest.approx(gaps, abs=2e-3)
    assert not (phantom.faded & (phantom.ids > 0)).any()


@pytest.mark.parametrize("width", [3.0, 6.0, 8.0])
def test_membranes_have_the_wished_thickness(width):
    phantom = membrane_phantom(3, cell_size=48, width=width)
    rim = phantom.membrane & (ndimage.distance_transform_edt(phantom.membrane) <= 1)
    # a stripe has two rims; the corners where three meet add a little
    assert 2 * phantom.membrane.sum() / rim.sum() == pytest.approx(1.1 * width, rel=0.1)


def test_grey_values_leak_through_the_faded_membranes_only():
    closed, leaky = (membrane_phantom(5, (128, 128), gaps=gaps, noise=0.0) for gaps in (0.0, 0.3))
    merges = []
    for phantom in (closed, leaky):
        found = ndimage.label(phantom.image > 0.45)[0]
        merges.append(instance_scores(found, phantom.ids).voi_merge)
    assert merges[0] < 0.01
    assert merges[1] > 1.0


def test_noise_is_that_of_the_argument():
    quiet, noisy = (membrane_phantom(6, noise=noise).image for noise in (0.0, 0.05))
    assert (noisy - quiet).std() == pytest.approx(0.05, rel=0.05)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"shape": (64,)}, r"shape must hold 2 or 3 integers >= 8, got \(64,\)"),
        ({"shape": (64, 7)}, r"integers >= 8, got \(64, 7\)"),
        ({"spacing": (1.0,)}, r"spacing must hold one finite value > 0 per spatial axis \(2\), got \(1.0,\)"),
        ({"spacing": (1.0, np.nan)}, "one finite value > 0"),
        ({"width": 1.5}, r"width must be at least 2 voxels \(2\)"),
        ({"width": 20.0}, r"at most half of cell_size \(16\), got 20"),
        ({"gaps": 1.0}, r"gaps must lie in \[0, 0.9\], got 1.0"),
        ({"noise": -1.0}, r"noise must be finite and >= 0, got -1.0"),
        ({"shape": (8, 8), "cell_size": 90.0}, r"cell_size must leave room for two cells in \(8, 8\) voxels, got 90"),
    ],
)
def test_wrong_settings_of_phantoms_are_refused(settings, text):
    with pytest.raises(ValueError, match=text):
        membrane_phantom(0, **settings)
