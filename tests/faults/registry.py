"""What a fault is, and how it is put into the running package."""

from __future__ import annotations

import functools
import importlib
import pkgutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["FAULTS", "Fault", "apply", "fault", "import_rooms", "locate", "right_function"]

PACKAGES = ("monai_boundary", "nnunet_trainers", "experiments")
Break = Callable[..., Any]


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        what: What is wrong, as a sentence.
        place: ``"package.module:function"`` or ``"package.module:Class.method"``.
        tests: Paths below tests/, of which at least one must fail.
        change: The broken function; it takes the right one, and then what the right one takes.
    """

    what: str
    place: str
    tests: tuple[str, ...]
    change: Break


FAULTS: list[Fault] = []


def fault(place: str, *tests: str) -> Callable[[Break], Break]:
    """Register the decorated function, which runs in place of the right one and gets it as first argument."""

    def register(change: Break) -> Break:
        FAULTS.append(Fault(change.__name__.replace("_", " "), place, tests, change))
        return change

    return register


def import_rooms() -> None:
    """Import every table of this folder, which registers its faults."""
    import tests.faults as folder

    for module in pkgutil.iter_modules(folder.__path__):
        if module.name not in ("registry", "run") and not module.name.startswith("test_"):
            importlib.import_module(f"tests.faults.{module.name}")


def locate(place: str) -> tuple[Any, str, Any]:
    """Return the module or class that holds the function, its name there, and what is stored under it."""
    module, _, path = place.partition(":")
    holder: Any = importlib.import_module(module)
    *outer, name = path.split(".")
    for part in outer:
        holder = getattr(holder, part)
    return holder, name, vars(holder)[name]


def right_function(stored: Any) -> Callable[..., Any]:
    """Return the function inside of a property, cached or not, or of a class or static method."""
    if isinstance(stored, functools.cached_property):
        return stored.func
    return stored.fget if isinstance(stored, property) else getattr(stored, "__func__", stored)


def apply(one: Fault) -> None:
    """Break the function, for good: call it in a process of its own."""
    holder, name, stored = locate(one.place)
    right = right_function(stored)

    @functools.wraps(right)
    def function(*args: Any, **kwargs: Any) -> Any:
        return one.change(right, *args, **kwargs)

    broken = function if right is stored else type(stored)(function)
    if isinstance(broken, functools.cached_property):
        broken.__set_name__(holder, name)
    setattr(holder, name, broken)
    for module in [module for key, module in sys.modules.items() if key.split(".")[0] in PACKAGES]:
        for key, value in list(vars(module).items()):  # names bound by "from ... import ..."
            if value is stored:
                setattr(module, key, broken)
