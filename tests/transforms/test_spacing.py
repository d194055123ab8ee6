"""Voxel spacing: from the affine of images, slices and batches, missing, or of a grid that has none."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from monai.data import DataLoader, MetaTensor, NibabelReader
from monai.transforms import Compose, EnsureChannelFirst, LoadImage, Orientationd, Spacingd, SpatialCrop, SqueezeDim

from monai_boundary import SignedDistanceMap, SignedDistanceMapd, signed_distance_map
from monai_boundary._geometry import MissingSpacingWarning, ShearedAffineWarning, batch_spacing, image_spacing
from monai_boundary.datasets.nifti import read_labels
from monai_boundary.evaluation import evaluate_folder
from monai_boundary.kernels.distance import CLIPPED
from monai_boundary.map_store import MapStore
from monai_boundary.metrics import score_pair
from monai_boundary.precompute import precompute_maps
from tests.transforms.images import SPACING, on_grid, with_affine

MM = {"num_classes": 3, "preset": None}
TURNED = ((0, -3.0, 0), (0, 0, 1.0), (0.5, 0, 0))  # axis 0 runs along -y with 3 mm, axis 1 along z, axis 2 along x
SHEARED = ((3.0, 0, 0), (0.6, 0.8, 0), (0, 0, 0.5))


def tilted(degrees: float, axis: int = 0) -> np.ndarray:
    """Columns of a grid of (0.9, 0.9, 4) mm, turned about an axis."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    first, second = (index for index in range(3) if index != axis)
    turn = np.eye(3)
    turn[first, first] = turn[second, second] = cosine
    turn[first, second], turn[second, first] = -sine, sine
    return (turn @ np.diag([0.9, 0.9, 4.0])).T


@pytest.mark.parametrize("columns", [np.diag(SPACING), TURNED])
def test_spacing_comes_from_the_columns_of_the_affine_unless_given(labels, columns):
    image = with_affine(labels, *columns)
    np.testing.assert_allclose(SignedDistanceMap(**MM)(image), signed_distance_map(labels, 3, SPACING), rtol=1e-6)
    given = SignedDistanceMap(**MM, spacing=(1, 2, 3))(image)
    np.testing.assert_array_equal(given, signed_distance_map(labels, 3, (1, 2, 3)))


def test_spacing_of_a_tilted_volume_is_that_of_its_voxels(labels):
    for axis in range(3):
        assert image_spacing(with_affine(labels, *tilted(30, axis)), 3) == pytest.approx((0.9, 0.9, 4.0))


def test_spacing_of_2d_images_comes_from_affines_of_either_size(labels):
    for image in (on_grid(labels[:, 0], (3.0, 1.0)), with_affine(labels[:, 0], (3.0, 0), (0, 1.0))):
        np.testing.assert_array_equal(SignedDistanceMap(**MM)(image), signed_distance_map(labels[:, 0], 3, (3.0, 1.0)))


def test_spacing_follows_spacingd(labels):
    image = on_grid(np.repeat(labels, 3, axis=1))
    steps = [Spacingd("label", pixdim=(1.5, 1.5, 1.5), mode="nearest"), SignedDistanceMapd("label", **MM)]
    result = Compose(steps)({"label": image})
    expected = signed_distance_map(result["label"].numpy(), 3, (1.5, 1.5, 1.5))
    np.testing.assert_allclose(result["distance_map"], expected, rtol=1e-5)


def test_map_before_and_after_orientationd_is_that_of_the_turned_labels(labels):
    data = {"label": with_affine(labels, *TURNED)}
    names = (("L", "R"), ("P", "A"), ("I", "S"))
    expected = signed_distance_map(np.flip(labels.transpose(0, 3, 1, 2), 2), 3, (0.5, 3.0, 1.0))
    after = Compose([Orientationd("label", "RAS", labels=names), SignedDistanceMapd("label", **MM)])(data)
    before = Compose([SignedDistanceMapd("label", **MM), Orientationd(["label", "distance_map"], "RAS", labels=names)])
    for result in (after, before(data)):
        np.testing.assert_allclose(result["distance_map"], expected, rtol=1e-6)


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
def test_image_without_an_affine_warns_and_is_measured_in_voxels(labels, kind):
    with pytest.warns(MissingSpacingWarning, match=r"spacing must come from a MetaTensor .*, got a (ndarray|Tensor)"):
        maps = SignedDistanceMap(**MM)(kind(labels))
    np.testing.assert_array_equal(np.asarray(maps), signed_distance_map(labels, 3))


