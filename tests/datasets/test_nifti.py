"""NIfTI files: read to the end of their stream, and no larger than memory may be."""

from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - as everywhere
from monai.data import NibabelReader
from monai.transforms import LoadImage

from monai_boundary._geometry import mm_per_unit
from monai_boundary.datasets import read_image, read_labels, write_volume
from monai_boundary.datasets.nifti import load_nifti, write_labels
from monai_boundary.evaluation import evaluate_folder
from monai_boundary.evaluation.consensus_folder import consensus_folder
from monai_boundary.evaluation.label_survey import survey_labels
from monai_boundary.precompute import precompute_maps
from tests.datasets.convert import trees
from tests.datasets.convert.trees import convert

LIMIT = "MONAI_BOUNDARY_MAX_GB"


def claims(path: Path, shape: tuple[int, ...], zeros: int) -> Path:
    """Write a header of uint8 voxels of `shape`, and `zeros` zeros behind it."""
    header = nib.Nifti2Header()
    header.set_data_dtype(np.uint8)
    header.set_data_shape(shape)
    header["sform_code"], header["magic"] = 1, b"n+2"
    header["srow_x"][0] = header["srow_y"][1] = header["srow_z"][2] = 1
    header["vox_offset"] = 544
    with gzip.open(path, "wb", 1) as stream:
        stream.write(header.binaryblock + bytes(4))
        for _ in range(zeros // 10**6):
            stream.write(bytes(10**6))
        stream.write(bytes(zeros % 10**6))
    return path


#: Shape in the header, voxels in the stream, and the limit.
HUGE = {
    "a header that claims all": ((100_000,) * 3, 10, "8"),
    "a header that claims more than int64": ((2**31 - 1,) * 5, 10, "8"),
    "a stream that goes on behind its voxels": ((4, 4, 4), 60_000_000, "0.05"),
    "a stream as the header has it": ((100, 1000, 1000), 100_000_000, "0.05"),
}


@pytest.mark.parametrize(("shape", "zeros", "limit"), HUGE.values(), ids=HUGE)
@pytest.mark.parametrize("read", [read_image, read_labels])
def test_what_does_not_fit_is_refused_before_it_is_in_memory(
    read, shape, zeros: int, limit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = claims(tmp_path / "a.nii.gz", shape, zeros)
    monkeypatch.setenv(LIMIT, limit)
    tracemalloc.start()
    with pytest.raises(ValueError, match=rf"a\.nii\.gz must take at most {limit} GB of memory, got .*set .*{LIMIT}"):
        read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10e6


def test_the_limit_can_be_raised_and_must_be_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = claims(tmp_path / "a.nii.gz", (5, 5, 5), 2_000_000)
    monkeypatch.setenv(LIMIT, "0.001")
    with pytest.raises(ValueError, match=r"at most 0\.001 GB"):
        read_labels(path)
    monkeypatch.setenv(LIMIT, "0.01")
    assert read_labels(path).array.shape == (5, 5, 5)
    for wrong in ("many", "-1", "nan", "0"):
        monkeypatch.setenv(LIMIT, wrong)
        with pytest.raises(ValueError, match=rf"{LIMIT} must be a number of GB > 0, got '{wrong}'"):
            read_labels(path)


def test_a_folder_loses_only_the_case_that_does_not_fit(tmp_path: Path) -> None:
    mask = np.zeros((6, 8, 8), np.uint8)
    mask[2:4, 2:5, 2:5] = 1
    folders = [tmp_path / name for name in ("pred", "truth", "maps")]
    for folder in folders[:2]:
        folder.mkdir()
        for case in "abc":
            write_volume(folder / f"{case}.nii.gz", mask, (1.0, 1.0, 1.0))
    claims(folders[0] / "a.nii.gz", (100_000,) * 3, 10)
    claims(folders[1] / "b.nii.gz", (100_000,) * 3, 10)
    result = evaluate_folder(*folders[:2], progress=False)
    assert ([row.case for row in result.rows], list(result.failed)) == (["c"], ["a", "b"])
    with pytest.raises(
        ValueError, match=r"1 case has no map: b: .*b\.nii\.gz must take at most 8 GB.*2 of 3 maps are fin"
    ):
        precompute_maps(folders[1], folders[2], 2, progress=False)
    source = trees.wmh(tmp_path / "download")
    claims(source / "Singapore" / "50" / "pre" / "T1.nii.gz", (100_000,) * 3, 10)
    assert list(convert(source, tmp_path / "raw").skipped) == ["Singapore_50"]


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float32, np.float64, ">i4"])
@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, 1), (1, -1, -1)])
def test_labels_of_every_type_and_orientation_are_what_nibabel_reads(dtype, flips, tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 5, (5, 6, 7)).astype(dtype)
    affine = np.diag([*(step * size for step, size in zip(flips, (2.0, 1.0, 3.0), strict=True)), 1.0])
    affine = affine[:, [1, 0, 2, 3]] if flips[0] < 0 else affine
    nib.save(nib.Nifti1Image(values, affine), tmp_path / "a.nii.gz")
    upright = nib.as_closest_canonical(nib.load(tmp_path / "a.nii.gz"))
    found = read_labels(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(found.array, np.asarray(upright.dataobj).T)
    np.testing.assert_array_equal(found.affine, upright.affine)
    assert found.array.dtype == np.int64


def test_no_flipped_bit_of_a_compressed_file_passes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    write_volume(tmp_path / "a.nii.gz", rng.integers(0, 9, (8, 16, 16), np.int16), (1.0, 1.0, 1.0))
    whole, intact = load_nifti(tmp_path / "a.nii.gz")[0], (tmp_path / "a.nii.gz").read_bytes()
    for place in rng.integers(10, len(intact), 200).tolist():  # behind gzip's own header, of which a name is no part
        flipped = bytearray(intact)
        flipped[place] ^= 1 << int(rng.integers(8))
        (tmp_path / "a.nii.gz").write_bytes(flipped)
        try:
            found = load_nifti(tmp_path / "a.nii.gz")[0]
        except ValueError as error:
            assert "complete NIfTI file" in str(error)  # noqa: PT017 - few flips change nothing
        else:
            assert (found == whole).all()


@pytest.mark.parametrize(("unit", "size"), [("mm", 0.5), ("micron", 500), ("meter", 5e-4), ("unknown", 0.5)])
def test_units_of_the_header_become_millimetres(tmp_path, unit, size) -> None:
    image = nib.Nifti1Image(np.zeros((3, 4, 5), np.uint8), np.diag([size, size, 2 * size, 1]))
    image.header.set_xyzt_units(unit)
    nib.save(image, tmp_path / "a.nii.gz")
    volume = read_image(tmp_path / "a.nii.gz")
    assert volume.spacing == pytest.approx((1.0, 0.5, 0.5))
    np.testing.assert_allclose(volume.affine, np.diag([0.5, 0.5, 1, 1]), rtol=1e-6)


def test_spacing_of_a_few_nanometres_keeps_its_digits(tmp_path) -> None:
    image = nib.Nifti1Image(np.zeros((3, 4, 5), np.uint8), np.diag([4.6e-3, 4.6e-3, 0.045, 1]))
    image.header.set_xyzt_units("micron")
    nib.save(image, tmp_path / "a.nii.gz")
    assert read_image(tmp_path / "a.nii.gz").spacing == (4.5e-5, 4.6e-6, 4.6e-6)


@pytest.mark.parametrize("like", ["read_labels", "plain"])
@pytest.mark.parametrize(("dtype", "values", "stored"), [
    (bool, (0, 1), "u1"), ("f2", (0, 1.5), "f4"), (">f2", (-1, 1.5), "f4"), ("i8", (0, 255), "u1"),
    ("u8", (0, 256), "i2"),
    ("i8", (-1, 32767), "i2"), ("i8", (-1, 32768), "i4"), ("u8", (0, 2**31 - 1), "i4"), ("u2", (0, 65535), "u2"),
    ("i4", (0, 1), "i4"), ("f8", (0, 0.1), "f8"), ("i8", (), "u1"),
])  # fmt: skip
def test_what_numpy_holds_is_written_in_a_type_that_readers_know(tmp_path: Path, like, dtype, values, stored) -> None:
    array = np.array([*values, *values, 0, 0, 0, 0][:8] if values else [0] * 8).astype(dtype).reshape(2, 2, 2)
    if like == "plain":
        write_volume(tmp_path / "a.nii.gz", array, (1.0, 1.0, 1.0))
    else:
        write_volume(tmp_path / "grid.nii.gz", np.zeros(array.shape, np.uint8), (1.0, 2.0, 3.0))
        write_labels(tmp_path / "a.nii.gz", array, read_labels(tmp_path / "grid.nii.gz"))
    image = nib.load(tmp_path / "a.nii.gz")
    assert image.get_data_dtype() == np.dtype(stored)
    np.testing.assert_array_equal(np.asarray(image.dataobj).T, array)


def test_what_no_type_of_readers_holds_is_refused_with_its_range(tmp_path: Path) -> None:
    text = r"a\.nii must hold integers from -2147483648 to 2147483647, got values in \[0, 2147483648\]; give .* small"
    with pytest.raises(ValueError, match=text):
        write_volume(tmp_path / "a.nii", np.array([[[0, 2**31]]]), (1.0, 1.0, 1.0))
    assert not (tmp_path / "a.nii").exists()


def save(path: Path, values: np.ndarray, affine: np.ndarray | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(values, None)
    affine = np.eye(4) if affine is None else affine
    image.header.set_zooms(np.linalg.norm(affine[:3, :3], axis=0))
    image.header.set_sform(affine, code=1)
    image.header.set_qform(None, code=0)
    path.write_bytes(gzip.compress(image.to_bytes()))
    return path


def flat(column: tuple[float, float, float]) -> np.ndarray:
    """An affine with the axes x and y, and a third."""
    affine = np.eye(4)
    affine[:3, 2] = column
    return affine


@pytest.mark.parametrize("column", [(0, 1, 0), (0, -2, 0), (1, 1, 0), (3, 4, 1e-4), (0, 5, 1e-6)])
def test_axes_in_one_plane_are_refused_wherever_a_volume_is_read(tmp_path: Path, column) -> None:
    path = save(tmp_path / "a.nii.gz", np.zeros((3, 4, 5), np.uint8), flat(column))
    for read in (read_image, read_labels, load_nifti):
        with pytest.raises(
            ValueError, match=r"a\.nii\.gz must have an affine whose axes point in three directions, got .*repair its"
        ):
            read(path)


@pytest.mark.parametrize("column", [(0, 0, 1e-5), (0, 0, 1e4), (0.9, 0, 0.3), (0, 5, 0.1)])
def test_thin_slices_and_shear_are_no_flat_grid(tmp_path: Path, column) -> None:
    path = save(tmp_path / "a.nii.gz", np.zeros((3, 4, 5), np.uint8), flat(column))
    np.testing.assert_allclose(load_nifti(path)[1], flat(column), rtol=1e-6)


@pytest.mark.parametrize("side", ["pred", "truth"])
def test_a_flat_grid_costs_its_own_case_alone(tmp_path: Path, side: str) -> None:
    mask = np.zeros((8, 8, 6), np.uint8)
    mask[2:5, 2:5, 2:4] = 1
    for folder in ("pred", "truth"):
        for case in "ab":
            save(tmp_path / folder / f"{case}.nii.gz", mask, flat((0, 1, 0)) if (folder, case) == (side, "a") else None)
    result = evaluate_folder(tmp_path / "pred", tmp_path / "truth", progress=False)
    assert ([row.case for row in result.rows], list(result.failed)) == (["b"], ["a"])
    assert "must have an affine" in result.failed["a"]
    merged = consensus_folder(tmp_path / "pred", tmp_path / "truth", tmp_path / "both", progress=False)
    assert (list(merged.counts), list(merged.failed)) == (["b"], ["a"])
    (tmp_path / side).rename(tmp_path / "labelsTr")
    (tmp_path / "dataset.json").write_text('{"labels": {"lesion": 1}}')
    survey = survey_labels(tmp_path, progress=False)
    assert (list(survey.cases), list(survey.failed)) == (["b"], ["a"])
    with pytest.raises(ValueError, match=r"1 case has no map: a: .*must have an affine.*1 of 2 maps are finished"):
        precompute_maps(tmp_path / "labelsTr", tmp_path / "maps", 2, progress=False)


@pytest.mark.parametrize("unit", ["mm", "micron"])
@pytest.mark.parametrize("shape", [(3, 4, 5), (3, 4)])
def test_the_voxels_are_those_of_monai_and_itk_where_the_sform_contradicts_the_header(tmp_path, unit, shape) -> None:
    step = {"mm": 1, "micron": 1000}[unit]
    affine = np.diag([1.0 * step, 2 * step, 3 * step, 1])[:, [1, 2, 0, 3] if len(shape) == 3 else [1, 0, 2, 3]]
    path, image = tmp_path / "a.nii.gz", nib.Nifti1Image(np.zeros(shape, np.uint8), None)
    image.header.set_xyzt_units(unit)
    image.set_qform(affine, 1)
    for sform, code in ((np.eye(4), 2), (affine, 2), (1.0001 * affine, 1), (np.eye(4), 0)):
        image.set_sform(sform, code)
        nib.save(image, path)
        loaded = LoadImage(NibabelReader, image_only=True)(path)
        expected = loaded.affine.numpy()
        expected[:3] *= mm_per_unit(loaded.meta)
        np.testing.assert_allclose(load_nifti(path)[1], expected, rtol=1e-3, atol=1e-9)
        spacing = np.linalg.norm(load_nifti(path)[1][:3, : len(shape)], axis=0)
        assert spacing == pytest.approx(sitk.ReadImage(str(path)).GetSpacing(), rel=1e-3)
    image.set_qform(affine, 0)
    image.set_sform(np.eye(4), 2)
    nib.save(image, path)
    text = r"a\.nii\.gz must have one voxel size, got \[.*\] mm by its pixdim and \[.*\] mm by its sform; repair"
    with pytest.raises(ValueError, match=text):
        load_nifti(path)


RGB = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128, RGB], ids=str)
def test_what_are_no_real_numbers_is_refused(tmp_path: Path, dtype) -> None:
    values = np.ones((3, 4, 5), np.complex128) + 2j if dtype is not RGB else np.ones((3, 4, 5), "u1")
    path = save(tmp_path / "a.nii.gz", values.astype(dtype))
    for read in (read_image, read_labels, load_nifti):
        with pytest.raises(
            ValueError, match=r"a\.nii\.gz must hold real numbers, got .*; save the one channel"
        ) as error:
            read(path)
        assert "complete" not in str(error.value)
