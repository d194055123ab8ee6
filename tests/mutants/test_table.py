"""The table of faults keeps up with the code; whether they are caught is `python -m tests.mutants.run`."""

from __future__ import annotations

import pytest

from tests.mutants.run import ROOT, TABLE


@pytest.mark.parametrize("file", sorted({row.file for row in TABLE}))
def test_every_fault_has_its_one_place_in_the_code(file):
    source = (ROOT / "monai_boundary" / file).read_text()
    assert [row.what for row in TABLE if row.file == file and source.count(row.old) != 1] == []


def test_every_fault_changes_something_and_names_tests_that_exist():
    assert [row.what for row in TABLE if row.old == row.new] == []
    paths = {path for row in TABLE for path in row.tests.split()}
    assert [path for path in sorted(paths) if not (ROOT / "tests" / path.split("::")[0]).exists()] == []