def test_sheared_affine_warns_wherever_it_is_read(labels, tmp_path):
    import nibabel

    image = with_affine(labels, *SHEARED)
    with pytest.warns(ShearedAffineWarning, match="the affine is sheared"):
        maps = SignedDistanceMap(**MM)(image)
    np.testing.assert_allclose(maps, signed_distance_map(labels, 3, SPACING), rtol=1e-6)
    nibabel.save(nibabel.Nifti1Image(labels[0].astype(np.uint8), image.affine.numpy()), tmp_path / "label.nii")
    with pytest.warns(ShearedAffineWarning, match="the affine is sheared"):
        read_labels(tmp_path / "label.nii")


@pytest.mark.parametrize(("degrees", "axis"), [(30, 0), (30, 1), (20, 2)])
def test_slice_squeezed_from_an_oblique_volume_is_refused_and_has_its_spacing_before(tmp_path, degrees, axis):
    import nibabel

    affine = np.eye(4)
    affine[:3, :3] = tilted(degrees, axis).T
    nibabel.save(nibabel.Nifti1Image(np.eye(8, dtype=np.uint8)[..., None].repeat(3, 2), affine), tmp_path / "x.nii")
    volume = EnsureChannelFirst()(LoadImage(NibabelReader, image_only=True)(tmp_path / "x.nii"))
    flat = SpatialCrop(roi_slices=[slice(None), slice(None), slice(1, 2)])(volume)
    squeezed = SqueezeDim(-1)(flat)
    with pytest.raises(ValueError, match=r"squeezed from an oblique volume.*before SqueezeDimd, or pass"):
        SignedDistanceMap(2)(squeezed)
    before = SqueezeDim(-1)(SignedDistanceMap(2)(flat))
    assert before.meta["distance_map_spacing"] == pytest.approx([0.9, 0.9, 4.0])
    torch.testing.assert_close(SignedDistanceMap(2, spacing=(0.9, 0.9))(squeezed).as_tensor(), before.as_tensor())


def test_slice_squeezed_from_an_upright_volume_keeps_its_spacing(labels):
    image = on_grid(labels)
    image.meta["original_affine"] = image.affine.clone()
    for axis in range(3):
        part = SqueezeDim(axis + 1)(image.narrow(axis + 1, 0, 1))
        expected = tuple(size for index, size in enumerate(SPACING) if index != axis)
        assert image_spacing(part, 2) == expected


def test_samples_of_a_batch_have_spacings_of_their_own(labels):
    spacings = [(3.0, 1.0, 0.5), (1.0, 2.0, 4.0)]
    (batch,) = DataLoader([{"label": on_grid(labels, spacing)} for spacing in spacings], batch_size=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert batch_spacing(batch["label"], 3) == spacings
        assert batch_spacing(torch.stack([on_grid(labels)] * 2), 3) == [SPACING] * 2
        assert batch_spacing(batch["label"].as_tensor(), 3) is None
        assert isinstance(batch["label"], MetaTensor)


def test_commands_take_a_sheared_grid_by_the_one_rule(tmp_path, run):
    """Warned of, and measured along its axes: no command refuses what another one measures in silence."""
    import nibabel

    labels, moved = np.zeros((2, 12, 10, 8), np.uint8)
    labels[3:7, 2:6, 2:5], moved[4:8, 2:6, 2:5] = 1, 1
    affine = np.eye(4)
    affine[:3, :3] = np.array(SHEARED).T
    folders = tmp_path / "labels", tmp_path / "found"
    for folder, array in zip(folders, (labels, moved), strict=True):
        folder.mkdir()
        nibabel.save(nibabel.Nifti1Image(array, affine), folder / "a.nii.gz")
    with pytest.warns(ShearedAffineWarning):
        shown = run("inspect", *[folders[0] / "a.nii.gz"] * 2, "-o", tmp_path / "x.png")
    assert shown.exit_code == 0
    assert "the affine is sheared" in shown.output
    with pytest.warns(ShearedAffineWarning):
        made = precompute_maps(folders[0], tmp_path / "maps", 2, progress=False)
    expected = signed_distance_map(labels[None], 2, SPACING, **vars(CLIPPED))[1:]
    np.testing.assert_allclose(MapStore(made.folder).read("a", (0, 0, 0), labels.shape), expected, atol=1e-3)
    with pytest.warns(ShearedAffineWarning):
        rows = evaluate_folder(folders[1], folders[0], progress=False).rows
    assert rows[0].scores == pytest.approx(score_pair("surface", moved, labels, SPACING), rel=1e-5)
