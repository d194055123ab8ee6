"""Every public name with odd input: a right value, a documented one, or a clear error, and nothing else.

The cells are made of how a name is called (`tests/input_grid/rooms.py`) and of the odd forms of each argument
(`kinds.py`); `cells.py` says what counts as a clear error. How many there are of each class is in pytest's summary.
"""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch

from tests.input_grid import kinds, rooms
from tests.input_grid.cells import CLASSES, cells_of, classify, recipe, run

RECIPES = rooms.recipes()


@pytest.mark.parametrize("name", RECIPES)
def test_odd_input_is_a_value_or_a_clear_error(name, record_property):
    if name == "TopologyLoss":
        pytest.importorskip("torchvision", exc_type=ImportError)
    counts, faults = run(RECIPES[name])
    record_property("input_grid", {**counts, "faults": len(faults)})
    assert not faults, "\n".join([f"{name}: {len(faults)} cells", *faults])


def test_every_public_name_of_the_rooms_is_in_the_grid():
    assert rooms.targets() == set(RECIPES), "give a new name a line in tests/input_grid, or a reason to be left out"


def test_there_are_many_cells():
    assert sum(len(list(cells_of(one))) for one in RECIPES.values()) >= 6000


# The judge itself


def judge(function, value=1.0, odd="nan", allowed=kinds.FINITE):
    form = kinds.Odd(odd, kinds.constant(math.nan), allowed)
    made = recipe(function, size=(value, [form]))
    return classify(made, next(cells_of(made)), function(value))


def one(size):
    return 1.0


def fail(error):
    def function(size):
        if size != 1:
            raise error
        return 1.0

    return function


def warn(size):
    if size != 1:
        warnings.warn("divide by zero", RuntimeWarning, stacklevel=1)
    return 1.0


@pytest.mark.parametrize(
    ("function", "allowed"),
    [
        (lambda size: size, kinds.FINITE),  # silent NaN
        (lambda size: size, kinds.EQUAL),
        (lambda size: 0.0 if size != 1 else 1.0, kinds.SAME),  # silent zero
        (one, kinds.ERROR),  # no error
        (one, kinds.KEPT),  # NaN is hidden
        (lambda size: "text" if size != 1 else 1.0, kinds.FINITE),  # another kind of result
        (fail(AttributeError("size has no shape")), kinds.ERROR),
        (fail(RuntimeError("size is wrong")), kinds.ERROR),
        (fail(ValueError("argument must be positive")), kinds.ERROR),  # which one?
        (fail(ValueError("resize is wrong")), kinds.ERROR),  # another name
        (fail(ValueError("size is wrong\nTraceback")), kinds.ERROR),
        (fail(ValueError("size is wrong")), kinds.EQUAL),  # right input refused
        (warn, kinds.SAME),
    ],
)
def test_what_is_wrong_is_seen(function, allowed):
    assert judge(function, allowed=allowed) not in CLASSES


@pytest.mark.parametrize(
    ("function", "allowed", "found"),
    [
        (one, kinds.EQUAL, "equal value"),
        (lambda size: 2.0 if size != 1 else 1.0, kinds.FINITE, "finite value"),
        (lambda size: torch.tensor(size), kinds.KEPT, "documented value"),
        (lambda size: np.full(3, size), kinds.ANY, "documented value"),
        (fail(ValueError("size must be 1, got nan")), kinds.ERROR, "clear error"),
        (fail(TypeError("size must be a number")), kinds.FINITE, "clear error"),
    ],
)
def test_what_is_right_is_let_pass(function, allowed, found):
    assert judge(function, allowed=allowed) == found
