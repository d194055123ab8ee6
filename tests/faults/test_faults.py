"""The tables of faults keep in step with the code; whether tests catch them is what `run.py` shows."""

from __future__ import annotations

import inspect

import pytest

from tests.faults.registry import FAULTS, import_rooms, locate, right_function
from tests.faults.run import TESTS

import_rooms()


@pytest.mark.parametrize("one", FAULTS, ids=lambda one: f"{one.place}-{one.what}".replace(" ", "_"))
def test_a_fault_changes_a_function_that_is_there_and_is_watched(one):
    right = right_function(locate(one.place)[2])
    needed = [entry for entry in inspect.signature(right).parameters.values() if entry.default is entry.empty]
    count = sum(entry.kind is entry.POSITIONAL_OR_KEYWORD for entry in needed)
    inspect.signature(one.change).bind(right, *range(count))  # raises where it does not take what the right one does
    assert one.tests
    assert all((TESTS / path).exists() for path in one.tests)
