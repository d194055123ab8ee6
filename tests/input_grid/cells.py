"""Cells of the grid: one public name called with one odd argument, and how the result is classified."""

from __future__ import annotations

import dataclasses
import inspect
import numbers
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch

from tests.input_grid import kinds
from tests.input_grid.kinds import ANY, EQUAL, ERROR, FINITE, KEPT, SAME, Odd

#: What a cell may be; anything else is a fault.
CLASSES = ("equal value", "finite value", "documented value", "clear error")
CLEAR = (ValueError, TypeError, FileNotFoundError, IsADirectoryError, NotADirectoryError, FileExistsError, ImportError)
#: Names that texts use for an argument.
ALIASES = {"reduction": ("LossReduction", "Unsupported reduction"), "target_boundary": ("target",)}
#: Warnings that say what the package documents.
EXPECTED_WARNINGS = re.compile(r"spacing of the target is unknown|single channel prediction, `|distance_map must be|"
                               r"distance_map was made|was made with|is sheared|spacing must come from")  # fmt: skip


@dataclasses.dataclass
class Recipe:
    """How a public name is called.

    Attributes:
        target: The function or class.
        arguments: Usual value of each argument.
        odd: Odd forms of these; of others by `optional_kinds`.
        use: Called with the object that a class makes, and the arguments that its constructor does not take.
        aliases: Other names of arguments in texts.
        ndim: Spatial axes.
        documented: (argument, odd form) to what is documented there: any value is right.
        skip: Arguments without odd forms.
    """

    target: Callable[..., Any]
    arguments: dict[str, Any]
    odd: dict[str, list[Odd]]
    use: Callable[..., Any] | None = None
    aliases: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    ndim: int = 2
    documented: Mapping[tuple[str, str], str] = dataclasses.field(default_factory=dict)
    skip: tuple[str, ...] = ()

    def call(self, arguments: Mapping[str, Any]) -> Any:
        if self.use is None:
            return self.target(**arguments)
        taken = inspect.signature(self.target).parameters
        later = {name: value for name, value in arguments.items() if name not in taken}
        return self.use(self.target(**{name: arguments[name] for name in arguments if name in taken}), **later)


def recipe(
    target: Callable[..., Any], use: Callable[..., Any] | None = None, /, *, ndim: int = 2, aliases: Any = None,
    documented: Any = None, skip: tuple[str, ...] = (), **arguments: Any,
) -> Recipe:  # fmt: skip
    """Return a recipe; each argument is ``(usual value, odd forms)``, or a usual value that has none."""
    values = {name: one[0] if isinstance(one, tuple) else one for name, one in arguments.items()}
    odd = {name: one[1] for name, one in arguments.items() if isinstance(one, tuple)}
    return Recipe(target, values, odd, use, aliases or {}, ndim, documented or {}, (*skip, *(set(values) - set(odd))))


def given(value: Any, kind: str, leading: int = 0, **settings: bool) -> tuple[Any, list[Odd]]:
    """Return an array and its odd forms, see `kinds.array`."""
    return value, kinds.array(value, kind, leading, **settings)


class Cell(NamedTuple):
    """One argument of a call in an odd form."""

    argument: str
    odd: Odd


def optional_kinds(recipe: Recipe) -> dict[str, list[Odd]]:
    """Return the odd forms of arguments that have a default, by its type, or by their names."""
    found = {}
    for name, parameter in inspect.signature(recipe.target).parameters.items():
        default = parameter.default
        if name in recipe.odd or name in recipe.skip or default is inspect.Parameter.empty:
            continue
        if name == "ignore_index":
            found[name] = kinds.ignore_index()
        elif name == "spacing":
            found[name] = kinds.spacing(recipe.ndim)
        elif isinstance(default, str):
            found[name] = kinds.choice()
        elif isinstance(default, numbers.Real) and not isinstance(default, bool):
            found[name] = kinds.integer() if isinstance(default, int) else kinds.number()
    return found


def cells_of(recipe: Recipe) -> Iterator[Cell]:
    for argument, odds in {**recipe.odd, **optional_kinds(recipe)}.items():
        for odd in odds:
            yield Cell(argument, odd)


def usual(recipe: Recipe, argument: str) -> Any:
    parameter = inspect.signature(recipe.target).parameters.get(argument)
    return recipe.arguments.get(argument, getattr(parameter, "default", None))


