"""Synthetic buildings: one in each image, some cut by its edge, none found by its brightness."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, label
from scipy.spatial import ConvexHull

from monai_boundary.datasets import BuildingPhantoms, building_phantom
from monai_boundary.datasets.phantoms.buildings import PRIMITIVES


def touches_edge(mask: np.ndarray) -> bool:
    return bool(mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any())


@pytest.mark.parametrize("index", range(20))
def test_an_image_holds_one_building_of_fair_size_at_the_edge_or_off_it(index: int) -> None:
    phantom = BuildingPhantoms(20, shape=(96, 128)).phantom(index)
    assert phantom.image.shape == (3, 96, 128)
    assert (phantom.image.dtype, phantom.mask.dtype) == (np.float32, np.uint8)
    assert 0 <= phantom.image.min() < phantom.image.max() <= 1
    assert 0.01 < phantom.mask.mean() < 0.3
    assert touches_edge(phantom.mask) == phantom.at_edge
    if not phantom.at_edge:
        assert label(phantom.mask, np.ones((3, 3)))[1] == 1


def test_outlines_take_turns_and_a_quarter_lies_at_the_edge() -> None:
    taken = map(BuildingPhantoms(shape=(64, 64)).phantom, range(80))
    kinds = Counter((phantom.primitive, phantom.at_edge) for phantom in taken)
    assert kinds == {(name, edge): 4 if edge else 12 for name in PRIMITIVES for edge in (False, True)}
    drawn = [building_phantom(seed, (64, 64)) for seed in range(100)]
    assert 15 <= sum(phantom.at_edge for phantom in drawn) <= 35
    assert {phantom.primitive for phantom in drawn} == set(PRIMITIVES)


# Area over that of the convex hull, which no turn and no stretching along the axes changes; from the corners by hand.
SOLIDITY = {"rectangle": 1.0, "l_shape": 0.67 / 0.835, "t_shape": 0.64 / 0.82, "triangle": 1.0, "disc": 1.0}


@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_an_outline_is_as_convex_as_its_name_says(primitive: str) -> None:
    phantom = building_phantom(5, primitive=primitive, at_edge=False)
    pixels = np.argwhere(phantom.mask)
    corners = np.concatenate([pixels + step for step in ((0, 0), (0, 1), (1, 0), (1, 1))])
    assert len(pixels) / ConvexHull(corners).volume == pytest.approx(SOLIDITY[primitive], abs=0.05)


def test_no_grey_level_finds_the_building_but_its_outline_is_seen() -> None:
    scores, steps = [], []
    for index in range(20):
        phantom = BuildingPhantoms(20).phantom(index)
        grey, mask = phantom.image.mean(0), phantom.mask > 0
        found = [sign * grey > sign * level for sign in (-1, 1) for level in np.linspace(0.1, 0.9, 41)]
        scores.append(max((one & mask).sum() / (one | mask).sum() for one in found))
        ring = binary_dilation(mask, iterations=8) & ~mask
        steps.append(abs(grey[mask].mean() - grey[ring].mean()))
    assert np.mean(scores) < 0.35
    assert np.mean(steps) > 0.08


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shape": (32, 256)}, r"shape must hold 2 integers >= 64, got \(32, 256\)"),
        ({"primitive": "star"}, r"primitive must be one of 'rectangle', .* got 'star'"),
    ],
)
def test_unusable_settings_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        building_phantom(0, **settings)
