"""Surface elements: areas by closed form, the cases of DeepMind's own suite, and the way through every caller.

tests/peers/test_deepmind.py compares with the package itself where it is installed.
"""

from __future__ import annotations

import itertools
import math

import nibabel
import numpy as np
import pytest
import torch
from scipy import ndimage

from monai_boundary.evaluation import EvaluationSettings, evaluate_folder
from monai_boundary.metrics import ProtocolMetric, SurfaceDistances, dice_score, score_pair, surface_distances
from monai_boundary.metrics.surface_elements import element_areas, element_codes, object_elements


def area(mask: np.ndarray, spacing) -> float:
    return float(element_areas(spacing)[element_codes(mask)].sum())


def box(shape, *sides) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[tuple(slice(low, high) for low, high in sides)] = True
    return mask


# Areas


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (3.0, 2.0, 0.5)])
def test_a_box_has_its_faces_less_the_edges_and_corners_that_are_cut(spacing):
    counts, size = (4, 5, 6), np.array(spacing)
    mask = box((8, 9, 10), *((2, 2 + count) for count in counts))
    flat = (np.array(counts) - 1) * size  # between the centres of the outermost voxels
    faces = 2 * (flat.prod() / flat).sum()
    edges = sum(4 * flat[axis] * math.hypot(*np.delete(size, axis)) / 2 for axis in range(3))
    corner = np.linalg.norm(np.cross((-size[0] / 2, size[1] / 2, 0), (-size[0] / 2, 0, size[2] / 2))) / 2
    assert area(mask, spacing) == pytest.approx(faces + edges + 8 * corner)


def test_a_circle_and_a_ball_come_close_to_their_size():
    grid = np.indices((90, 90)) - 44.7
    assert area(np.hypot(*grid) < 40, (1.0, 1.0)) == pytest.approx(2 * math.pi * 40, rel=0.06)
    ball = np.linalg.norm(np.indices((50, 50, 50)) - 24.6, axis=0) < 20
    assert area(ball, (1.0, 1.0, 1.0)) == pytest.approx(4 * math.pi * 400, rel=0.1)


@pytest.mark.parametrize("ndim", [2, 3])
def test_areas_do_not_depend_on_how_a_neighbourhood_is_turned(ndim):
    sizes = element_areas((1.0,) * ndim)
    for code in range(1, 2 ** (2**ndim) - 1):
        cube = np.array([int(bit) for bit in f"{code:0{2**ndim}b}"]).reshape((2,) * ndim)
        found = []
        for axes, *flips in itertools.product(itertools.permutations(range(ndim)), *[(1, -1)] * ndim):
            turned = cube.transpose(axes)[tuple(slice(None, None, flip) for flip in flips)]
            found.append(sizes[int("".join(map(str, turned.ravel())), 2)])
        assert max(found) == pytest.approx(min(found))
        assert min(found) > 0
    assert sizes[0] == sizes[-1] == 0


# DeepMind's own cases


def directed(found: SurfaceDistances, tolerance: float) -> dict[str, float]:
    """The figures that DeepMind's suite asks for, target first, by its conventions for an empty side."""
    row: dict[str, float] = {}
    areas = found.areas or (np.empty(0), np.empty(0))
    for name, distances, area, own, other in (
        ("target", found.target_to_pred, areas[1], found.target_empty, found.pred_empty),
        ("pred", found.pred_to_target, areas[0], found.pred_empty, found.target_empty),
    ):
        row[f"average {name}"] = math.nan if own else math.inf if other else float(np.average(distances, weights=area))
        near = area[distances <= tolerance * (1 + 1e-5)].sum() if len(area) else 0.0
        row[f"overlap {name}"] = math.nan if own else float(near / area.sum()) if len(area) else 0.0
    missing = found.pred_empty or found.target_empty
    row["hausdorff"] = math.inf if missing else found.hausdorff_mm()
    row["hausdorff 95"] = math.inf if missing else found.hausdorff_mm(95)
    row["surface dice"] = found.surface_dice(tolerance)
    return row


