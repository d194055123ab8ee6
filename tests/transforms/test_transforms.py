"""SignedDistanceMap(d): kinds of input, spacing from the affine, keys, dtypes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, Orientationd, Spacingd
from monai.utils import TransformBackends

from monai_boundary import SignedDistanceMap, SignedDistanceMapd, signed_distance, signed_distance_map
from monai_boundary.kernels import PUBLISHED, ROBUST
from monai_boundary.transforms import SignedDistanceMapD, SignedDistanceMapDict
from monai_boundary.transforms._affine import MissingSpacingWarning, ShearedAffineWarning
from tests import oracles

SPACING = (3.0, 1.0, 0.5)


@pytest.fixture
def labels(rng) -> np.ndarray:
    return rng.integers(0, 3, (1, 5, 6, 7))


def with_affine(labels: np.ndarray, *columns) -> MetaTensor:
    affine = np.eye(4)
    affine[:3, :3] = np.array(columns, float).T
    return MetaTensor(torch.from_numpy(np.ascontiguousarray(labels)), affine=torch.from_numpy(affine))


def on_grid(labels: np.ndarray, spacing=SPACING) -> MetaTensor:
    return with_affine(labels, *np.diag(spacing))


def test_array_tensor_and_metatensor_give_their_own_kind_and_one_value(labels):
    transform = SignedDistanceMap(num_classes=3, spacing=SPACING)
    expected = signed_distance_map(labels, 3, SPACING)
    for kind, given in ((np.ndarray, labels), (torch.Tensor, torch.from_numpy(labels)), (MetaTensor, on_grid(labels))):
        result = transform(given)
        assert type(result) is kind
        np.testing.assert_array_equal(np.asarray(result), expected)


def test_dictionary_twin_adds_the_map_and_keeps_the_rest(labels):
    data = {"label": on_grid(labels), "name": "case"}
    result = SignedDistanceMapd(keys="label", num_classes=3)(data)
    assert set(result) == {"label", "name", "distance_map"}
    assert set(data) == {"label", "name"}
    np.testing.assert_array_equal(result["distance_map"], signed_distance_map(labels, 3, SPACING))


def test_twin_has_its_aliases_and_backends():
    assert SignedDistanceMapD is SignedDistanceMapDict is SignedDistanceMapd
    assert SignedDistanceMapd.backend == SignedDistanceMap.backend == [TransformBackends.NUMPY, TransformBackends.TORCH]


def test_several_keys_have_maps_of_their_own_names(labels):
    data = {"a": on_grid(labels), "b": on_grid(labels.clip(max=1))}
    result = SignedDistanceMapd(keys=["a", "b"], num_classes=3)(data)
    np.testing.assert_array_equal(result["a_distance_map"], signed_distance_map(labels, 3, SPACING))
    np.testing.assert_array_equal(result["b_distance_map"], signed_distance_map(labels.clip(max=1), 3, SPACING))


def test_output_keys_can_be_named(labels):
    assert "sdm" in SignedDistanceMapd("label", output_keys="sdm", num_classes=3)({"label": on_grid(labels)})


def test_output_keys_must_be_one_per_key():
    with pytest.raises(ValueError, match=r"output_keys must name one key per label key \(2\), got \('m', 'm'\)"):
        SignedDistanceMapd(keys=["a", "b"], output_keys=["m", "m"], num_classes=3)


def test_missing_keys_raise_unless_allowed(labels):
    data = {"a": on_grid(labels)}
    result = SignedDistanceMapd(["a", "b"], allow_missing_keys=True, num_classes=3)(data)
    assert set(result) == {"a", "a_distance_map"}
    with pytest.raises(KeyError, match=r"Key `b` of transform `SignedDistanceMapd` was missing"):
        SignedDistanceMapd(["a", "b"], num_classes=3)(data)


def test_spacing_comes_from_the_columns_of_a_rotated_and_flipped_affine(labels):
    # voxel axis 0 runs along -y with 3 mm, axis 1 along z with 1 mm, axis 2 along x with 0.5 mm
    image = with_affine(labels, (0, -3.0, 0), (0, 0, 1.0), (0.5, 0, 0))
    maps = SignedDistanceMap(num_classes=3)(image)
    np.testing.assert_allclose(maps, signed_distance_map(labels, 3, SPACING), rtol=1e-6)


def test_oblique_affine_does_not_warn(labels):
    angle = np.deg2rad(20)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    maps = SignedDistanceMap(num_classes=3)(with_affine(labels, *(turn @ np.diag(SPACING)).T))
    np.testing.assert_allclose(maps, signed_distance_map(labels, 3, SPACING), rtol=1e-5)


def test_given_spacing_wins_over_the_affine(labels):
    maps = SignedDistanceMap(num_classes=3, spacing=(1, 2, 3))(on_grid(labels))
    np.testing.assert_array_equal(maps, signed_distance_map(labels, 3, (1, 2, 3)))


def test_two_dimensional_metatensor_takes_its_first_two_columns(labels):
    image = on_grid(labels[:, 0])
    maps = SignedDistanceMap(num_classes=3)(image)
    np.testing.assert_array_equal(maps, signed_distance_map(labels[:, 0], 3, SPACING[:2]))


def test_map_keeps_the_affine_and_records_its_spacing(labels):
    image = on_grid(labels)
    maps = SignedDistanceMap(num_classes=3)(image)
    torch.testing.assert_close(maps.affine, image.affine)
    assert maps.meta["distance_map_spacing"] == list(SPACING)
    assert "distance_map_spacing" not in image.meta


def test_spacing_follows_spacingd(labels):
    image = on_grid(np.repeat(labels, 3, axis=1))
    steps = Compose(
        [Spacingd("label", pixdim=(1.5, 1.5, 1.5), mode="nearest"), SignedDistanceMapd("label", num_classes=3)]
    )
    result = steps({"label": image})
    expected = signed_distance_map(result["label"].numpy(), 3, (1.5, 1.5, 1.5))
    np.testing.assert_allclose(result["distance_map"], expected, rtol=1e-5)


def test_spacing_follows_orientationd(labels):
    image = with_affine(labels, (0, -3.0, 0), (0, 0, 1.0), (0.5, 0, 0))
    turn = Orientationd("label", axcodes="RAS", labels=(("L", "R"), ("P", "A"), ("I", "S")))
    result = Compose([turn, SignedDistanceMapd("label", num_classes=3)])({"label": image})
    assert result["label"].shape == (1, 7, 5, 6)
    expected = signed_distance_map(np.flip(labels.transpose(0, 3, 1, 2), 2), 3, (0.5, 3.0, 1.0))
    np.testing.assert_allclose(result["distance_map"], expected, rtol=1e-6)


def test_map_before_and_after_orientationd_agree(labels):
    image = with_affine(labels, (0, -3.0, 0), (0, 0, 1.0), (0.5, 0, 0))
    turn = Orientationd(["label", "distance_map"], axcodes="RAS", labels=(("L", "R"), ("P", "A"), ("I", "S")))
    result = Compose([SignedDistanceMapd("label", num_classes=3), turn])({"label": image})
    np.testing.assert_allclose(result["distance_map"], SignedDistanceMap(3)(result["label"]), rtol=1e-6)


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
def test_image_without_an_affine_warns_and_is_measured_in_voxels(labels, kind):
    with pytest.warns(
        MissingSpacingWarning, match=r"spacing must come from a MetaTensor .*, got an? .*(ndarray|Tensor)"
    ):
        maps = SignedDistanceMap(num_classes=3)(kind(labels))
    np.testing.assert_array_equal(np.asarray(maps), signed_distance_map(labels, 3))


def test_sheared_affine_warns_and_uses_the_lengths_of_its_columns(labels):
    image = with_affine(labels, (3.0, 0, 0), (0.6, 0.8, 0), (0, 0, 0.5))
    with pytest.warns(ShearedAffineWarning, match="the affine is sheared"):
        maps = SignedDistanceMap(num_classes=3)(image)
    np.testing.assert_allclose(maps, signed_distance_map(labels, 3, SPACING), rtol=1e-6)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float32])
def test_overlapping_channels_are_masks_of_their_own(rng, dtype):
    masks = rng.random((3, 6, 7)) < 0.5
    maps = SignedDistanceMap(spacing=(2.0, 1.0))(masks.astype(dtype))
    np.testing.assert_allclose(maps, [oracles.signed_map(mask, (2.0, 1.0)) for mask in masks], rtol=1e-6)


def test_one_hot_channels_equal_the_label_map(labels):
    onehot = np.concatenate([labels == c for c in range(3)])
    expected = SignedDistanceMap(3, spacing=SPACING)(labels)
    np.testing.assert_array_equal(SignedDistanceMap(spacing=SPACING)(onehot), expected)


def test_background_channel_can_be_left_out(labels):
    onehot = np.concatenate([labels == c for c in range(3)])
    expected = signed_distance_map(labels, 3, SPACING)[1:]
    for transform, given in ((SignedDistanceMap(3, include_background=False), on_grid(labels)),
                             (SignedDistanceMap(include_background=False), on_grid(onehot))):  # fmt: skip
        np.testing.assert_array_equal(transform(given), expected)


def test_half_precision_needs_a_bounded_map():
    with pytest.raises(ValueError, match=r"dtype must be torch.float32 for a map without clip .*, got torch.float16"):
        SignedDistanceMap(num_classes=2, dtype=torch.float16)


@pytest.mark.parametrize("options", [{"clip": 20.0}, {"normalize": "diagonal"}, {"preset": "robust"}])
def test_half_precision_map_is_the_float32_map_rounded(labels, options):
    maps = SignedDistanceMap(num_classes=3, dtype=torch.float16, **options)(on_grid(labels))
    assert maps.dtype == torch.float16
    whole = SignedDistanceMap(num_classes=3, **options)(on_grid(labels))
    torch.testing.assert_close(maps.float(), whole, rtol=1e-3, atol=1e-6)


def test_preset_is_the_base_that_options_change():
    assert SignedDistanceMap(2, preset="published").options == PUBLISHED
    assert SignedDistanceMap(2, preset="robust", balance=0.25).options == ROBUST.replace(balance=0.25)


def test_ignored_label_is_passed_to_the_kernel(labels):
    maps = SignedDistanceMap(num_classes=2, ignore_index=2)(on_grid(labels))
    np.testing.assert_array_equal(maps, signed_distance_map(labels, 2, SPACING, ignore_index=2))


def test_backend_is_passed_to_the_kernel(labels, monkeypatch):
    monkeypatch.setattr("monai_boundary.kernels.distance.engines._HAS_EDT", False)
    SignedDistanceMap(num_classes=3, backend="scipy")(on_grid(labels))
    with pytest.raises(RuntimeError, match="backend='edt' needs the package edt"):
        SignedDistanceMap(num_classes=3, backend="edt")(on_grid(labels))


def test_channel_of_a_mask_equals_signed_distance(rng):
    mask = rng.random((6, 7)) < 0.5
    np.testing.assert_array_equal(SignedDistanceMap(spacing=(1, 1))(mask[None])[0], signed_distance(mask))
