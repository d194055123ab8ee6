"""What a training consists of, to a file and back: the objects that the user names, and the random states."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.transforms import Randomizable, Transform

__all__ = ["SavedState"]

Access = tuple[Callable[[], Any], Callable[[Any], Any]]


class SavedState:
    """Writes and reads the state of all objects at once, and that of the global random generators.

    Args:
        objects: Anything with `state_dict` and `load_state_dict`, or a random generator (of torch, NumPy or Python), or
            MONAI's random transforms, under a name each.

    Raises:
        TypeError: An object is none of these.
    """

    def __init__(self, objects: Mapping[str, Any]) -> None:
        self._objects = {name: _access(name, item) for name, item in objects.items()}

    @property
    def names(self) -> list[str]:
        """Names of the objects."""
        return sorted(self._objects)

    def add(self, name: str, item: Any) -> None:
        """Take in one more object; one of the same name is replaced."""
        self._objects[name] = _access(name, item)

    def write(self, path: Path) -> str:
        """Write a file that is either whole or not there; return its SHA-256."""
        state = {
            "objects": {name: read() for name, (read, _) in self._objects.items()},
            "random": {name: read() for name, (read, _) in _global_generators().items()},
        }
        part = path.with_name(f".{path.name}.part")
        try:
            torch.save(state, part)
            digest = file_digest(part)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        return digest

    def read(self, path: Path, digest: str) -> None:
        """Put every object and generator into the state of the file.

        Raises:
            RuntimeError: The file is missing or damaged, or an object does not take its state.
        """
        if not path.is_file() or file_digest(path) != digest:
            fault = "another content (damaged, or of another run)" if path.is_file() else "no such file"
            raise RuntimeError(
                f"{path} must be as the journal beside it says, got {fault}; restore the folder from a copy, or begin "
                "again in another one"
            )
        state = _load(path)
        for name, (_, write) in self._objects.items():
            try:
                write(state["objects"][name])
            except (KeyError, RuntimeError, TypeError, ValueError) as error:
                raise RuntimeError(
                    f"state must hold the objects of {path}, got a {name!r} that does not take its state: {error}"
                ) from error
        for name, (_, write) in _global_generators().items():
            if name in state["random"]:
                write(state["random"][name])


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, read piece by piece."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 22):
            digest.update(piece)
    return digest.hexdigest()


def _load(path: Path) -> dict[str, Any]:
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # UnpicklingError: a type that cannot be loaded without running code
        raise RuntimeError(
            f"state must hold objects whose state_dict is made of tensors, numbers, texts, lists and dictionaries, got "
            f"one that torch.load(weights_only=True) refuses: {error}"
        ) from error
    return state


def _access(name: str, item: Any) -> Access:
    """Return how to read and how to set the state of an object."""
    if callable(getattr(item, "state_dict", None)) and callable(getattr(item, "load_state_dict", None)):
        return item.state_dict, item.load_state_dict
    if isinstance(item, torch.Generator):
        return item.get_state, item.set_state
    if isinstance(item, random.Random):
        return item.getstate, item.setstate
    if isinstance(item, np.random.Generator):
        return _numpy_access(
            lambda: item.bit_generator.state, lambda state: setattr(item.bit_generator, "state", state)
        )
    if isinstance(item, np.random.RandomState):
        return _numpy_access(lambda: item.get_state(legacy=False), item.set_state)
    if isinstance(item, Randomizable):
        return _transform_access(item)
    raise TypeError(
        f"state[{name!r}] must have state_dict and load_state_dict, or be a random generator or a MONAI transform, got "
        f"{type(item).__name__}"
    )


def _numpy_access(read: Callable[[], Any], write: Callable[[Any], Any]) -> Access:
    # As text: torch.load(weights_only=True) knows no NumPy arrays.
    return lambda: json.dumps(read(), default=np.ndarray.tolist), lambda text: write(json.loads(text))


def _transform_access(transform: Randomizable) -> Access:
    """Save which generator each part has, too: MONAI makes parts share one while they are used."""

    def read() -> dict[str, Any]:
        holders = _holders(transform)
        generators = {id(holder.R): holder.R for holder in holders.values()}
        order = list(generators)
        states = [_access("", generator)[0]() for generator in generators.values()]
        return {"states": states, "holders": {path: order.index(id(holder.R)) for path, holder in holders.items()}}

    def write(saved: dict[str, Any]) -> None:
        generators = [np.random.RandomState() for _ in saved["states"]]
        for generator, state in zip(generators, saved["states"], strict=True):
            _access("", generator)[1](state)
        holders = _holders(transform)
        for path, index in saved["holders"].items():
            holders[path].R = generators[index]

    return read, write


def _holders(item: Any, path: str = "", seen: set[int] | None = None) -> dict[str, Any]:
    """Return a transform and those inside it that have a generator, each under the first path that leads to it."""
    seen = set() if seen is None else seen
    if id(item) in seen:
        return {}
    seen.add(id(item))
    found: dict[str, Any] = {}
    parts: Mapping[Any, Any] = {}
    if isinstance(item, Randomizable):
        found, parts = {path: item}, vars(item)
    elif isinstance(item, Transform):
        parts = vars(item)
    elif isinstance(item, list | tuple):
        parts = dict(enumerate(item))
    elif isinstance(item, Mapping):
        parts = item
    for name, part in parts.items():
        found |= _holders(part, f"{path}.{name}", seen)
    return found


def _global_generators() -> dict[str, Access]:
    """Python's, NumPy's and torch's own; those of CUDA where there are devices."""
    generators: dict[str, Access] = {
        "python": (random.getstate, random.setstate),
        "numpy": _numpy_access(lambda: np.random.get_state(legacy=False), np.random.set_state),  # noqa: NPY002
        "torch": (torch.get_rng_state, torch.set_rng_state),
    }
    if torch.cuda.is_available():
        generators["cuda"] = (torch.cuda.get_rng_state_all, torch.cuda.set_rng_state_all)
    return generators
