"""The journal of a weight search: where it stands and which files hold its states, written in one step."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from monai_boundary._files import write_json

__all__ = ["Journal", "SearchRound"]

_FORMAT = "monai-boundary weight search 1"


@dataclass(frozen=True)
class SearchRound:
    """One search: several weights tried from one state.

    Args:
        start: First epoch of the trials, counted from 0.
        epochs: Epochs that every weight was trained for.
        weights: The candidates, in the order of their trials.
        scores: Score of each candidate so far; fewer than `weights` while the search goes on.
    """

    start: int
    epochs: int
    weights: tuple[float, ...]
    scores: tuple[float, ...] = ()

    @property
    def open(self) -> bool:
        """Whether candidates are still to be tried."""
        return len(self.scores) < len(self.weights)

    @property
    def best(self) -> int | None:
        """Index of the first of the highest scores so far; NaN is worse than any, ``None`` where there is no other."""
        numbers = [index for index, score in enumerate(self.scores) if not math.isnan(score)]
        return max(numbers, key=lambda index: self.scores[index], default=None)

    @property
    def kept(self) -> float | None:
        """Weight that training went on with, ``None`` while the search goes on."""
        return None if self.open or self.best is None else self.weights[self.best]

    def with_score(self, score: float) -> SearchRound:
        """Return the round with one more candidate scored."""
        return replace(self, scores=(*self.scores, score))


@dataclass
class Journal:
    """What is known of a search: epochs trained in the current branch, its rounds, and the files with its states.

    Args:
        epoch: Number of epochs behind the current state.
        rounds: All rounds that have begun.
        files: Name and SHA-256 of the state files: ``"current"``, in a round also ``"start"`` and ``"best"``.
    """

    epoch: int = 0
    rounds: list[SearchRound] = field(default_factory=list)
    files: dict[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def open_round(self) -> SearchRound | None:
        """The search that goes on, if any."""
        return self.rounds[-1] if self.rounds and self.rounds[-1].open else None

    def file_name(self) -> str:
        """Return a name of its own for every point of the course: no file that a journal knows is written over."""
        tried = len(self.rounds[-1].scores) if self.rounds else 0
        return f"state_epoch{self.epoch}_round{len(self.rounds)}_tried{tried}.pt"

    def table(self) -> str:
        """Return the rounds as text: epochs of the trials, score of every candidate, weight kept."""
        if not self.rounds:
            return "no search yet"
        lines = [
            f"{'epochs':>9}  " + "  ".join(f"{f'w={weight:g}':>7}" for weight in self.rounds[0].weights) + "  kept"
        ]
        for entry in self.rounds:
            waiting = ["-"] * (len(entry.weights) - len(entry.scores))
            cells = "  ".join(f"{cell:>7}" for cell in [*(f"{score:.4f}" for score in entry.scores), *waiting])
            kept = "-" if entry.kept is None else f"{entry.kept:g}"
            lines.append(f"{f'{entry.start}-{entry.start + entry.epochs - 1}':>9}  {cells}  {kept:>4}")
        return "\n".join(lines)

    def write(self, path: Path, settings: Mapping[str, Any]) -> None:
        """Write it with the settings of the search, whole or not at all."""
        rounds = [
            {"start": r.start, "epochs": r.epochs, "scores": [None if math.isnan(s) else s for s in r.scores]}
            for r in self.rounds
        ]
        content = {
            "format": _FORMAT, "settings": dict(settings), "epoch": self.epoch, "rounds": rounds, "files": self.files,
        }  # fmt: skip
        write_json(path, content | {"sha256": _digest(content)})

    @classmethod
    def read(cls, path: Path, settings: Mapping[str, Any]) -> Journal:
        """Read it back.

        Raises:
            RuntimeError: The file is damaged, or no journal.
            ValueError: It belongs to a search with other settings.
        """
        content = _content(path)
        for name, value in content["settings"].items():
            if settings.get(name) != value:
                raise ValueError(
                    f"{name} must be {value} as in the search that {path.parent} holds, got {settings.get(name)}; "
                    "go on with the same settings, or begin in another folder"
                )
        weights = tuple(settings["candidates"])
        rounds = [
            SearchRound(r["start"], r["epochs"], weights, tuple(math.nan if s is None else s for s in r["scores"]))
            for r in content["rounds"]
        ]
        return cls(content["epoch"], rounds, {use: (name, digest) for use, (name, digest) in content["files"].items()})


def _content(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        digest = content.pop("sha256")
        fault = "one of another program or version" if content["format"] != _FORMAT else ""
        fault = fault or ("" if digest == _digest(content) else "one that was changed or damaged")
    except (ValueError, KeyError, TypeError, AttributeError):
        fault = "a file that is damaged or something else"
    if fault:
        raise RuntimeError(
            f"{path} must be the journal of a weight search, got {fault}; restore the folder from a copy, or begin "
            "again in another one"
        )
    return dict(content)


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
