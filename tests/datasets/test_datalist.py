"""MONAI's datalist, as this package writes it and as others do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from monai_boundary.datasets.datalist import read_datalist, write_datalist


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
        ('{"training": []}', "must name files that exist, got none at all"),
        ('{"training": [{"image": ["none.nii.gz"]}]}', "must name files that exist, got none at .*none.nii.gz"),
        ('{"training": [{"image": "d.json"}], "test": [{"image": "d.json"}]}', "every case once, got d.json more than"),
    ],
)
def test_a_broken_datalist_is_named(tmp_path, content, text):
    (tmp_path / "d.json").write_text(content)
    with pytest.raises(ValueError, match=text):
        read_datalist(tmp_path / "d.json")
