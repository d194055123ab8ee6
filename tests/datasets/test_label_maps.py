"""The label maps of a data set: which they are, what their values mean, in which formats they come."""

from __future__ import annotations

import json

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - as everywhere

from monai_boundary.datasets import write_nnunet_phantoms, write_volume
from monai_boundary.datasets.datalist import write_datalist
from monai_boundary.datasets.label_maps import label_files, read_any_labels

LABELS = np.arange(12, dtype=np.uint8).reshape(3, 4)


def write_image(path, array, spacing=None):
    image = sitk.GetImageFromArray(array)
    if spacing is not None:
        image.SetSpacing(spacing[::-1])
    sitk.WriteImage(image, str(path))


def raw_set(folder, content, names=("a.nii.gz",)):
    (folder / "labelsTr").mkdir()
    (folder / "dataset.json").write_text(content if isinstance(content, str) else json.dumps(content))
    for name in names:
        write_volume(folder / "labelsTr" / name, np.zeros((2, 3, 4), np.uint8), (1.0, 1.0, 1.0))
    return folder


def test_a_raw_data_set_has_the_cases_of_labels_tr_alone(tmp_path):
    folder = write_nnunet_phantoms(tmp_path, num_train=2, num_test=1)
    (folder / "labelsTr" / "._c_000.nii.gz").touch()
    for given in (folder, folder / "dataset.json"):
        found = label_files(given)
        assert list(found.files) == ["c_000", "c_001"]
        assert (dict(found.classes), found.ignore_index) == ({"lesion": (1,)}, None)


@pytest.mark.parametrize(
    ("labels", "classes", "ignore_index"),
    [
        ({"background": 0, "whole": [1, 2], "core": [2], "ignore": 3}, {"whole": (1, 2), "core": (2,)}, 3),
        ({"0": "background", "1": "Anterior", "2": "Posterior"}, {"Anterior": (1,), "Posterior": (2,)}, None),
        ({}, {}, None),
    ],
)
def test_classes_are_named_as_any_nnunet_names_them(tmp_path, labels, classes, ignore_index):
    found = label_files(raw_set(tmp_path, {"labels": labels}))
    assert (dict(found.classes), found.ignore_index) == (classes, ignore_index)


def test_a_raw_data_set_may_list_files_that_lie_elsewhere(tmp_path):
    cases = {"a": {"images": ["no.nii.gz"], "label": "elsewhere/b.nii.gz"}}
    found = label_files(raw_set(tmp_path, {"labels": {"x": 1}, "dataset": cases}))
    assert dict(found.files) == {"a": tmp_path / "elsewhere" / "b.nii.gz"}


def test_a_datalist_has_the_labelled_cases_that_are_no_test_cases(splits, tmp_path):
    write_datalist(tmp_path / "datalist.json", {"training": splits["training"], "test": splits["validation"]})
    for given in (tmp_path, tmp_path / "datalist.json"):
        assert list(label_files(given).files) == ["p0", "p1"]


@pytest.mark.parametrize(
    ("content", "names", "text"),
    [
        ({"labels": {"x": 1}}, (), "must hold labelled cases to train on, got none"),
        ({"labels": {"x": 1}, "file_ending": ".png"}, ("a.nii.gz",), "must hold labelled cases to train on, got none"),
        ("{", ("a.nii.gz",), "dataset.json must be JSON"),
        ("[]", ("a.nii.gz",), "dataset.json must be JSON with 'labels' and more, got a list"),
        ({"labels": {"x": "y"}}, ("a.nii.gz",), r"labels must be \{'name': value\}.*got \{'x': 'y'\}"),
        ({"labels": [1]}, ("a.nii.gz",), r"labels must be .*got \[1\]"),
        (
            {"labels": {"x": 1}},
            ("a.nii", "a.nii.gz"),
            r"labelsTr must hold one label map per case, got a.nii and a.nii.gz",
        ),
        (
            {"dataset": [{"label": "a.nii.gz"}]},
            ("a.nii.gz",),
            r"dataset in .*dataset.json must be \{'case': \{'images'",
        ),
        ({"dataset": {"a": {"label": 3}}}, ("a.nii.gz",), r"dataset in .*dataset.json must be \{'case': \{'images'"),
        ({"dataset": {"a": {"label": None}}}, ("a.nii.gz",), "must hold labelled cases to train on, got none"),
    ],
)
def test_what_is_no_data_set_is_named(tmp_path, content, names, text):
    with pytest.raises(ValueError, match=text):
        label_files(raw_set(tmp_path, content, names))


def test_a_path_that_leads_nowhere_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere does not exist"):
        label_files(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"must hold dataset.json and labelsTr, or a datalist.json, got none"):
        label_files(tmp_path)


@pytest.mark.parametrize("ending", [".png", ".bmp", ".tif"])
def test_an_image_has_one_slice_and_no_spacing_but_pixels(tmp_path, ending):
    write_image(tmp_path / f"a{ending}", LABELS, (0.3, 0.3))  # as a screen's resolution, which is stored by some
    found = read_any_labels(tmp_path / f"a{ending}")
    np.testing.assert_array_equal(found.array, LABELS[None])
    assert (found.array.dtype, found.spacing, found.unit) == (np.int64, (1.0, 1.0, 1.0), "px")


