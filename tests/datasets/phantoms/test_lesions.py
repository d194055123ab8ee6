"""Synthetic lesion cases and the nnU-Net raw data set made of them."""

import json

import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import label

from monai_boundary.datasets import lesion_phantom, read_image, read_labels, write_nnunet_phantoms


def test_the_same_seed_gives_the_same_case_and_another_seed_another():
    first, again, other = lesion_phantom(3), lesion_phantom(3), lesion_phantom(4)
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.labels, again.labels)
    assert (first.labels != other.labels).any()


@pytest.mark.parametrize("seed", range(8))
def test_a_case_is_strongly_unbalanced_with_several_voxels_per_lesion(seed):
    case = lesion_phantom(seed)
    regions, count = label(case.labels, np.ones((3, 3, 3)))
    assert case.labels.shape == (24, 64, 64)
    assert case.spacing == (3.0, 1.0, 1.0)
    assert 0.002 < case.labels.mean() < 0.009
    assert 1 <= count <= 15
    assert np.bincount(regions.ravel())[1:].max() >= 20
    assert np.isfinite(case.image).all()


def test_lesions_are_brighter_than_the_tissue_around_them():
    cases = [lesion_phantom(seed) for seed in range(5)]
    inside = np.mean([case.image[case.labels > 0].mean() for case in cases])
    tissue = np.mean([np.median(case.image[(case.labels == 0) & (case.image > 300)]) for case in cases])
    assert inside > 1.2 * tissue


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shape": (4, 64, 64)}, r"shape must hold 3 integers >= 12, got \(4, 64, 64\)"),
        ({"spacing": (0.0, 1.0, 1.0)}, r"spacing must hold one finite value > 0 .* got \(0.0, 1.0, 1.0\)"),
    ],
)
def test_unusable_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        lesion_phantom(0, **settings)


def test_the_raw_data_set_has_nnunet_layout_and_the_spacing_is_in_the_header(tmp_path):
    folder = write_nnunet_phantoms(tmp_path, num_train=2, num_test=1, seed=5)
    description = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    assert folder.name == "Dataset900_LesionPhantoms"
    assert description["numTraining"] == 2
    assert sorted(path.name for path in folder.glob("imagesTr/*")) == ["c_000_0000.nii.gz", "c_001_0000.nii.gz"]
    assert [path.name for path in folder.glob("labelsTs/*")] == ["c_002.nii.gz"]
    image = nib.load(folder / "imagesTs" / "c_002_0000.nii.gz")
    assert image.shape == (64, 64, 24)
    assert image.header.get_zooms() == (1.0, 1.0, 3.0)
    assert nib.aff2axcodes(image.affine) == ("R", "A", "S")


def test_a_written_case_is_read_back_in_array_order(tmp_path):
    folder = write_nnunet_phantoms(tmp_path, num_train=1, num_test=0, seed=5)
    case = lesion_phantom(np.random.SeedSequence(5).spawn(1)[0])
    image = read_image(folder / "imagesTr" / "c_000_0000.nii.gz")
    labels = read_labels(folder / "labelsTr" / "c_000.nii.gz")
    np.testing.assert_array_equal(image.array, case.image)
    np.testing.assert_array_equal(labels.array, case.labels)
    assert image.spacing == labels.spacing == (3.0, 1.0, 1.0)


def test_a_volume_in_another_orientation_is_turned_to_superior_anterior_right(tmp_path):
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)  # x, y, z in the file, towards left, posterior, inferior
    nib.save(nib.Nifti1Image(array, np.diag([-1.0, -2.0, -3.0, 1.0])), tmp_path / "lpi.nii.gz")
    volume = read_image(tmp_path / "lpi.nii.gz")
    np.testing.assert_array_equal(volume.array, array[::-1, ::-1, ::-1].T)
    assert volume.spacing == (3.0, 2.0, 1.0)
    assert volume.axcodes == "LPI"