def leaves(value: Any) -> list[Any]:
    """Return the numbers, arrays and texts that a result is made of."""
    if isinstance(value, torch.Tensor):
        tensor = value.detach().as_subclass(torch.Tensor)
        if tensor.device.type == "meta" or tensor.layout != torch.strided:
            return [f"{tensor.device} {tensor.layout}"]
        return [tensor.double().numpy() if tensor.dtype == torch.bfloat16 else tensor.numpy()]
    if isinstance(value, Mapping):
        return [leaf for key in value for leaf in leaves(value[key])]
    if isinstance(value, list | tuple):
        return [leaf for one in value for leaf in leaves(one)]
    if dataclasses.is_dataclass(value) and not isinstance(value, torch.nn.Module | type):
        return [leaf for field in dataclasses.fields(value) for leaf in leaves(getattr(value, field.name))]
    return [value]


def is_numeric(leaf: Any) -> bool:
    return isinstance(leaf, np.ndarray) or (isinstance(leaf, numbers.Number | np.generic) and not isinstance(leaf, str))


def is_finite(value: Any) -> bool:
    return all(np.isfinite(leaf).all() for leaf in leaves(value) if is_numeric(leaf))


def same_form(found: Any, expected: Any) -> bool:
    """Whether a result is made of the same kinds of things; tensors and arrays are one kind."""
    return [is_numeric(leaf) or type(leaf).__name__ for leaf in leaves(found)] == [
        is_numeric(leaf) or type(leaf).__name__ for leaf in leaves(expected)
    ]


def are_equal(found: Any, expected: Any) -> bool:
    pairs = list(zip(leaves(found), leaves(expected), strict=False))
    if len(leaves(found)) != len(leaves(expected)):
        return False
    return all(
        np.shape(a) == np.shape(b) and np.allclose(np.asarray(a, float), np.asarray(b, float), 1e-4, 1e-5, True)
        if is_numeric(a) and is_numeric(b)
        else type(a) is type(b)
        for a, b in pairs
    )


def error_fault(error: BaseException, argument: str, recipe: Recipe) -> str | None:
    """Return what is wrong with an error, ``None`` for a clear one."""
    text = str(error)
    if not isinstance(error, CLEAR):
        return f"{type(error).__name__}: {text[:160]}"
    names = (argument, *ALIASES.get(argument, ()), *recipe.aliases.get(argument, ()))
    if "\n" in text or not any(re.search(rf"(?<![A-Za-z]){re.escape(name)}(?![A-Za-z])", text) for name in names):
        return f"names no {argument}: {type(error).__name__}: {text[:160]!r}"
    return None


def value_class(found: Any, expected: Any, allowed: str) -> str:
    """Return the class of a value, or what is wrong with it."""
    if allowed == ERROR:
        return f"no error but {str(leaves(found))[:100]}"
    if allowed in (EQUAL, SAME):
        return "equal value" if are_equal(found, expected) else f"not the usual value: {str(leaves(found))[:100]}"
    if allowed == KEPT:
        held = any(isinstance(leaf, np.ndarray | float) and np.isnan(leaf).any() for leaf in leaves(found))
        return "documented value" if held else f"NaN is hidden: {str(leaves(found))[:100]}"
    if allowed == ANY:
        return "documented value"
    assert allowed == FINITE
    if not is_finite(found):
        return f"not finite: {str(leaves(found))[:100]}"
    return "finite value" if same_form(found, expected) else f"of another form: {str(leaves(found))[:100]}"


def classify(recipe: Recipe, cell: Cell, expected: Any) -> str:
    """Return one of `CLASSES`, or what is wrong."""
    odd = cell.odd.change(usual(recipe, cell.argument))
    allowed = ANY if (cell.argument, cell.odd.name) in recipe.documented else cell.odd.allowed
    torch.manual_seed(0)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            found = recipe.call({**recipe.arguments, cell.argument: odd})
        except Exception as error:
            fault = error_fault(error, cell.argument, recipe)
            if fault is None and allowed == EQUAL:
                return f"refused: {str(error)[:160]}"
            return fault or "clear error"
    wrong = [str(one.message) for one in said if not EXPECTED_WARNINGS.search(str(one.message))]
    return f"warns: {wrong[0][:160]}" if wrong else value_class(found, expected, allowed)


def run(recipe: Recipe) -> tuple[dict[str, int], list[str]]:
    """Run all cells of a recipe; returns how many are of each class, and the faults."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        expected = recipe.call(recipe.arguments)
    assert same_form(expected, expected)
    counts, faults = dict.fromkeys(CLASSES, 0), []
    for cell in cells_of(recipe):
        result = classify(recipe, cell, expected)
        if result in counts:
            counts[result] += 1
        else:
            faults.append(f"{cell.argument}={cell.odd.name} ({cell.odd.allowed}): {result}")
    return counts, faults