def test_a_tiff_volume_has_the_spacing_beside_it(tmp_path):
    write_image(tmp_path / "a.tif", np.stack([LABELS, LABELS]))
    (tmp_path / "a.json").write_text('{"spacing": [50, 4, 4]}')
    found = read_any_labels(tmp_path / "a.tif")
    assert (found.array.shape, found.spacing, found.unit) == ((2, 3, 4), (50.0, 4.0, 4.0), "mm")


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".mha"])
def test_volumes_of_all_kinds_have_spacing_in_the_order_of_the_axes(tmp_path, ending):
    write_image(tmp_path / f"a{ending}", np.stack([LABELS, LABELS]), (3.0, 2.0, 1.0))
    found = read_any_labels(tmp_path / f"a{ending}")
    assert (found.array.shape, found.spacing, found.unit) == ((2, 3, 4), (3.0, 2.0, 1.0), "mm")


@pytest.mark.parametrize(
    ("name", "array", "text"),
    [
        ("a.png", np.arange(36, dtype=np.uint8).reshape(3, 4, 3), r"must hold one channel of labels, got .*3, 4, 3"),
        ("a.nrrd", np.full((2, 3, 4), 0.5, np.float32), r"must hold labels \(integers >= 0\), got .*0.5"),
        ("a.nrrd", np.full((2, 3, 4), -1, np.int16), r"must hold labels \(integers >= 0\), got .*-1"),
        ("a.png", None, "a.png must be a complete image that SimpleITK reads"),
    ],
)
def test_a_file_without_labels_is_named(tmp_path, name, array, text):
    if array is None:
        (tmp_path / name).write_bytes(b"\x89PNG")
    else:
        sitk.WriteImage(sitk.GetImageFromArray(array, isVector=array.shape[-1] == 3), str(tmp_path / name))
    with pytest.raises(ValueError, match=text):
        read_any_labels(tmp_path / name)


def test_a_label_map_that_does_not_fit_is_refused_before_it_is_in_memory(tmp_path, monkeypatch):
    write_image(tmp_path / "a.nrrd", np.zeros((40, 60, 80), np.uint8))
    monkeypatch.setenv("MONAI_BOUNDARY_MAX_GB", "0.001")
    with pytest.raises(ValueError, match=r"a\.nrrd must take at most 0\.001 GB of memory, got 0\.00154 GB"):
        read_any_labels(tmp_path / "a.nrrd")


@pytest.mark.parametrize("text", ['{"shapes": []}', "[1, 2]"])
def test_json_of_another_program_beside_a_label_says_nothing_of_its_spacing(tmp_path, text) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(np.eye(5, dtype=np.uint8)), str(tmp_path / "a.png"))
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    assert read_any_labels(tmp_path / "a.png").spacing == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("text", ['{"spacing": null}', '{"spacing": [0, 0]}', "{"])
def test_spacing_that_is_none_is_named_with_its_file(tmp_path, text) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(np.eye(5, dtype=np.uint8)), str(tmp_path / "a.png"))
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"a.json must hold JSON with a spacing of sizes > 0 in mm, got: "):
        read_any_labels(tmp_path / "a.png")


DECATHLON = {
    "labels": {"0": "background", "1": "lesion"},
    "training": [{"image": "./imagesTr/a.nii.gz", "label": "./labelsTr/a.nii.gz"}],
    "test": ["./imagesTs/t.nii.gz", {"image": "./imagesTs/b.nii.gz", "label": "./labelsTr/b.nii.gz"}],
}


@pytest.mark.parametrize("given", ["", "dataset.json"])
def test_a_list_decides_over_the_label_maps_that_lie_in_labels_tr(tmp_path, given) -> None:
    folder = raw_set(tmp_path, DECATHLON, ("a.nii.gz", "b.nii.gz", "c.nii.gz"))
    found = label_files(folder / given)
    assert dict(found.files) == {"a": folder / "labelsTr" / "a.nii.gz"}
    assert dict(found.classes) == {"lesion": (1,)}


@pytest.mark.parametrize("given", ["", "dataset.json", "datalist.json"])
def test_a_datalist_beside_a_raw_data_set_decides_and_its_classes_are_named(tmp_path, given) -> None:
    folder = raw_set(tmp_path, {"labels": {"background": 0, "lesion": 1, "ignore": 2}}, ("a.nii.gz", "b.nii.gz"))
    listed = [{"case": name, "image": "no.nii.gz", "label": f"labelsTr/{name}.nii.gz"} for name in "abc"]
    content = {"training": [listed[0], listed[2]], "test": [listed[1]]}
    (folder / "datalist.json").write_text(json.dumps(content))
    found = label_files(folder / given)
    assert (list(found.files), dict(found.classes), found.ignore_index) == (["a", "c"], {"lesion": (1,)}, 2)


def test_a_list_of_test_cases_alone_leaves_labels_tr(tmp_path) -> None:
    folder = raw_set(tmp_path, {"labels": {"lesion": 1}, "test": ["./imagesTs/t.nii.gz"]}, ("a.nii.gz",))
    assert list(label_files(folder).files) == ["a"]