NAMES = (
    "average target",
    "average pred",
    "hausdorff",
    "hausdorff 95",
    "overlap target",
    "overlap pred",
    "surface dice",
)
NAN, INF = math.nan, math.inf


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize(
    ("target_has", "pred_has", "expected"),
    [
        (True, True, (1.5, 1.5, 2.0, 2.0, 0.5, 0.5, 0.5)),
        (True, False, (INF, NAN, INF, INF, 0.0, NAN, 0.0)),
        (False, True, (NAN, INF, INF, INF, NAN, 0.0, 0.0)),
        (False, False, (NAN, NAN, INF, INF, NAN, NAN, NAN)),
    ],
)
def test_single_voxels_two_mm_apart_and_empty_masks(ndim, target_has, pred_has, expected):
    shape, place, spacing = (128,) * ndim, (50, 60, 70)[-ndim:], (3.0, 2.0, 1.0)[-ndim:]
    target, pred = np.zeros((2, *shape), bool)
    target[place] = target_has
    pred[(*place[:-1], place[-1] + 2)] = pred_has
    found = surface_distances(pred, target, spacing, definition="surface_elements")
    row = directed(found, 1.0)
    assert [row[name] for name in NAMES] == pytest.approx(list(expected), nan_ok=True)
    assert dice_score(pred, target) == pytest.approx(0.0 if target_has or pred_has else NAN, nan_ok=True)
    if target_has and pred_has:
        half = 2 ** (ndim - 1)
        for side in (found.target_to_pred, found.pred_to_target):
            assert sorted(side) == [1.0] * half + [2.0] * half


def test_two_squares_of_which_one_is_a_row_longer():
    vertical, horizontal = 2.0, 1.0
    diagonal = math.hypot(vertical, horizontal) / 2
    target, pred = box((6, 6), (1, 3), (1, 3)), box((6, 6), (1, 4), (1, 3))
    found = surface_distances(pred, target, (vertical, horizontal), definition="surface_elements")
    pairs = [sorted(zip(*side, strict=True)) for side in
             zip((found.pred_to_target, found.target_to_pred), found.areas, strict=True)]  # fmt: skip
    corners = [(0, diagonal)] * 2
    assert pairs[1] == pytest.approx(np.array(sorted(
        [*corners, *corners, (0, horizontal), *[(0, vertical)] * 2, (horizontal, horizontal)]
    )))  # fmt: skip
    assert pairs[0] == pytest.approx(np.array(sorted(
        [*corners, (0, horizontal), *[(0, vertical)] * 4, (vertical, diagonal), (vertical, diagonal),
         (vertical, horizontal)]
    )))  # fmt: skip


def test_two_blocks_at_the_edge_of_which_one_is_a_slice_longer():
    target, pred = box((100,) * 3, (0, 50), (0, 100), (0, 100)), box((100,) * 3, (0, 51), (0, 100), (0, 100))
    row = directed(surface_distances(pred, target, (2.0, 1.0, 1.0), definition="surface_elements"), 1.0)
    expected = (0.322, 0.339, 2.0, 2.0, 0.842, 0.830, 0.836)
    assert [row[name] for name in NAMES] == pytest.approx(list(expected), abs=5e-4)
    assert dice_score(pred, target) == pytest.approx(0.990, abs=5e-4)


