"""MONAI's datalist, as this package writes it and as others do."""

from __future__ import annotations

import json
from pathlib import Path

from monai_boundary.datasets.datalist import read_datalist


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
