"""MONAI's datalist, as this package writes it and as others do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from monai_boundary.datasets.checks import check_entries, data_files
from monai_boundary.datasets.datalist import class_values, datalist_file, read_datalist, write_datalist
from monai_boundary.datasets.nifti import case_name


def test_the_list_of_the_decathlon_is_read_and_dots_belong_to_names(tmp_path: Path) -> None:
    names = ["1.3.6.1.4.0175.nii.gz", "1.3.6.1.4.0176.nii.gz", "test.nii.gz"]
    for name in names:
        (tmp_path / name).touch()
    training = [{"image": f"./{name}", "label": f"./{name}"} for name in names[:2]]
    content = {"labels": {"0": "background"}, "training": training, "test": [f"./{names[2]}"]}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    splits = read_datalist(tmp_path / "dataset.json")
    assert [case.case for case in splits["training"]] == ["1.3.6.1.4.0175", "1.3.6.1.4.0176"]
    assert [(case.case, case.label) for case in splits["test"]] == [("test", None)]


TWO = {"background": (0,), "lesion": (1,)}


@pytest.mark.parametrize(
    ("labels", "values"),
    [
        ({"background": 0, "lesion": 1}, TWO),
        ({"0": "background", "1": "lesion"}, TWO),  # the Decathlon and nnU-Net 1
        ({"background": "0", "lesion": "1"}, TWO),
        ({"whole": [1, 2, 3], "core": [2, 3], "ignore": 4}, {"whole": (1, 2, 3), "core": (2, 3)}),
        ({"0": "background", "1": "lesion", "2": "ignore"}, TWO),
        ({}, {}),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_classes_are_named_in_either_direction(labels: object, values: dict, encoding: str, tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": labels}), encoding=encoding)
    assert class_values(tmp_path / "dataset.json") == values
    assert class_values(tmp_path / "none.json") == {}


def test_a_list_of_another_program_lists_no_cases_and_damage_is_named(tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text("[1, 2]")
    assert datalist_file(tmp_path) is None
    assert class_values(tmp_path / "dataset.json") == {}
    (tmp_path / "dataset.json").write_text('{"training": [],}')
    for read in (datalist_file, lambda folder: class_values(folder / "dataset.json")):
        with pytest.raises(ValueError, match=r"dataset\.json must be JSON, got: "):
            read(tmp_path)


@pytest.mark.parametrize("labels", [None, [0, 1], {"a": "b"}])
def test_classes_in_another_form_are_named(labels: object, tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": labels}))
    with pytest.raises(ValueError, match=r"dataset\.json must be a description of classes, got: labels must be"):
        class_values(tmp_path / "dataset.json")


def test_the_folder_of_the_decathlon_is_a_datalist_and_that_of_nnunet_is_none(tmp_path: Path) -> None:
    (tmp_path / "labelsTr").mkdir()
    (tmp_path / "labelsTr" / "a.b.nii.gz").touch()
    entry = {"image": "./labelsTr/a.b.nii.gz", "label": "./labelsTr/a.b.nii.gz"}
    content = {"labels": {"0": "background"}, "numTest": 1, "training": [entry], "test": ["./labelsTr/a.b.nii.gz"]}
    content["test"] = [{"case": "t", "image": "./labelsTr/a.b.nii.gz", "label": None}]
    (tmp_path / "dataset.json").write_text(json.dumps(content), encoding="utf-8-sig")
    splits = read_datalist(tmp_path)
    assert [(case.case, case.label is None) for cases in splits.values() for case in cases] == [
        ("a.b", False),
        ("t", True),
    ]
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": {"background": 0}, "numTraining": 1}))
    with pytest.raises(FileNotFoundError, match=r"datalist\.json"):
        read_datalist(tmp_path)


@pytest.mark.parametrize("name", ["../x", "/x", "a/b", "..", ".x", "a\\b", "C:x", "a\nb", "a\0b"])
def test_a_name_that_leads_elsewhere_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").touch()
    content = {"training": [{"case": name, "image": "a.nii.gz", "label": "a.nii.gz"}]}
    (tmp_path / "datalist.json").write_text(json.dumps(content))
    with pytest.raises(
        ValueError, match=rf"names of cases must be names of files, got .* in {tmp_path}/datalist\.json"
    ):
        read_datalist(tmp_path)
    with pytest.raises(ValueError, match="names of volumes must be names of files, got"):
        check_entries("volumes", [(name, "training", tmp_path)])


def test_files_are_listed_with_links_that_lead_nowhere_and_without_shadows(tmp_path: Path) -> None:
    for name in ("b.nii", "A.NII.GZ", "._b.nii", "c.txt", "__MACOSX/d.nii", ".x/e.nii", "sub/f.nii"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.nii").mkdir()
    (tmp_path / "gone.nii").symlink_to("nowhere.nii")
    (tmp_path / "linked.nii").symlink_to("folder.nii", target_is_directory=True)
    names = [str(path.relative_to(tmp_path)) for path in data_files(tmp_path, (".nii", ".nii.gz"), below=True)]
    assert names == ["A.NII.GZ", "b.nii", "gone.nii", "sub/f.nii"]
    assert [case_name(tmp_path / name) for name in names] == ["A", "b", "gone", "f"]


def test_a_datalist_is_read_as_it_was_written_and_can_be_moved(splits, tmp_path):
    write_datalist(tmp_path / "datalist.json", splits)
    moved = tmp_path.rename(tmp_path.parent / "elsewhere")
    found = read_datalist(moved)
    assert {k: [case.case for case in v] for k, v in found.items()} == {"training": ["p0", "p1"], "validation": ["p2"]}
    assert all(file.is_file() for cases in found.values() for case in cases for file in (*case.image, case.label))
    moved.rename(tmp_path)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("[]", "must be a datalist"),
        ("{", "must be a datalist"),
        ('{"training": [{"label": "a"}]}', "must be a datalist.*KeyError"),
        ('{"training": []}', "must name cases, got none at all"),
        (
            '{"training": [{"image": ["none.nii.gz"]}]}',
            "must name files that exist, got none at .*none.nii.gz; put them there",
        ),
        ('{"training": [{"image": "d.json"}], "test": [{"image": "d.json"}]}', "every case once, got d.json more than"),
    ],
)
def test_a_broken_datalist_is_named(tmp_path, content, text):
    (tmp_path / "d.json").write_text(content)
    with pytest.raises(ValueError, match=text):
        read_datalist(tmp_path / "d.json", needed=("image",))


def test_the_key_of_auto3dseg_lists_test_cases_too(tmp_path: Path) -> None:
    content = {"training": [{"image": "a.nii.gz", "fold": 0}], "testing": [{"image": "c.nii.gz"}]}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    assert [case.case for case in read_datalist(tmp_path)["test"]] == ["c"]
    (tmp_path / "dataset.json").write_text(json.dumps({"testing": ["c.nii.gz"], "test": ["d.nii.gz"]}))
    assert [case.case for case in read_datalist(tmp_path)["test"]] == ["d", "c"]


@pytest.mark.parametrize("fold", ["1", 1.5, [1], True])
def test_folds_that_are_no_whole_numbers_are_refused(tmp_path: Path, fold: object) -> None:
    cases = [{"image": f"{name}.nii.gz", "fold": one} for name, one in (("a", 0), ("b", fold))]
    (tmp_path / "d.json").write_text(json.dumps({"training": cases}))
    with pytest.raises(ValueError, match=r"d\.json must have whole numbers as folds, got .*; write \"fold\": 1, say"):
        read_datalist(tmp_path / "d.json", fold=1)


def test_only_the_files_that_a_caller_needs_must_be_there(tmp_path: Path) -> None:
    (tmp_path / "there").touch()
    content = {"training": [{"case": "a", "image": "no image", "label": "there"}],
               "validation": [{"case": "b", "image": "there", "label": "no label"}],
               "test": ["no test"]}  # fmt: skip
    (tmp_path / "datalist.json").write_text(json.dumps(content))
    found = read_datalist(tmp_path)
    assert [case.case for cases in found.values() for case in cases] == ["a", "b", "no test"]
    for needed, splits, missing in (
        (("label",), ("training", "test"), ""), (("image",), ("validation",), ""),
        (("image",), ("training", "validation"), "no image"), (("image",), ("test",), "no test"),
        (("image", "label"), ("validation",), "no label"),
    ):  # fmt: skip
        if missing:
            with pytest.raises(ValueError, match=rf"must name files that exist, got none at {tmp_path}/{missing};"):
                read_datalist(tmp_path, needed=needed, splits=splits)
        else:
            assert read_datalist(tmp_path, needed=needed, splits=splits) == found
