"""The tables of faults keep in step with the code; whether tests catch them is what `run.py` shows."""

from __future__ import annotations

import pytest

from tests.faults.registry import FAULTS, import_rooms, locate
from tests.faults.run import TESTS

import_rooms()


@pytest.mark.parametrize("one", FAULTS, ids=lambda one: f"{one.place}-{one.what}".replace(" ", "_"))
def test_a_fault_changes_a_function_that_is_there_and_is_watched(one):
    _, _, stored = locate(one.place)
    right = getattr(stored, "__func__", stored)
    assert one.change(right) is not right
    assert one.tests
    assert all((TESTS / path).exists() for path in one.tests)
