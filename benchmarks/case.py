"""What a benchmark is: a case, the calls that it makes, and what each of them is compared with."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Against", "Calls", "Case", "data_folder", "installed"]


@dataclass(frozen=True)
class Against:
    """One call, and that of ours which its time is divided by.

    Args:
        name: The call.
        at_least: The smallest ratio that is good enough; ``None`` where there is no target.
        memory: The largest peak memory of ours, as a share of the other's. Only then it is measured.
        ours: Which of our calls.
        cost: Ours does all that the other does and more. Tables then show what that adds, in percent.
        rounds: Where one round takes so long that the case's number of them would take minutes.
    """

    name: str
    at_least: float | None = None
    memory: float | None = None
    ours: str = "ours"
    cost: bool = False
    rounds: int | None = None


@dataclass(frozen=True)
class Calls:
    """What a case makes from its arguments.

    Args:
        by_name: The calls; those of peers that are not installed are left out.
        compare: Gets the name of a call, what it returned, and what that of ours did. It returns figures, and raises
            where results differ that must not.
        scale: Factor to a time where a part of the work is timed.
        elsewhere: Seconds that were taken on another machine.
    """

    by_name: Mapping[str, Callable[[], Any]]
    compare: Callable[[str, Any, Any], dict[str, float]] | None = None
    scale: Mapping[str, float] = field(default_factory=dict)
    elsewhere: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """A row of the tables.

    Args:
        name: Its name in the JSON and for ``pytest -k``.
        section: The mark in docs/benchmarks.md under which it is written.
        title: What is measured.
        make: Returns the calls.
        full: Arguments of `make`.
        small: Those of ``--small``, and of the call that loads and compiles before the time is taken.
        against: The comparisons; the first one's target is the one that the summary shows.
        needs: Packages, and files below the data folder as ``"data/..."``.
        rounds: The lowest of so many times counts.
        wall: Whether wall time is taken in place of CPU time: where threads or child processes work.
        long: Whether it is measured with ``-m long`` only.
        headline: Whether it is part of the summary.
        limit_mb: The most that our peak memory may be. The time is then that of a fresh process.
    """

    name: str
    section: str
    title: str
    make: Callable[..., Calls]
    full: tuple[Any, ...]
    small: tuple[Any, ...]
    against: tuple[Against, ...] = ()
    needs: tuple[str, ...] = ()
    rounds: int = 5
    wall: bool = False
    long: bool = False
    headline: bool = False
    limit_mb: float | None = None

    @property
    def names(self) -> list[str]:
        """All calls that are measured, ours before the others."""
        ours = [one.ours for one in self.against] or ["ours"]
        return list(dict.fromkeys([*ours, *(one.name for one in self.against)]))

    def comparison(self, name: str) -> Against | None:
        """The comparison in which a call is the other's."""
        return next((one for one in self.against if one.name == name), None)

    def lacks(self) -> str | None:
        """Why it cannot run here, or ``None``."""
        for need in self.needs:
            if need.startswith("data/"):
                if not (data_folder() / need.removeprefix("data/")).exists():
                    return f"{need.removeprefix('data/')} is not in the data folder; set MONAI_BOUNDARY_DATA to it"
            elif not installed(need):
                return f"{need} is not installed"
        return None


def data_folder() -> Path:
    """The folder of real images, whether it is there or not."""
    return Path(os.environ.get("MONAI_BOUNDARY_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def installed(package: str) -> bool:
    """Whether a package is there."""
    return importlib.util.find_spec(package) is not None
