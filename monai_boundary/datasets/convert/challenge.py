"""What a challenge is, and how the cases of its download are found."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from monai_boundary.datasets.nifti import NIFTI_ENDINGS

__all__ = ["DRAWN", "SAMPLED", "Challenge", "FoundCase", "Place", "find_cases", "is_test", "plain_name"]

SAMPLED = "as published: drawn from the sorted cases with seed 0"
DRAWN = "no split was published; every fifth, drawn with seed 0"


@dataclass(frozen=True)
class Place:
    """What a file of a download is.

    Args:
        case: Name of its case in the converted data set.
        path: Where the case lies in the download: files of one path make one case, and published splits sort by it.
        role: One of the challenge's channels, or ``"label"``; ``None`` for a file that only shows that there is a case.
        group: Cases of one group (one patient) stay on one side of the split; by default the case alone.
        test: Belongs to the test set.
    """

    case: str
    path: Sequence[str]
    role: str | None
    group: str | None = None
    test: bool = False


@dataclass(frozen=True)
class Challenge:
    """A data set and its published split.

    Args:
        dataset_id: Number of the nnU-Net data set, when the user gives none.
        dataset_name: Its name.
        channels: Names of the channels; nnU-Net normalises by them.
        labels: Values by name; ``"ignore"`` has a meaning in nnU-Net.
        expected: Numbers of training and test cases of the whole data set.
        validation: Groups in the validation set, of how many.
        split: Where the split comes from.
        place: From the names of the folders of the download, beginning with its own, and of a file in the last, without
            ending, to what the file is; ``None`` for files that do not matter.
        resampled: Channels that lie on another grid by the challenge's design.
    """

    dataset_id: int
    dataset_name: str
    channels: tuple[str, ...]
    labels: dict[str, int]
    expected: tuple[int, int]
    validation: tuple[int, int]
    split: str
    place: Callable[[Sequence[str], str], Place | None]
    resampled: tuple[str, ...] = ()


@dataclass
class FoundCase:
    """One case in a download: its name, group, path and set as in `Place`, its files, and why it cannot be converted.

    Args:
        place: Of its first file.
        files: By role.
        problems: Reasons; empty where every channel has one file, and training cases a label.
    """

    place: Place
    files: dict[str, list[Path]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Name in the converted data set."""
        return self.place.case

    def images(self, challenge: Challenge) -> list[Path]:
        """Return the file of each channel of a case without problems."""
        return [self.files[channel][0] for channel in challenge.channels]

    @property
    def label(self) -> Path | None:
        """The label map; test cases may have none."""
        return self.files["label"][0] if "label" in self.files else None

    def sources(self) -> list:
        """Return name, size and time of every file, to know later whether they are the same."""
        files = [file for role in sorted(self.files) for file in self.files[role]]
        return [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files]


def find_cases(challenge: Challenge, source: str | os.PathLike[str]) -> tuple[list[FoundCase], list[str]]:
    """Return the cases of a download by their paths, and its folders that are links, which are not followed.

    Left out are hidden files, and ``__MACOSX``, the shadow that macOS puts into zip files.

    Raises:
        ValueError: `source` is no folder.
    """
    if not Path(source).is_dir():
        raise ValueError(f"source must be the unpacked folder of the challenge, got {source}; unpack its zip first")
    root, links = Path(source).resolve(), []
    cases: dict[tuple[str, ...], FoundCase] = {}
    for folder, names, files in os.walk(root):
        names[:] = sorted(name for name in names if name != "__MACOSX" and not name.startswith("."))
        links += [Path(folder, name) for name in names if Path(folder, name).is_symlink()]
        parts = (root.name, *Path(folder).relative_to(root).parts)
        for file in sorted(name for name in files if name.endswith(NIFTI_ENDINGS) and not name.startswith(".")):
            place = challenge.place(parts, re.sub(r"\.nii(\.gz)?$", "", file))
            if place is not None:
                case = cases.setdefault(tuple(place.path), FoundCase(place))
                if place.role is not None:
                    case.files.setdefault(place.role, []).append(Path(folder, file))
    found = [case for _, case in sorted(cases.items())]
    counts = Counter(case.name for case in found)
    for case in found:
        case.problems = _problems(case, challenge, root)
        if counts[case.name] > 1:
            case.problems.insert(0, f"{counts[case.name]} cases have this name; remove or rename all but one")
    return found, [link.relative_to(root).as_posix() for link in links]


def _problems(case: FoundCase, challenge: Challenge, root: Path) -> list[str]:
    wanted = [*challenge.channels, *(() if case.place.test and case.label is None else ("label",))]
    problems = []
    for role in wanted:
        files = case.files.get(role, [])
        if len(files) != 1:
            problems.append(f"{role} is missing" if not files else f"{role} is there {len(files)} times")
        elif not files[0].resolve().is_relative_to(root):
            problems.append(f"{role} is a link that leads out of the source folder")
        elif not files[0].exists():
            problems.append(f"{role} is a link to a file that is not there")
    return problems


def plain_name(text: str) -> str:
    """Return `text` with letters, digits and underscores alone."""
    return re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_")


def is_test(folders: Sequence[str], training: str, test: str) -> bool:
    """Whether the innermost of the two names says so: the download may lie in a folder called test itself."""
    return next((name.lower() == test for name in reversed(folders) if name.lower() in (training, test)), False)
