"""Keyword arguments that a function hands on: an unknown one is named together with the nearest that there is."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Collection, Iterable
from typing import Any

__all__ = ["check_options", "keyword_names"]


def keyword_names(*kinds: type) -> list[str]:
    """Return the names of the arguments of classes, those of the first one first."""
    names = {
        name: None
        for kind in kinds
        for name, parameter in inspect.signature(_init_of(kind)).parameters.items()
        if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL) and name != "self"
    }
    return list(names)


def check_options(owner: str, given: Iterable[str], known: Collection[str]) -> None:
    """Raise a TypeError that names the options in `given` that are not `known`, and those nearest to them."""
    unknown = [name for name in given if name not in known]
    if not unknown:
        return
    near = [close for name in unknown for close in difflib.get_close_matches(name, known, 1)]
    hint = f"; did you mean {', '.join(near)}?" if near else "; leave it out"
    raise TypeError(f"options of {owner} must be of {', '.join(known)}, got {', '.join(unknown)}{hint}")


def _init_of(kind: type) -> Callable[..., Any]:
    return kind.__init__  # type: ignore[misc,no-any-return]
