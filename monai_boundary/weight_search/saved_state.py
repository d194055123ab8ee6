"""Snapshots of a training: the objects that the user names, and all random generators; and the file that holds them."""

from __future__ import annotations

import io
import json
import pickle
import random
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.transforms import Randomizable, Transform

from monai_boundary._checksums import check_archive
from monai_boundary._files import remove_parts, write_torch

__all__ = ["SavedState", "check_same_run", "read_search", "write_search"]

_FILE = "weight_search.pt"
_FORMAT = "monai-boundary weight search 2"

#: How to read the state of an object, and how to set it.
Access = tuple[Callable[[], Any], Callable[[Any], Any]]


class SavedState:
    """Takes snapshots of all objects and of the global random generators, and goes back to them.

    A snapshot is what `torch.save` writes, as uint8 tensor: one that comes from the disk is the one that was taken.

    Args:
        objects: Anything with `state_dict` and `load_state_dict`, or a random generator (of torch, NumPy or Python), or
            MONAI's random transforms, under a name each.

    Raises:
        TypeError: An object is none of these.
    """

    def __init__(self, objects: Mapping[str, Any]) -> None:
        self._objects = {name: _access(name, item) for name, item in objects.items()}
        #: Learning rates of each optimizer before the training.
        self.rates = {
            name: [float(group["lr"]) for group in item.param_groups]
            for name, item in objects.items() if isinstance(item, torch.optim.Optimizer)
        }  # fmt: skip

    @property
    def names(self) -> list[str]:
        """Names of the objects, sorted."""
        return sorted(self._objects)

    def add(self, name: str, item: Any) -> None:
        """Take in one more object; one of the same name is replaced."""
        self._objects[name] = _access(name, item)

    def take(self) -> torch.Tensor:
        """Return a snapshot."""
        buffer = io.BytesIO()
        states = [{name: read() for name, (read, _) in one.items()} for one in (self._objects, _global_generators())]
        torch.save(states, buffer)
        return torch.frombuffer(buffer.getbuffer(), dtype=torch.uint8)

    def go_back(self, snapshot: torch.Tensor) -> None:
        """Put every object and generator into the state of a snapshot.

        Raises:
            RuntimeError: An object does not take its state, or has one that cannot be read without running code.
        """
        buffer = io.BytesIO(snapshot.numpy().tobytes())
        try:
            states, generators = torch.load(buffer, map_location="cpu", weights_only=True)
        except Exception as error:
            raise RuntimeError(
                f"state must hold objects whose state_dict is made of tensors, numbers, texts, lists and dictionaries, "
                f"got one that torch.load(weights_only=True) refuses: {error}"
            ) from error
        for name, (_, write) in self._objects.items():
            try:
                write(states[name])
            except (KeyError, RuntimeError, TypeError, ValueError) as error:
                raise RuntimeError(
                    f"state must hold the same objects as before, got a {name!r} that does not take its state: {error}"
                ) from error
        for name, (_, write) in _global_generators().items():
            if name in generators:
                write(generators[name])


def check_same_run(
    path: Path, saved: Mapping[str, Any], cases: Mapping[str, Sequence[str]], training: SavedState
) -> None:
    """Raise ``ValueError`` where a run has other cases or learning rates than the one that it goes on with.

    What an earlier version did not save is not compared.

    Args:
        path: File of the run before.
        saved: What it holds: ``"cases"`` and ``"rates"``, among others.
        cases: Names by split.
        training: As it begins.
    """
    before = saved.get("cases", {})
    for split in sorted(before.keys() & cases.keys()):
        lost, new = set(before[split]) - set(cases[split]), set(cases[split]) - set(before[split])
        if lost or new:
            some = [", ".join(sorted(names)[:3]) or "none" for names in (lost, new)]
            raise ValueError(
                f"cases of {split} must be the {len(set(before[split]))} of the run that {path} goes on with, got "
                f"{len(set(cases[split]))}: without {some[0]}, and with {some[1]} instead; pass the same "
                "dataset_dir, or train another model in another folder"
            )
    if (rates := saved.get("rates", training.rates)) != training.rates:
        raise ValueError(
            f"learning rates must be {rates} as in the run that {path} goes on with, got {training.rates}; leave them "
            "as they were, or train another model in another folder"
        )