@pytest.mark.parametrize(
    ("shapes", "spacing", "text"),
    [
        (((2, 2, 2), (2, 2)), (1, 1), "same shape"),
        (((2, 2), (2, 2, 2)), (1, 1), "same shape"),
        (((2, 2), (2, 2)), (1, 1, 1), "spacing must hold"),
        (((2,) * 4, (2,) * 4), (1,) * 4, r"pred must be \(\*S\) with 1 to 3 spatial axes"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(shapes, spacing, text):
    with pytest.raises(ValueError, match=text):
        surface_distances(*(np.zeros(shape, bool) for shape in shapes), spacing, definition="surface_elements")


# Through the callers


def test_average_and_percentile_weigh_by_area_and_a_flat_voxel_surface_does_not():
    target, pred = box((30, 40, 30), (5, 20), (5, 30), (5, 20)), box((30, 40, 30), (5, 20), (5, 33), (5, 20))
    spacing = (4.0, 1.0, 1.0)
    found = surface_distances(pred, target, spacing, definition="surface_elements")
    areas, distances = np.concatenate(found.areas), np.concatenate([found.pred_to_target, found.target_to_pred])
    assert found.average_mm() == pytest.approx((areas * distances).sum() / areas.sum())
    assert found.hausdorff_mm() == 3.0
    for rank in (0, 50, 90, 100):
        beyond = max(
            area[side > found.hausdorff_mm(rank) * (1 + 1e-6)].sum() / area.sum()
            for side, area in zip((found.pred_to_target, found.target_to_pred), found.areas, strict=True)
        )
        assert beyond <= 1 - rank / 100 + 1e-9
    voxels = surface_distances(pred, target, spacing)
    assert voxels.areas is None
    assert abs(voxels.surface_dice(1) - found.surface_dice(1)) > 0.01
    itself = surface_distances(pred, pred, spacing, definition="surface_elements")
    assert (itself.hausdorff_mm(95), itself.average_mm(), itself.surface_dice(0)) == (0, 0, 1)


def test_the_percentile_is_that_of_the_area_and_not_of_the_elements():
    """A bar of 4 voxels of 10 mm by 20 of 1 mm gets 3 more at its end: few long elements lie there, 3 mm off."""
    rows, width, height = 20, 10.0, 1.0
    target, pred = box((30, 12), (2, 2 + rows), (3, 7)), box((30, 12), (2, 5 + rows), (3, 7))
    found = surface_distances(pred, target, (height, width), definition="surface_elements")
    corners, end, sides = 4 * math.hypot(height, width) / 2, 3 * width, 2 * (rows + 3 - 1) * height
    beyond = (end + corners / 2) / (2 * end + corners + sides)  # of the area of pred
    at_3_mm = found.pred_to_target > 2.5
    assert (at_3_mm.sum(), len(at_3_mm)) == (5, 54)
    assert found.areas[0][at_3_mm].sum() / found.areas[0].sum() == pytest.approx(beyond)
    below, above = 100 * (1 - beyond) - 0.1, 100 * (1 - beyond) + 0.1  # 64.3 percent of the area, 90.7 of the elements
    assert (found.hausdorff_mm(below), found.hausdorff_mm(above)) == pytest.approx((2.0, 3.0))
    assert np.percentile(found.pred_to_target, above) == 0


def test_metric_protocol_and_folder_measure_by_the_same_definition(tmp_path):
    target, pred = box((12, 14, 9), (2, 8), (3, 9), (2, 6)), box((12, 14, 9), (2, 9), (3, 11), (2, 6))
    spacing, names = (1.5, 1.0, 0.5), ("hd95_mm", "hausdorff_mm", "average_mm", "surface_dice")
    found = surface_distances(pred, target, spacing, definition="surface_elements")
    expected = [found.hausdorff_mm(95), found.hausdorff_mm(), found.average_mm(), found.surface_dice(1.0)]
    one = score_pair("surface", pred, target, spacing, scores=names, definition="surface_elements")
    assert [one[name] for name in names] == pytest.approx(expected)
    metric = ProtocolMetric("surface", names, definition="surface_elements")
    metric(*(torch.from_numpy(mask)[None, None] for mask in (pred, target)), spacing=spacing)
    assert [float(value) for value in metric.aggregate()] == pytest.approx(expected)
    for folder, mask in (("found", pred), ("labels", target)):
        (tmp_path / folder).mkdir()
        image = nibabel.Nifti1Image(mask.astype(np.uint8), np.diag([*spacing, 1]))
        nibabel.save(image, tmp_path / folder / "a.nii.gz")
    settings = EvaluationSettings(definition="surface_elements")
    result = evaluate_folder(tmp_path / "found", tmp_path / "labels", settings, progress=False)
    assert [result.rows[0].scores[name] for name in names] == pytest.approx(expected)
    assert result.summary()["settings"]["definition"] == "surface_elements"


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda m: surface_distances(m, m, definition="surfels"), "must be one of 'voxels', 'surface_elements', got"),
        (lambda m: surface_distances(m, m, None, 0, "surface_elements"), "through_plane must be None for definition="),
        (lambda m: score_pair("wmh", m, m, None, definition="surface_elements"), "'voxels' for the protocol 'wmh'"),
        (lambda _: ProtocolMetric("wmh", definition="surface_elements"), "'voxels' for the protocol 'wmh', got"),
        (lambda _: EvaluationSettings("wmh", definition="surface_elements"), "'voxels' for the protocol 'wmh', got"),
    ],
)  # fmt: skip
def test_a_definition_that_does_not_fit_is_refused(call, text):
    with pytest.raises(ValueError, match=text):
        call(np.ones((4, 5, 3), bool))


@pytest.mark.parametrize("shape", [(9, 14), (7, 9, 8)])
def test_elements_of_objects_are_those_of_the_mask_each_with_its_object(shape, rng) -> None:
    ids, count = ndimage.label(rng.random(shape) > 0.85, np.ones((3,) * len(shape)))
    places, codes, owners = object_elements(ids)
    for one in range(1, count + 1):
        expected = element_codes(ids == one)
        found = np.zeros_like(expected)
        found[tuple(places[owners == one].T)] = codes[owners == one]
        np.testing.assert_array_equal(found, np.where(expected == 2**2 ** len(shape) - 1, 0, expected))
