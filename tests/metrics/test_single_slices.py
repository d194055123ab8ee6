"""An axis with one voxel has no extent: arrays with such axes score as those without them, in every metric."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
import torch
from scipy.spatial import cKDTree

from monai_boundary.metrics import (
    PROTOCOLS,
    BoundaryF1Metric,
    LesionSettings,
    ProtocolMetric,
    boundary_f1,
    lesion_scores,
    score_pair,
    surface_distances,
)

SPACING, THICK = (0.7, 1.3), 5.0
DEFINITIONS = ("voxels", "surface_elements")


def discs() -> tuple[np.ndarray, np.ndarray]:
    grid = np.indices((70, 70)) - 35
    return np.hypot(*grid) <= 30, np.hypot(*grid) <= 20


def in_space(mask: np.ndarray, axis: int) -> np.ndarray:
    return np.expand_dims(mask, axis)


def reduced(found) -> list[float]:
    distances = [found.hausdorff_mm(), found.hausdorff_mm(95), found.average_mm(), found.diagonal_mm]
    return [*distances, found.surface_dice(1.0)]


@pytest.mark.parametrize("definition", DEFINITIONS)
@pytest.mark.parametrize("axis", range(3))
def test_surface_distances_are_those_of_the_plane(axis: int, definition: str) -> None:
    sizes = tuple(np.insert(SPACING, axis, THICK))
    found = surface_distances(*(in_space(mask, axis) for mask in discs()), sizes, definition=definition)
    assert reduced(found) == pytest.approx(reduced(surface_distances(*discs(), SPACING, definition=definition)))
    assert found.average_mm() > 8  # of discs with radii of 20 and 30
    assert found.surface_dice(1.0) == 0


@pytest.mark.parametrize("definition", DEFINITIONS)
@pytest.mark.parametrize("shape", [(40,), (1, 40), (40, 1), (1, 40, 1), (40, 1, 1)])
def test_the_surface_of_a_line_is_its_two_ends(shape: tuple[int, ...], definition: str) -> None:
    pred, truth = np.zeros((2, 40), bool)
    pred[5:35], truth[10:32] = True, True
    sizes = [2.0 if count > 1 else 9.0 for count in shape]
    found = surface_distances(pred.reshape(shape), truth.reshape(shape), sizes, definition=definition)
    assert found.average_mm() == pytest.approx((10 + 6) / 2)
    assert found.hausdorff_mm() == 10
    assert found.surface_dice(6.0) == 0.5
    assert found.diagonal_mm == 80
    each = lesion_scores(pred.reshape(shape), truth.reshape(shape), sizes, definition=definition)
    assert each.surface_dices.tolist() == [0.0]
    assert each.centres[0].tolist() == [20.5 if count > 1 else 0.0 for count in shape]


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_one_voxel_alone_is_its_own_surface(definition: str) -> None:
    one = np.ones((1, 1, 1), bool)
    found = surface_distances(one, one, (2.0, 3.0, 4.0), definition=definition)
    assert (found.average_mm(), found.surface_dice(0.0), found.diagonal_mm) == (0.0, 1.0, 4.0)
    assert math.isnan(surface_distances(~one, ~one).average_mm())


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("axis", range(3))
def test_protocols_score_the_plane(axis: int, protocol: str) -> None:
    sizes = tuple(np.insert(SPACING, axis, 1.0))  # so that volumes are the same, too
    pairs = [in_space(mask, axis) for mask in discs()]
    for slice_axis, empty in itertools.product(range(3), (False, True)):
        pred, flat = (mask & (not empty) for mask in (pairs[0], discs()[0]))
        found = score_pair(protocol, pred, pairs[1], sizes, slice_axis=slice_axis)
        expected = score_pair(protocol, flat, discs()[1], SPACING)
        assert found == pytest.approx(expected, rel=1e-6, nan_ok=True)
    metric = ProtocolMetric(protocol, tuple(PROTOCOLS[protocol]))
    metric(*(torch.from_numpy(mask)[None, None] for mask in pairs), spacing=sizes)
    found = dict(zip(metric.scores, map(float, metric.aggregate()), strict=True))
    assert found == pytest.approx(score_pair(protocol, *discs(), SPACING), rel=1e-6, nan_ok=True)


def test_an_image_is_one_slice_of_the_wmh_challenge() -> None:
    masks = discs()
    points = []
    for mask in masks:  # the challenge erodes a slice by the 3 x 3 box
        image = sitk.GetImageFromArray(np.pad(mask, 1).astype(np.uint8))
        edge = sitk.GetArrayFromImage(image) - sitk.GetArrayFromImage(sitk.BinaryErode(image, (1, 1), sitk.sitkBox))
        points.append(np.argwhere(edge) * SPACING)
    gaps = [cKDTree(points[1 - side]).query(points[side])[0] for side in (0, 1)]
    expected = max(np.percentile(gap, 95) for gap in gaps)
    assert score_pair("wmh", *masks, SPACING)["hd95_mm"] == pytest.approx(expected, rel=1e-6)


def test_corners_are_neighbours_in_the_plane_for_connectivity_2() -> None:
    pair = [in_space(mask, 0) for mask in discs()]
    each = lesion_scores(*pair, settings=LesionSettings(connectivity=2))
    assert each.lesion_hd95_mm == pytest.approx(lesion_scores(*discs()).lesion_hd95_mm)
    with pytest.raises(ValueError, match="connectivity must be 2 for definition='surface_elements', got 1"):
        lesion_scores(*pair, settings=LesionSettings(connectivity=1))


@pytest.mark.parametrize("image_edge", [False, True])
@pytest.mark.parametrize("axis", range(3))
def test_the_boundary_f1_is_that_of_the_plane(axis: int, image_edge: bool) -> None:
    sizes = tuple(np.insert(SPACING, axis, THICK))
    pred, target = discs()[0], np.roll(discs()[0], 1, 1)
    valid = np.ones_like(pred)
    valid[:20] = False
    given = [in_space(mask, axis) for mask in (pred, target, valid)]
    found = boundary_f1(*given[:2], 1.3, sizes, valid=given[2], image_edge=image_edge)
    assert found == boundary_f1(pred, target, 1.3, SPACING, valid=valid, image_edge=image_edge)
    metric = BoundaryF1Metric(1.3, "f1", image_edge)
    metric(*(torch.from_numpy(mask)[None, None] for mask in given[:2]), spacing=sizes)
    flat = boundary_f1(pred, target, 1.3, SPACING, image_edge=image_edge).f1
    assert float(metric.aggregate()) == pytest.approx(flat)
    assert 0 < flat < 1