def _access(name: str, item: Any) -> Access:
    if callable(getattr(item, "state_dict", None)) and callable(getattr(item, "load_state_dict", None)):
        return item.state_dict, item.load_state_dict
    if isinstance(item, torch.Generator):
        return item.get_state, item.set_state
    if isinstance(item, random.Random):
        return item.getstate, item.setstate
    if isinstance(item, np.random.Generator):
        return _as_text(lambda: item.bit_generator.state, lambda state: setattr(item.bit_generator, "state", state))
    if isinstance(item, np.random.RandomState):
        return _as_text(lambda: item.get_state(legacy=False), item.set_state)
    if isinstance(item, Randomizable):
        return (lambda: _transform_state(item)), (lambda state: _set_transform_state(item, state))
    raise TypeError(
        f"state[{name!r}] must have state_dict and load_state_dict, or be a random generator or a MONAI transform, got "
        f"{type(item).__name__}"
    )


def _as_text(read: Callable[[], Any], write: Callable[[Any], Any]) -> Access:
    # torch.load(weights_only=True) knows no NumPy arrays
    return lambda: json.dumps(read(), default=np.ndarray.tolist), lambda text: write(json.loads(text))


def _global_generators() -> dict[str, Access]:
    generators: dict[str, Access] = {
        "python": (random.getstate, random.setstate),
        "numpy": _as_text(lambda: np.random.get_state(legacy=False), np.random.set_state),  # noqa: NPY002
        "torch": (torch.get_rng_state, torch.set_rng_state),
    }
    if torch.cuda.is_available():
        generators["cuda"] = (torch.cuda.get_rng_state_all, torch.cuda.set_rng_state_all)
    return generators


def _transform_state(transform: Randomizable) -> list[tuple[str, int, str]]:
    """The state of every generator inside, and which part has which: MONAI makes parts share one as they are used."""
    return [(path, id(part.R), _access("", part.R)[0]()) for path, part in _random_parts(transform, "", set())]


def _set_transform_state(transform: Randomizable, saved: list[tuple[str, int, str]]) -> None:
    parts = dict(_random_parts(transform, "", set()))
    generators = {number: np.random.RandomState() for _, number, _ in saved}
    for path, number, state in saved:
        parts[path].R = generators[number]
        _access("", parts[path].R)[1](state)


def _random_parts(item: Any, path: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """Yield a transform and those inside it that have a generator, each under the first path that leads to it."""
    if id(item) in seen:
        return
    seen.add(id(item))
    if isinstance(item, Randomizable):
        yield path, item
    inside = vars(item) if isinstance(item, Randomizable | Transform) else item
    if isinstance(inside, list | tuple):
        inside = dict(enumerate(inside))
    for name, part in inside.items() if isinstance(inside, Mapping) else ():
        yield from _random_parts(part, f"{path}.{name}", seen)


def write_search(folder: Path, settings: Mapping[str, Any], content: Mapping[str, Any]) -> None:
    """Write the file of a search, whole or not at all."""
    write_torch(folder / _FILE, {**content, "settings": settings, "format": _FORMAT})


def read_search(folder: Path, settings: Mapping[str, Any]) -> dict[str, Any] | None:
    """Read it back, ``None`` where there is none yet; what a killed writer left beside it is removed.

    Raises:
        RuntimeError: The file is damaged, or no file of a search.
        ValueError: It belongs to a search with other settings.
    """
    remove_parts(folder, _FILE)
    path = folder / _FILE
    if not path.exists():
        return None
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError("File is not a zip file")
        check_archive(path)
        content: dict[str, Any] = torch.load(path, weights_only=True)
        if content["format"] != _FORMAT:
            raise LookupError(f"another program or version: {content['format']}")
    except (ValueError, pickle.UnpicklingError, RuntimeError, LookupError, TypeError, EOFError) as error:
        raise RuntimeError(
            f"{path} must be the file of a weight search, got one that is damaged or something else ({error}); restore "
            "it from a copy, or begin again in another folder"
        ) from error
    for name, value in settings.items():
        if (kept := content["settings"].get(name)) != value:
            raise ValueError(
                f"{name} must be {kept} as in the search that {folder} holds, got {value}; go on with the same "
                "settings, or begin in another folder"
            )
    return content
