"""What happens to a map after it was made: caches, crops, flips, rotations, zooms, batches."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
from monai.data import CacheDataset, DataLoader, MetaTensor, PersistentDataset
from monai.transforms import (
    Compose,
    RandCropByPosNegLabeld,
    RandFlipd,
    RandRotate90d,
    RandRotated,
    RandSpatialCropd,
    RandZoomd,
)

from monai_boundary import BoundaryLoss, RescaleDistanceMap, RescaleDistanceMapd, SignedDistanceMap, SignedDistanceMapd
from tests.transforms.images import on_grid

KEYS = ["label", "distance_map"]
DROPS_META = "track_meta" in inspect.signature(PersistentDataset).parameters
SPACING = (3.0, 1.0, 1.0)


@pytest.fixture
def case() -> dict:
    """Two boxes on a (3, 1, 1) mm grid, and `index`, which says where each voxel came from."""
    labels = np.zeros((1, 8, 16, 18), np.uint8)
    labels[0, 2:5, 3:9, 4:9] = 1
    labels[0, 4:7, 10:14, 11:16] = 2
    index = np.arange(labels.size, dtype=np.float32).reshape(labels.shape)
    return {"label": on_grid(labels, SPACING), "index": on_grid(index, SPACING)}


def ball(radius: float, size: int, spacing: float) -> MetaTensor:
    offsets = (np.indices((size, size)) - size // 2) * spacing
    return on_grid((np.hypot(*offsets) < radius)[None].astype(np.uint8), (spacing, spacing))


@pytest.fixture
def counted(monkeypatch) -> list:
    """Counts the calls of the kernel by the transform."""
    from monai_boundary.transforms import distance_map as module

    calls, kernel = [], module.labels_distance_map
    monkeypatch.setattr(module, "labels_distance_map", lambda *a, **k: calls.append(1) or kernel(*a, **k))
    return calls


def pipeline() -> Compose:
    random = [RandSpatialCropd([*KEYS, "index"], roi_size=(4, 8, 8), random_size=False),
              RandFlipd([*KEYS, "index"], prob=0.5, spatial_axis=1)]  # fmt: skip
    return Compose([SignedDistanceMapd("label", num_classes=3, preset=None), *random])


def cached(kind: str, case: dict, folder) -> CacheDataset | PersistentDataset:
    if kind == "memory":
        return CacheDataset([case], pipeline(), progress=False)
    # MONAI's disk cache drops affine and meta unless told otherwise, from version 1.6 on
    settings = {"track_meta": True, "weights_only": False} if kind == "disk with meta" and DROPS_META else {}
    return PersistentDataset([case], pipeline(), cache_dir=folder, **settings)


@pytest.mark.parametrize("kind", ["memory", "disk", "disk with meta"])
def test_caches_keep_the_map_and_crop_it_afresh(kind, case, counted, tmp_path):
    full = SignedDistanceMap(3, preset=None)(case["label"])
    data = cached(kind, case, tmp_path)
    crops = [data[0] for _ in range(4)]
    assert len(counted) == 2  # one for `full`, one for the cache
    for crop in crops:
        expected = full.reshape(3, -1)[:, crop["index"].long().reshape(-1)]
        np.testing.assert_array_equal(crop["distance_map"].reshape(3, -1), expected)
    assert len({float(crop["index"].min()) for crop in crops}) > 1


@pytest.mark.parametrize("kind", ["memory", "disk with meta"])
def test_cached_map_can_be_rescaled(kind, case, tmp_path):
    data = cached(kind, case, tmp_path)
    for crop in (data[0], data[0]):
        torch.testing.assert_close(RescaleDistanceMap()(crop["distance_map"]), crop["distance_map"])


@pytest.mark.skipif(not DROPS_META, reason="MONAI before 1.6 keeps affine and meta in its disk cache")
def test_map_from_a_disk_cache_without_meta_is_refused_by_rescaling(case, tmp_path):
    data = cached("disk", case, tmp_path)
    RescaleDistanceMap()(data[0]["distance_map"])  # the first read makes the file and does not come from it
    with pytest.raises(ValueError, match=r"must carry meta\['distance_map_spacing'\], got none.*track_meta=True"):
        RescaleDistanceMap()(data[0]["distance_map"])


@pytest.mark.parametrize(
    "transform",
    [
        RandCropByPosNegLabeld([*KEYS, "index"], label_key="label", spatial_size=(4, 6, 6), num_samples=2),
        RandFlipd([*KEYS, "index"], prob=1.0, spatial_axis=(0, 2)),
        RandRotate90d([*KEYS, "index"], prob=1.0, max_k=3, spatial_axes=(1, 2)),
    ],
    ids=lambda transform: type(transform).__name__,
)
def test_crops_flips_and_quarter_turns_carry_the_map_exactly(case, transform):
    full = SignedDistanceMapd("label", num_classes=3, preset=None)(case)
    result = transform.set_random_state(3)(full)
    for sample in result if isinstance(result, list) else [result]:
        expected = full["distance_map"].reshape(3, -1)[:, sample["index"].long().reshape(-1)]
        np.testing.assert_array_equal(sample["distance_map"].reshape(3, -1), expected)
        torch.testing.assert_close(RescaleDistanceMap()(sample["distance_map"]), sample["distance_map"])


def test_rotation_with_border_padding_nearly_equals_the_map_of_the_rotated_label():
    label = ball(9, 41, 1.0)
    label[0, 8:20, 20:24] = 1  # a spur, so that the turn shows
    data = SignedDistanceMapd("label", num_classes=2, preset=None)({"label": label})
    turn = RandRotated(KEYS, range_x=(0.6, 0.6), prob=1, mode=["nearest", "bilinear"], padding_mode="border")
    result = turn.set_random_state(0)(data)
    error = np.abs(result["distance_map"] - SignedDistanceMap(2, preset=None)(result["label"]))[:, 6:-6, 6:-6]
    assert error.mean() < 0.4
    assert error.max() < 1.5
    assert (result["distance_map"][0, ::40, ::40] < 0).all()  # padded with the border: background in the corners


@pytest.mark.parametrize("zoom", [0.8, 1.3])
@pytest.mark.parametrize("spacing", [1.0, 2.5])
def test_rescaled_map_after_a_zoom_nearly_equals_the_map_of_the_zoomed_label(zoom, spacing):
    data = SignedDistanceMapd("label", num_classes=2, preset=None)({"label": ball(10 * spacing, 48, spacing)})
    zoomed = RandZoomd(KEYS, prob=1, min_zoom=zoom, max_zoom=zoom, mode=["nearest", "bilinear"], padding_mode="edge")
    result = Compose([zoomed.set_random_state(0), RescaleDistanceMapd("distance_map")])(data)
    recomputed = SignedDistanceMap(2, preset=None, spacing=(spacing, spacing))(result["label"])
    error = np.abs(result["distance_map"] - recomputed)[:, 6:-6, 6:-6] / spacing
    assert error.mean() < 0.4
    assert error.max() < 1.5


@pytest.mark.parametrize("options", [{"clip": 6.0}, {"clip": 6.0, "normalize": "clip"}])
@pytest.mark.parametrize("zoom", [0.8, 1.3])
def test_a_clipped_map_stays_clipped_when_it_is_rescaled(zoom, options):
    """Far from the object it has the value of the clip, as that of the zoomed label has, and near it the distance."""
    data = SignedDistanceMapd("label", num_classes=2, preset=None, **options)({"label": ball(10, 48, 1.0)})
    zoomed = RandZoomd(KEYS, prob=1, min_zoom=zoom, max_zoom=zoom, mode=["nearest", "bilinear"], padding_mode="edge")
    result = Compose([zoomed.set_random_state(0), RescaleDistanceMapd("distance_map")])(data)["distance_map"]
    limit = 1.0 if "normalize" in options else 6.0
    where = np.hypot(*(np.indices((48, 48)) - 24)) - zoom * 10  # mm from the rim of the zoomed ball
    assert (result[1][where > 8.5] == limit).all()
    assert (result[1][where < -8.5] == -limit).all()
    near = np.abs(where) < 4
    np.testing.assert_allclose(result[1][near] * 6 / limit, where[near], atol=1.2)


def test_only_the_outside_of_a_balanced_map_is_clipped_again():
    data = SignedDistanceMapd("label", num_classes=2, preset="robust")({"label": ball(10, 48, 1.0)})
    zoomed = RandZoomd(KEYS, prob=1, min_zoom=1.3, max_zoom=1.3, mode=["nearest", "bilinear"])(data)["distance_map"]
    rescaled = RescaleDistanceMap()(zoomed)
    assert rescaled[1].max() == 1
    inside = zoomed[1] < 0
    np.testing.assert_allclose(rescaled[1][inside] / zoomed[1][inside], 1.3, rtol=0.03)


def test_rescaling_twice_changes_nothing_more():
    data = SignedDistanceMapd("label", num_classes=2, preset=None)({"label": ball(10, 48, 1.0)})
    zoomed = RandZoomd(KEYS, prob=1, min_zoom=1.3, max_zoom=1.3, mode=["nearest", "bilinear"])(data)
    once = RescaleDistanceMap()(zoomed["distance_map"])
    factor = once[0, 24, 24] / zoomed["distance_map"][0, 24, 24]
    assert float(factor) == pytest.approx(1.3, rel=0.03)
    torch.testing.assert_close(RescaleDistanceMap()(once), once)


def test_anisotropic_zoom_is_refused():
    data = SignedDistanceMapd("label", num_classes=2, preset=None)({"label": ball(10, 48, 1.0)})
    zoom = RandZoomd(KEYS, prob=1, min_zoom=(1.0, 1.4), max_zoom=(1.0, 1.4), mode=["nearest", "bilinear"])
    with pytest.raises(ValueError, match=r"must be the same along every axis to 0\.0208, got factors \[1.0, 1.39"):
        RescaleDistanceMapd("distance_map")(zoom(data))


def test_tolerance_of_the_zoom_can_be_set():
    maps = SignedDistanceMap(2, preset=None)(ball(10, 48, 1.0))
    maps.affine[1, 1] = 1 / 1.1
    with pytest.raises(ValueError, match=r"got factors \[1.0, 1.1\]"):
        RescaleDistanceMap()(maps)
    torch.testing.assert_close(RescaleDistanceMap(tolerance=0.2)(maps), maps * 1.05)


def test_rescaling_needs_a_metatensor_with_a_record():
    with pytest.raises(TypeError, match="distance_map must be a MetaTensor, got ndarray"):
        RescaleDistanceMap()(np.zeros((1, 2, 2)))
    with pytest.raises(ValueError, match=r"must carry meta\['distance_map_spacing'\], got none.*track_meta=True"):
        RescaleDistanceMap()(ball(3, 8, 1.0))


def test_maps_are_collated_in_batch_order_and_feed_the_loss(case):
    other = {key: value.flip(1) for key, value in case.items()}
    data = [SignedDistanceMapd("label", num_classes=3)(item) for item in (case, other)]
    batch = next(iter(DataLoader(data, batch_size=2)))
    assert batch["distance_map"].shape == (2, 3, 8, 16, 18)
    np.testing.assert_array_equal(batch["distance_map"][1], data[1]["distance_map"])
    logits = torch.randn(2, 3, 8, 16, 18)
    plain = BoundaryLoss(softmax=True)(logits, None, batch["distance_map"].as_tensor())
    torch.testing.assert_close(torch.as_tensor(BoundaryLoss(softmax=True)(logits, None, batch["distance_map"])), plain)
