"""What a survey finds in label maps whose truth is known."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import ndimage

from monai_boundary.datasets import lesion_phantom, membrane_phantom, write_nnunet_phantoms, write_volume
from monai_boundary.datasets.nifti import Volume
from monai_boundary.evaluation.label_figures import case_labels
from monai_boundary.evaluation.label_survey import survey_labels


def measured(array, spacing=(1.0, 1.0, 1.0), classes=None, ignore_index=None):
    labels = Volume(np.asarray(array, np.int64), spacing, np.eye(4))
    return case_labels(labels, classes or {"a": (1,)}, ignore_index)


def ball(radius, ndim):
    """A ball, or a disc in one slice, with room around it."""
    axes = np.ogrid[tuple([slice(-radius - 2, radius + 3)] * ndim)]
    inside = sum(axis**2 for axis in axes) <= radius**2
    return inside if ndim == 3 else inside[None]


def test_voxels_that_touch_by_a_corner_are_one_lesion():
    array = np.zeros((4, 4, 4))
    array[0, 0, 0] = array[1, 1, 1] = array[3, 3, 0] = 1
    found = measured(array).classes["a"]
    assert sorted(found.sizes) == [1, 2]
    assert (found.voxels, found.lesions, found.share) == (3, 2, pytest.approx(100 * 3 / 64))
    assert found.largest == pytest.approx(100 * 2 / 3)


def test_boundary_voxels_have_a_face_to_another_label_but_the_edge_of_the_image_is_none():
    array = np.zeros((5, 5, 5))
    array[:3, 1:4, 1:4] = 1
    array[0, 0, 0] = 2  # touches by a corner alone
    assert measured(array).classes["a"].boundary == pytest.approx((27 - 2) / 27)
    assert measured(np.ones((3, 3, 3))).classes["a"].boundary == 0


def test_regions_are_unions_and_ignored_voxels_do_not_count():
    array = np.zeros((1, 2, 5))
    array[0, 0] = [1, 2, 0, 9, 9]
    case = measured(array, classes={"whole": (1, 2), "core": (2,), "absent": (3,)}, ignore_index=9)
    assert set(case.classes) == {"whole", "core"}
    assert (case.classes["whole"].lesions, case.classes["whole"].share) == (1, pytest.approx(100 * 2 / 8))


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("radius", [2, 5, 12])
def test_round_lesions_are_not_thin_and_lines_are(ndim, radius):
    assert measured(ball(radius, ndim)).classes["a"].thin == pytest.approx(1, abs=0.25)
    line = np.zeros([1, 9, 300] if ndim == 2 else [9, 9, 300])
    line[..., 4, :] = 1
    assert measured(line).classes["a"].thin > 3


def test_membranes_cut_the_rest_into_pieces_and_lesions_do_not():
    membranes = np.squeeze(membrane_phantom(0).ids)[None] == 0
    assert measured(membranes).classes["a"].enclosed > 50
    assert measured(ball(5, 3)).classes["a"].enclosed == 0


def test_a_slice_is_measured_in_its_plane():
    case = measured(np.ones((1, 3, 3)), (9.0, 2.0, 0.5))
    assert (case.ndim, case.voxel_size, case.anisotropy) == (2, 1.0, 4.0)
    case = measured(np.ones((2, 3, 3)), (9.0, 2.0, 0.5))
    assert (case.ndim, case.voxel_size, case.anisotropy) == (3, 9.0, 18.0)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_slice_is_one_along_any_axis(axis):
    disc = np.pad(ball(6, 2)[0], [(0, 0), (3, 0)])  # not square
    stored = measured(np.expand_dims(disc, axis), tuple(np.insert([2.0, 0.5], axis, 9.0)))
    plane = measured(disc[None], (9.0, 2.0, 0.5))
    assert (stored.ndim, stored.shape, stored.spacing, stored.anisotropy) == (2, plane.shape, plane.spacing, 4.0)
    found, true = stored.classes["a"], plane.classes["a"]
    assert found.sizes.tolist() == true.sizes.tolist()
    assert (found.boundary, found.thin, found.enclosed) == (true.boundary, true.thin, 0.0)


@pytest.mark.parametrize("shape", [(1, 1, 9), (1, 9, 1), (9, 1, 1)])
def test_a_row_of_voxels_is_an_image(shape):
    array = np.zeros(9)
    array[3:5] = 1
    assert measured(array.reshape(shape)).ndim == 2


def test_numbers_of_objects_are_no_classes():
    with pytest.raises(ValueError, match="labels must be classes, at most 256, got 300 values up to 299"):
        case_labels(Volume(np.arange(300).reshape(1, 10, 30), (1.0, 1.0, 1.0), np.eye(4)), {}, None)


def test_the_figures_of_phantoms_are_those_of_their_labels(tmp_path):
    survey = survey_labels(write_nnunet_phantoms(tmp_path, num_train=3, num_test=1), progress=False)
    truth = [lesion_phantom(seed).labels for seed in np.random.SeedSequence(0).spawn(4)[:3]]
    counts = [ndimage.label(labels, np.ones((3, 3, 3)))[1] for labels in truth]
    table = survey.table("lesion")
    assert table["lesions"].tolist() == counts
    np.testing.assert_allclose(table["share"], [100 * labels.mean() for labels in truth])
    sizes = survey.sizes("lesion")
    assert [values.sum() for values in sizes.values()] == [3.0 * labels.sum() for labels in truth]  # 3 mm^3 a voxel
    assert (survey.size_unit, survey.without("lesion"), survey.failed, survey.unnamed) == ("mm^3", [], {}, {})
    assert survey.figures("lesion")["lesions"] == np.median(counts)
    assert survey.spacings["anisotropy"].tolist() == [3.0] * 3


def test_cases_without_a_class_and_labels_without_a_name_are_counted(tmp_path):
    folder = write_nnunet_phantoms(tmp_path, num_train=3, num_test=0)
    for number, value in ((0, 0), (1, 7)):
        array = np.zeros((4, 4, 4), np.uint8)
        array[0, 0, 0] = value
        write_volume(folder / "labelsTr" / f"c_00{number}.nii.gz", array, (1.0, 1.0, 1.0))
    survey = survey_labels(folder, progress=False)
    assert survey.without("lesion") == ["c_000", "c_001"]
    assert survey.figures("lesion")["empty"] == pytest.approx(200 / 3)
    assert survey.unnamed == {7: 1}
    assert json.loads(json.dumps(survey.summary()))["classes"]["lesion"]["without"] == ["c_000", "c_001"]


def test_a_damaged_case_is_named_and_stops_no_other(tmp_path):
    folder = write_nnunet_phantoms(tmp_path, num_train=3, num_test=0)
    (folder / "labelsTr" / "c_001.nii.gz").write_bytes(b"no label map")
    survey = survey_labels(folder, progress=False)
    assert list(survey.cases) == ["c_000", "c_002"]
    assert "c_001.nii.gz must be a complete NIfTI file" in survey.failed["c_001"]


def test_without_any_readable_case_the_first_reason_is_told(tmp_path):
    folder = write_nnunet_phantoms(tmp_path, num_train=1, num_test=0)
    (folder / "labelsTr" / "c_000.nii.gz").write_bytes(b"no label map")
    with pytest.raises(ValueError, match=r"must hold label maps that can be read, got .*c_000.nii.gz must be"):
        survey_labels(folder, progress=False)
