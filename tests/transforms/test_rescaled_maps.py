"""The factor of `RescaleDistanceMap` is the zoom since the map was made, whatever spacing it was measured with."""

from __future__ import annotations

import math

import monai.transforms as mt
import numpy as np
import pytest
import torch
from monai.data import MetaTensor, decollate_batch, list_data_collate
from scipy.ndimage import distance_transform_edt

from monai_boundary.transforms import RescaleDistanceMap, RescaleDistanceMapd, SignedDistanceMap, SignedDistanceMapd
from tests.transforms.images import on_grid, with_affine

KEYS = ["label", "distance_map"]
CENTRE_MM = {"num_classes": 2, "preset": None, "convention": "centre"}
LINEAR = [[0, 0, 3.0], [-1, 0, 0], [0, -0.75, 0]]


def box(shape: tuple[int, ...], affine: np.ndarray | None = None) -> MetaTensor:
    """`(1, *S)` with a box that no flip or turn maps onto itself."""
    labels = np.zeros((1, *shape), np.uint8)
    labels[(0, *(slice(size // 4, size // 2 + axis) for axis, size in enumerate(shape)))] = 1
    return MetaTensor(torch.from_numpy(labels), affine=torch.eye(4) if affine is None else torch.as_tensor(affine))


def signed(mask: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    """Distance to the nearest voxel of the other side, in mm, negative inside: by SciPy."""
    outside, inside = (distance_transform_edt(part, sampling=spacing) for part in (mask == 0, mask != 0))
    return outside - inside


def zoomed(factor: float | tuple[float, ...]) -> mt.Zoomd:
    return mt.Zoomd(KEYS, factor, mode=["nearest-exact", "bilinear"], padding_mode="edge")


@pytest.mark.parametrize(
    ("steps", "shape", "spacing"),
    [
        (np.diag([2.0, 2, 2, 1]), (12, 12, 12), (1.0, 1.0, 1.0)),
        (np.eye(4), (14, 12), (0.3, 0.3)),  # as a PNG is read
        (np.eye(3), (14, 12), (0.3, 0.3)),
        (np.eye(4), (10, 12, 14), (3.0, 1.0, 1.0)),
        (np.diag([1.0, 1, 3000, 1]), (10, 12, 14), (1.0, 1.0, 3.0)),
    ],
)
def test_a_map_that_was_never_zoomed_is_left_alone_whatever_spacing_it_was_measured_with(steps, shape, spacing):
    label = box(shape, steps)
    maps = SignedDistanceMap(**CENTRE_MM, spacing=spacing)(label)
    rescaled = RescaleDistanceMap()(maps)
    np.testing.assert_allclose(rescaled[1], signed(label[0].numpy(), spacing), rtol=1e-6)
    turned = RescaleDistanceMap()(mt.Rotate90(k=1, spatial_axes=(0, 1))(mt.Flip(0)(maps)))
    np.testing.assert_allclose(turned[1], np.rot90(maps[1].numpy()[::-1]), rtol=1e-6)


@pytest.mark.parametrize(
    "affine", [np.diag([3.0, 1, 0.75, 1]), np.block([[np.array(LINEAR), np.ones((3, 1))], [0, 0, 0, 1]])]
)
@pytest.mark.parametrize(
    "move",
    [
        mt.Rotate90d(KEYS, k=1, spatial_axes=(0, 1)),
        mt.Rotate90d(KEYS, k=3, spatial_axes=(0, 2)),
        mt.RandRotate90d(KEYS, prob=1, max_k=3, spatial_axes=(1, 2)),
        mt.Orientationd(KEYS, axcodes="SRA", labels=(("L", "R"), ("P", "A"), ("I", "S"))),
        mt.Transposed(KEYS, (0, 3, 1, 2)),
        mt.RandAxisFlipd(KEYS, prob=1),
        mt.Compose([mt.Rotate90d(KEYS, 1, (0, 2)), mt.SpatialCropd(KEYS, roi_start=(1, 2, 1), roi_end=(9, 9, 9))]),
    ],
)  # fmt: skip
def test_turns_of_a_volume_with_three_spacings_are_no_zoom(affine, move):
    data = SignedDistanceMapd("label", **CENTRE_MM)({"label": box((10, 12, 14), affine)})
    moved = move(data)
    rescaled = RescaleDistanceMapd("distance_map")(moved)["distance_map"]
    assert torch.equal(rescaled.as_tensor(), moved["distance_map"].as_tensor())
    if "Crop" in str(vars(move)):
        return
    spacing = tuple(np.linalg.norm(moved["label"].affine.numpy()[:3, :3], axis=0))
    if not isinstance(move, mt.Transposed):  # which leaves the affine of the grid before
        np.testing.assert_allclose(rescaled[1], signed(moved["label"][0].numpy(), spacing), rtol=1e-6)


@pytest.mark.parametrize("spacing", [(3.0, 1.0, 1.0), (1.0, 1.0, 1.0), (0.5, 2.0, 0.7)])
@pytest.mark.parametrize("zoom", [0.75, 1.25])
def test_a_zoom_is_found_between_turns_and_beside_a_given_spacing(spacing, zoom):
    moves = mt.Compose([mt.Rotate90d(KEYS, 1, (0, 1)), zoomed(zoom), mt.Flipd(KEYS, 0), mt.Rotate90d(KEYS, 1, (1, 2))])
    label = with_affine(box((16, 16, 16)).numpy(), *np.diag([2.0, 0.9, 1.1]))
    moved = moves(SignedDistanceMapd("label", **CENTRE_MM, spacing=spacing)({"label": label}))["distance_map"]
    once = RescaleDistanceMap()(moved)
    torch.testing.assert_close(once.as_tensor(), moved.as_tensor() * zoom, rtol=1e-5, atol=1e-6)
    # (0, 1) is swapped, then (1, 2)
    assert once.meta["distance_map_spacing"] == pytest.approx([spacing[1], spacing[2], spacing[0]])
    torch.testing.assert_close(RescaleDistanceMap()(once), once)
    again = zoomed(zoom)({"label": once, "distance_map": once})["distance_map"]
    torch.testing.assert_close(RescaleDistanceMap()(again).as_tensor(), again.as_tensor() * zoom, rtol=1e-5, atol=1e-6)


def test_a_rotation_by_an_angle_is_no_zoom_where_the_voxels_are_square_and_refused_where_they_are_not():
    turn = mt.Rotated(KEYS, (0.0, 0.0, 0.5), mode=["nearest", "bilinear"], padding_mode="border")
    square = turn(SignedDistanceMapd("label", **CENTRE_MM)({"label": box((12, 12, 6), np.diag([1.0, 1, 3, 1]))}))
    torch.testing.assert_close(RescaleDistanceMap()(square["distance_map"]), square["distance_map"])
    sheared = turn(SignedDistanceMapd("label", **CENTRE_MM)({"label": box((12, 12, 6), np.diag([3.0, 1, 1, 1]))}))
    # by hand: the singular values of S R S^-1 are t and 1 / t, with t^2 + 1 / t^2 = 2 cos^2 + (9 + 1 / 9) sin^2
    trace = 2 * math.cos(0.5) ** 2 + (9 + 1 / 9) * math.sin(0.5) ** 2
    largest = math.sqrt((trace + math.sqrt(trace**2 - 4)) / 2)
    text = rf"got factors \[{1 / largest:.4f}, 1.0, {largest:.4f}\].*spacing=\[3.0, 1.0, 1.0\]"
    with pytest.raises(ValueError, match=text):
        RescaleDistanceMap()(sheared["distance_map"])


def test_a_batch_has_a_factor_for_each_of_its_maps():
    cases = [(1.0, (1.0, 1.0)), (1.25, (0.3, 0.3)), (0.75, (2.0, 2.0))]
    made = [SignedDistanceMapd("label", **CENTRE_MM, spacing=spacing)({"label": box((16, 16))}) for _, spacing in cases]
    moved = [data if zoom == 1 else zoomed(zoom)(data) for data, (zoom, _) in zip(made, cases, strict=True)]
    alone = [RescaleDistanceMap()(data["distance_map"]) for data in moved]
    maps = list_data_collate([{"distance_map": data["distance_map"]} for data in moved])["distance_map"]
    batch = RescaleDistanceMap()(maps)
    assert batch.shape == (3, 2, 16, 16)
    for index, (zoom, _) in enumerate(cases):
        torch.testing.assert_close(batch[index].as_tensor(), maps[index].as_tensor() * zoom, rtol=1e-5, atol=1e-6)
    for part, one in zip(decollate_batch(batch), alone, strict=True):
        torch.testing.assert_close(part.as_tensor(), one.as_tensor())
        torch.testing.assert_close(RescaleDistanceMap()(part).as_tensor(), one.as_tensor())
    torch.testing.assert_close(RescaleDistanceMap()(batch).as_tensor(), batch.as_tensor())


def test_a_zoom_of_a_thin_patch_may_round_each_axis_to_whole_voxels_and_no_more():
    label = with_affine(box((24, 48, 48)).numpy(), *np.diag([2.0, 1.0, 1.0]))
    data = SignedDistanceMapd("label", **CENTRE_MM)({"label": label})
    crop = mt.RandSpatialCropd(KEYS, (16, 40, 40), random_size=False)
    for seed in range(40):
        zoom = mt.RandZoomd(KEYS, 1.0, 0.9, 1.1, mode=["nearest-exact", "trilinear"], padding_mode="edge")
        steps = mt.Compose([crop, zoom]).set_random_state(seed)
        moved = steps(data)["distance_map"]
        factors = (2.0, 1.0, 1.0) / moved.affine.numpy()[:3, :3].diagonal()
        rescaled = RescaleDistanceMap()(moved)
        torch.testing.assert_close(rescaled.as_tensor(), moved.as_tensor() * factors.mean(), rtol=1e-4, atol=1e-4)
    stretched = zoomed((1.2, 1.0, 1.0))(crop(data))["distance_map"]
    with pytest.raises(
        ValueError, match=r"same along every axis to 0\.0625, got factors .* or pass a larger tolerance="
    ):
        RescaleDistanceMap()(stretched)
    RescaleDistanceMap(tolerance=0.2)(stretched)
    few = mt.CenterSpatialCropd(KEYS, (4, 40, 40))(data)
    with pytest.raises(ValueError, match=r"same along every axis to 0\.1, got factors"):  # one voxel of four is 25 %
        RescaleDistanceMap()(zoomed((1.0, 1.25, 1.25))(few)["distance_map"])


def test_a_map_without_the_affine_of_its_making_or_with_a_flat_one_is_refused():
    maps = SignedDistanceMap(**CENTRE_MM)(on_grid(box((8, 8)).numpy(), (1.0, 1.0)))
    old = maps.clone()
    del old.meta["distance_map_affine"]  # a cache of an earlier version
    with pytest.raises(ValueError, match=r"must carry meta\['distance_map_affine'\], got none.*make it .*again"):
        RescaleDistanceMap()(old)
    fewer = maps.clone()
    fewer.affine = fewer.affine[:3, :3]
    with pytest.raises(ValueError, match=r"must have an affine of 4 x 4, as when it was made, got 3 x 3"):
        RescaleDistanceMap()(fewer)
    flat = SignedDistanceMap(**CENTRE_MM, spacing=(1, 1))(with_affine(box((8, 8)).numpy(), (0, 1), (0, 0)))
    torch.testing.assert_close(RescaleDistanceMap()(flat), flat)
    with pytest.raises(ValueError, match=r"must have been made with an invertible affine, got .*before SqueezeDimd"):
        RescaleDistanceMap()(mt.Flip(0)(flat))
