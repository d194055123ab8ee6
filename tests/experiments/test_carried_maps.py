"""The table of docs/monai.md on maps that went through MONAI's transforms is what is measured."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from experiments.carried_maps.measure import BEGIN, END, ROWS, measure

PAGE = (Path(__file__).parents[2] / "docs" / "monai.md").read_text()
PRINTED = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in PAGE.partition(BEGIN)[2].partition(END)[0].strip().splitlines()[2:]
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_of_the_page_is_what_is_measured(row) -> None:
    (printed,) = [cells for cells in PRINTED if cells[0] == row.name]
    found = measure(row)
    assert printed[1] == found.verdict
    assert printed[3] == found.said
    assert printed[4] == row.remedy
    numbers = [float(number) for number in re.findall(r"[\d.]+", printed[2])]
    expected = [found.mean, found.most, found.largest] if len(numbers) == 3 else [found.largest]
    assert expected == pytest.approx(numbers, rel=0.2, abs=0.06)


def test_every_row_of_the_page_is_measured_and_each_wrong_one_has_a_remedy() -> None:
    assert [cells[0] for cells in PRINTED] == [row.name for row in ROWS]
    assert {cells[1] for cells in PRINTED} == {"exact", "approximate", "wrong"}
    assert all(cells[4] != "none" for cells in PRINTED if cells[1] == "wrong")


def test_the_command_writes_the_table(run, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    done = run("carried-maps", "--docs", page)
    assert done.exit_code == 0, done.output
    assert page.read_text() == f"before\n{BEGIN}\n{done.output.strip()}\n{END}\nafter\n"
