"""The spacing of a slice is that of its voxels in the volume, or refused; the unit of a file counts."""

from __future__ import annotations

import itertools
import warnings

import monai.transforms as mt
import nibabel
import numpy as np
import pytest
import torch
from monai.data import MetaTensor, NibabelReader, list_data_collate
from scipy.ndimage import distance_transform_edt

from monai_boundary import BoundaryLoss
from monai_boundary._geometry import batch_spacing, image_spacing
from monai_boundary.transforms import SignedDistanceMap
from tests.transforms.images import with_affine

CUT = (
    r"squeezed from an oblique volume, or from one .* must be given, got none: SqueezeDimd cut .*before SqueezeDimd, or"
)
SAGITTAL = np.array([[0, 0, 3.0, 0], [-1, 0, 0, 0], [0, -0.75, 0, 0], [0, 0, 0, 1]])
SIGNED = [
    np.eye(3)[:, list(order)] * signs
    for order in itertools.permutations(range(3))
    for signs in ([1, 1, 1], [1, -1, -1])
]
LOAD = [mt.LoadImaged("label", NibabelReader()), mt.EnsureChannelFirstd("label")]


def stored(folder, affine: np.ndarray, unit: str = "mm", shape: tuple[int, ...] = (20, 22, 24)) -> dict:
    labels = np.zeros(shape, np.uint8)
    labels[tuple(slice(size // 4, size // 2 + 1) for size in shape)] = 1
    image = nibabel.Nifti1Image(labels, affine)
    image.header.set_xyzt_units(unit)
    nibabel.save(image, folder / "label.nii.gz")
    return {"label": str(folder / "label.nii.gz")}


def cut(axis: int) -> list:
    size = tuple(1 if index == axis else 16 for index in range(3))
    return [mt.CenterSpatialCropd("label", size), mt.SqueezeDimd("label", dim=axis + 1)]


def through(item: dict, *steps) -> MetaTensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MONAI: "img.affine is ill-posed"
        return mt.Compose([*LOAD, *steps])(item)["label"]


def turn(*angles: float) -> mt.Rotated:
    return mt.Rotated("label", angles, mode="nearest", padding_mode="border")


@pytest.mark.parametrize("step", [
    mt.RandRotated("label", range_y=(0.6, 0.6), prob=1, mode="nearest", padding_mode="border"),
    mt.RandAffined("label", prob=1, rotate_range=[(0.6, 0.6), 0, 0], mode="nearest", padding_mode="border"),
    mt.Affined("label", rotate_params=(0, 0.4, 0), mode="nearest", padding_mode="border"),
    mt.Affined("label", shear_params=(0, 0.3, 0, 0, 0, 0), mode="nearest", padding_mode="border"),
    mt.Compose([turn(0, 0.6, 0), mt.RandFlipd("label", prob=1), mt.EnsureTyped("label")]),
    mt.Compose([turn(0, 0.6, 0), turn(0, 0, 0.4)]),  # the cut columns are at right angles, and one is too short
    mt.Compose([turn(0, 0, 0.6), mt.Rotate90d("label", 1, (1, 2))]),
])  # fmt: skip
@pytest.mark.parametrize("lazy", [False, True])
def test_a_slice_of_a_volume_that_was_tilted_before_the_cut_is_refused(tmp_path, step, lazy):
    steps = mt.Compose([step, cut(2)[0]], lazy=lazy), cut(2)[1]
    label = through(stored(tmp_path, np.eye(4)), *steps)
    assert label.affine.shape == (3, 3)
    with pytest.raises(ValueError, match=CUT):
        SignedDistanceMap(2)(label)
    with pytest.raises(ValueError, match=CUT):
        BoundaryLoss(sigmoid=True)(torch.zeros(1, 1, *label.shape[1:]), list_data_collate([{"label": label}])["label"])
    assert SignedDistanceMap(2, spacing=(1, 1))(label).shape == (2, *label.shape[1:])


@pytest.mark.parametrize("step", [
    mt.RandRotated("label", range_y=(0.6, 0.6), prob=0), turn(0, 0, 0), mt.Zoomd("label", 1.0), mt.Flipd("label", 0),
    mt.RandAffined("label", prob=0, rotate_range=1.0), mt.Rotate90d("label", 2, (0, 2)), turn(0, 0, 0.6),
    mt.Affined("label", rotate_params=(0, 0, 0.3)),
])  # fmt: skip
def test_a_slice_keeps_its_spacing_where_nothing_was_tilted_out_of_it(tmp_path, step):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        spacing = image_spacing(through(stored(tmp_path, np.diag([0.75, 0.75, 3.0, 1])), step, *cut(2)), 2)
    assert spacing == pytest.approx((0.75, 0.75))


def test_a_slice_may_be_turned_after_the_cut_unless_it_was_tilted_before(tmp_path):
    item = stored(tmp_path, np.diag([1.0, 1, 3, 1]))
    flat = mt.Rotated("label", 0.5, mode="nearest", padding_mode="border")
    assert image_spacing(through(item, *cut(2), flat), 2) == pytest.approx((1, 1))
    with pytest.raises(ValueError, match=CUT):
        image_spacing(through(item, turn(0, 0.6, 0), *cut(2), flat), 2)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("turned", SIGNED)
@pytest.mark.parametrize(
    "move", [mt.Identityd("label"), mt.Rotate90d("label", 1, (0, 2)), mt.Orientationd("label", "SRA", labels=None)]
)
def test_a_slice_of_any_orientation_has_its_spacing_or_is_refused(tmp_path, axis, turned, move):
    affine = np.eye(4)
    affine[:3, :3] = turned @ np.diag([1.0, 0.75, 3.0])
    item = stored(tmp_path, affine)
    full = np.linalg.norm(through(item, move).affine.numpy()[:3, :3], axis=0)
    label = through(item, move, *cut(axis))
    try:
        found = image_spacing(label, 2)
    except ValueError as error:
        assert "put this transform before SqueezeDimd, or pass spacing=" in str(error)  # noqa: PT017
        assert abs(np.linalg.det(label.affine.numpy()[:2, :2])) < 1e-9  # where a column is lost, and only there
    else:
        assert found == pytest.approx(tuple(np.delete(full, axis)))


def test_a_sagittal_slice_is_refused_with_what_to_do_and_measured_by_that(tmp_path):
    label = through(stored(tmp_path, SAGITTAL), *cut(2))
    with pytest.raises(ValueError, match=CUT):
        SignedDistanceMap(2)(label)
    with pytest.raises(ValueError, match=CUT):  # without the affine of a file, too
        SignedDistanceMap(2)(with_affine(label.numpy(), (0, -1), (0, 0)))
    expected = distance_transform_edt(label[0].numpy() == 0, sampling=(1, 0.75))
    upright = through(stored(tmp_path, SAGITTAL), mt.Orientationd("label", "RAS", labels=None), *cut(0))
    assert image_spacing(upright, 2) == pytest.approx((1, 0.75))
    before = SignedDistanceMap(2, preset=None, convention="centre")(through(stored(tmp_path, SAGITTAL), cut(2)[0]))
    np.testing.assert_allclose(before[1, ..., 0][label[0] == 0], expected[label[0] == 0], rtol=1e-6)


CROP, SPACED = mt.RandSpatialCropd("label", (9, 9), random_size=False), mt.Spacingd("label", (1, 2, 3), mode="nearest")
INDEXED = {0: lambda x: x[:, 2], 1: lambda x: x.select(2, 3), 2: lambda x: x[..., 2:3].squeeze(-1)}


def outcome(label: MetaTensor) -> list[tuple[float, ...]] | None:
    """The spacing in a batch, which is that of each; ``None`` where it is refused."""
    try:
        one = image_spacing(label, 2)
    except ValueError as error:
        assert "cut it with SqueezeDimd, put this transform before the cut, or pass spacing=" in str(error)  # noqa: PT017
        return None
    found = batch_spacing(list_data_collate([{"label": label}] * 4)["label"], 2)
    assert found == [one] * 4
    return found


@pytest.mark.parametrize("axis", INDEXED)
@pytest.mark.parametrize(
    ("shape", "affine"), [((6, 18, 20), np.diag([5.0, 1, 0.5, 1])), ((18, 20, 6), SAGITTAL), ((18, 18, 6), SAGITTAL)]
)
@pytest.mark.parametrize("before", [[], [mt.Orientationd("label", "RAS", labels=None)], [SPACED], [
    mt.Rotate90d("label", 1, (0, 2)), mt.Flipd("label", 1)]])  # fmt: skip
def test_a_slice_cut_by_an_index_has_the_spacing_of_its_own_axes(tmp_path, axis, shape, affine, before):
    item = stored(tmp_path, affine, shape=shape)
    full = np.linalg.norm(through(item, *before).affine.numpy()[:3, :3], axis=0)
    label = through(item, *before, mt.Lambdad("label", INDEXED[axis]))
    expected = tuple(np.delete(full, axis))
    found = outcome(label)
    if found is None:  # two axes of one size: nothing tells them apart
        sizes = through(item, *before).shape[1:]
        assert len({tuple(np.delete(full, at).round(4)) for at in range(3) if np.abs(
            np.delete(sizes, at) - label.shape[1:]).max() <= 1}) > 1  # fmt: skip
    else:
        assert found == [pytest.approx(expected)] * 4
    changed = through(item, *before, mt.Lambdad("label", INDEXED[axis]), CROP, mt.RandFlipd("label", 1))
    assert outcome(changed) == outcome(label)


def test_what_the_size_of_the_file_cannot_tell_is_refused_or_does_not_matter(tmp_path):
    cube = stored(tmp_path, np.diag([5.0, 1, 1, 1]), shape=(20, 20, 20))
    for cut_by in INDEXED.values():
        with pytest.raises(ValueError, match=r"\(20, 20\) voxels do not tell along which axis of \[5.0, 1.0, 1.0\] mm"):
            SignedDistanceMap(2)(through(cube, mt.Lambdad("label", cut_by)))
    axial = stored(tmp_path, np.diag([1.0, 1, 5, 1]), shape=(20, 22, 6))
    for step in (CROP, mt.Rotate90d("label"), mt.RandFlipd("label", 0.0)):
        assert image_spacing(through(axial, mt.Lambdad("label", INDEXED[2]), step), 2) == pytest.approx((1, 1))
    alike = stored(tmp_path, np.eye(4), shape=(20, 20, 20))
    zoomed = through(alike, mt.Lambdad("label", INDEXED[0]), mt.Zoomd("label", 1.25))
    assert image_spacing(zoomed, 2) == pytest.approx((0.8, 0.8), rel=0.01)
    flat = stored(tmp_path, np.diag([3.0, 1, 5, 1]), shape=(20, 20))
    assert image_spacing(through(flat), 2) == (3, 1)


@pytest.mark.parametrize(("unit", "per_mm"), [("micron", 1000.0), ("meter", 0.001), ("mm", 1.0), ("unknown", 1.0)])
def test_the_unit_of_a_file_counts(tmp_path, unit, per_mm):
    item = stored(tmp_path, np.diag([3 * per_mm, per_mm, 0.75 * per_mm, 1]), unit)
    label = through(item)
    assert image_spacing(label, 3) == pytest.approx((3, 1, 0.75))
    expected = distance_transform_edt(label[0].numpy() == 0, sampling=(3, 1, 0.75))
    outside = label[0].numpy() == 0
    maps = SignedDistanceMap(2, preset=None, convention="centre")(label)
    np.testing.assert_allclose(maps[1].numpy()[outside], expected[outside], rtol=1e-6)
    assert image_spacing(through(item, *cut(2)), 2) == pytest.approx((3, 1))
    if per_mm >= 1:  # MONAI takes pixels of 0.001 for those of 0.00075
        spaced = mt.Spacingd("label", (per_mm,) * 3, mode="nearest")
        assert image_spacing(through(item, spaced), 3) == pytest.approx((1, 1, 1))


def test_samples_of_a_batch_have_units_of_their_own(tmp_path):
    labels = []
    for index, (size, unit) in enumerate([(1.0, "mm"), (3000.0, "micron"), (2.0, "unknown"), (0.5, "mm")]):
        (tmp_path / str(index)).mkdir()
        labels.append(through(stored(tmp_path / str(index), np.diag([size, size, 2 * size, 1]), unit)))
    batch = list_data_collate([{"label": label} for label in labels])["label"]
    assert np.array(batch_spacing(batch, 3)) == pytest.approx(
        np.array([[1, 1, 2], [3, 3, 6], [2, 2, 4], [0.5, 0.5, 1]])
    )
    stacked = torch.stack(labels[1:2] * 2)
    assert np.array(batch_spacing(stacked, 3)) == pytest.approx(np.array([[3, 3, 6]] * 2))


@pytest.mark.parametrize("code", ["3", None, np.array([3, 3]), 255, 8, 0])
def test_a_unit_that_is_none_of_nifti_is_mm(labels, code):
    """As in a file of no unit; a text is that of ITK, which converts to mm itself."""
    image = with_affine(labels, *np.diag([3.0, 1.0, 0.5]))
    image.meta["xyzt_units"] = code
    assert image_spacing(image, 3) == pytest.approx((3, 1, 0.5))
