"""The table of docs/monai.md on maps that went through MONAI's transforms is what is measured."""

from __future__ import annotations

import re
from pathlib import Path

import monai.transforms as mt
import numpy as np
import pytest
import torch
from monai.data import list_data_collate
from scipy.ndimage import distance_transform_edt

from experiments.carried_maps.measure import BEGIN, CLIP, END, OPTIONS, ROWS, phantom, printed
from monai_boundary import BoundaryLoss, SignedDistanceMap
from monai_boundary.engines import PrepareBatchTarget

PAGE = (Path(__file__).parents[2] / "docs" / "monai.md").read_text()
PRINTED = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in PAGE.partition(BEGIN)[2].partition(END)[0].strip().splitlines()[2:]
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_of_the_page_and_its_remedies_are_what_is_measured(row) -> None:
    (page,) = [cells for cells in PRINTED if cells[0] == row.name]
    found = printed(row)
    for cell, (expected, measured) in enumerate(zip(page, found, strict=True)):
        numbers, now = ([float(number) for number in re.findall(r"\d+\.\d+", text)] for text in (expected, measured))
        if cell in (2, 5):  # errors: machines differ in the last digit
            assert now == pytest.approx(numbers, rel=0.2, abs=0.06)
            assert re.sub(r"[\d.]+", "", measured) == re.sub(r"[\d.]+", "", expected)
        else:
            assert measured == expected


def test_every_row_of_the_page_is_measured_and_each_wrong_one_has_a_remedy() -> None:
    assert [cells[0] for cells in PRINTED] == [row.name for row in ROWS]
    assert {cells[1] for cells in PRINTED} == {"exact", "approximate", "wrong"}
    assert all((cells[4] == "none") == (not row.remedied) for cells, row in zip(PRINTED, ROWS, strict=True))
    assert all(cells[4] != "none" for cells in PRINTED if cells[1] == "wrong")
    assert not any("wrong" in cells[5] for cells in PRINTED)


MOVES = [
    (mt.Zoomd("label", (1.0, 1.0, 1.4), mode="nearest-exact", padding_mode="edge"), (1.0, 1.0, 1.0)),
    (mt.Zoomd("label", 1.4, mode="nearest-exact", padding_mode="edge"), (1.0, 1.0, 1.0)),
    (mt.Rotated("label", (0.0, 0.52, 0.0), mode="nearest", padding_mode="border"), (3.0, 1.0, 1.0)),
    (mt.Affined("label", shear_params=(0.3, 0, 0, 0, 0, 0), mode="nearest", padding_mode="border"), (1.0, 1.0, 1.0)),
]


@pytest.mark.filterwarnings("ignore:the affine is sheared")
@pytest.mark.parametrize(("move", "spacing"), MOVES)
def test_what_makes_a_map_after_an_augmentation_needs_the_spacing_from_before_it(move, spacing) -> None:
    """The transform, `PrepareBatchTarget` and the loss alike: MONAI writes the augmentation into the affine."""
    sample = {"label": move(phantom(spacing))["label"]}
    mask = sample["label"][0].numpy() > 0
    true = [distance_transform_edt(part, sampling=spacing) for part in (~mask, mask)]
    true = torch.from_numpy(np.clip(true[0] - true[1], -CLIP, CLIP)).float()
    settings = {"preset": None, **vars(OPTIONS), "convention": "centre"}
    batch = {"image": torch.zeros(1, 1, *mask.shape), "label": list_data_collate([sample])["label"]}
    for given, right in ((None, False), (spacing, True)):
        transform = SignedDistanceMap(2, spacing=given, **settings)
        prepared = PrepareBatchTarget(transform=transform)(batch, "cpu")[1]["distance_map"][0, 1]
        terms = {"softmax": True, "to_onehot_y": True, "include_background": False}
        loss = BoundaryLoss(**terms, options=transform.options, spacing=given)
        logits = torch.stack([torch.zeros(mask.shape), true])[None]
        value = float(loss(logits, batch["label"]))
        expected = float((true * torch.sigmoid(true)).mean())
        made = transform(sample["label"])[1]
        for found in (made, prepared):
            assert (float((found.as_tensor() - true).abs().max()) < 1e-4) == right
        assert (value == pytest.approx(expected, rel=1e-4)) == right


def test_the_command_writes_the_table(run, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    done = run("carried-maps", "--docs", page)
    assert done.exit_code == 0, done.output
    assert page.read_text() == f"before\n{BEGIN}\n{done.output.strip()}\n{END}\nafter\n"
