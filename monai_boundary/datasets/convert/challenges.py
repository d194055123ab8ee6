"""Where each challenge keeps the files of a case, and what they mean."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from monai_boundary.datasets.convert.tree import Tree
from monai_boundary.datasets.nifti import case_name

__all__ = ["CHALLENGES", "Challenge", "FoundCase"]


@dataclass
class FoundCase:
    """Files of one case in the challenge's tree.

    Args:
        case: Name in the converted data set.
        group: Cases of one group (one patient) stay on one side of the split.
        order: Path below the source, by which the published splits sort.
        test: Belongs to the test set.
        images: One file per channel.
        label: Label map; test cases may have none.
        problems: Why the case cannot be converted.
    """

    case: str
    group: str
    order: str
    test: bool
    images: list[Path | None] = field(default_factory=list)
    label: Path | None = None
    problems: list[str] = field(default_factory=list)


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
        find: Lists the cases of a tree.
        resampled: Channels that lie on another grid by the challenge's design.
    """

    dataset_id: int
    dataset_name: str
    channels: tuple[str, ...]
    labels: dict[str, int]
    expected: tuple[int, int]
    validation: tuple[int, int]
    split: str
    find: Callable[[Tree], Iterator[FoundCase]]
    resampled: tuple[str, ...] = ()


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_")


def _is_test(folders: tuple[str, ...], training: str, test: str) -> bool:
    """Whether the innermost of the two names says so: the download may lie in a folder called test itself."""
    return next((name.lower() == test for name in reversed(folders) if name.lower() in (training, test)), False)


def _wmh(tree: Tree) -> Iterator[FoundCase]:
    files = [file for file in tree.files if "additional_annotations" not in tree.parts(file)]
    folders = {file.parent.parent for file in files if file.parent.name == "pre"}
    folders |= {file.parent for file in files if case_name(file) == "wmh"}
    for folder in sorted(folders):
        parts = tree.parts(folder)
        name = _plain("_".join(parts[-2:]))
        case = FoundCase(name, name, "/".join(parts[1:]), _is_test(parts, "training", "test"))
        case.images = [tree.pick(folder / "pre", channel, case.problems) for channel in ("FLAIR", "T1")]
        case.label = tree.pick(folder, "wmh", case.problems)
        yield case


_SMIR = re.compile(r"SMIR\.Brain\.XX\.O\.(CT|CT_CBF|CT_CBV|CT_MTT|CT_Tmax|OT)\.\d+")


def _isles2018(tree: Tree) -> Iterator[FoundCase]:
    folders: dict[Path, dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for file in tree.files:
        folder = next((parent for parent in file.parents if re.fullmatch(r"case_\d+", parent.name)), None)
        found = _SMIR.fullmatch(case_name(file))
        if folder is not None and folder.is_relative_to(tree.root):
            by_kind = folders[folder]  # a case of which nothing is known by name is a case still
            if found:
                by_kind[found[1]].append(file)
    for folder, kinds in sorted(folders.items()):
        parts = tree.parts(folder)
        test = _is_test(parts[:-1], "training", "testing")
        name = f"test_{folder.name}" if test else folder.name
        case = FoundCase(name, name, "/".join(parts[1:]), test)
        names = ("CT", "CT_CBF", "CT_CBV", "CT_MTT", "CT_Tmax")
        case.images = [tree.only(kinds[kind], kind, case.problems) for kind in names]
        case.label = None if test and not kinds["OT"] else tree.only(kinds["OT"], "OT", case.problems)
        yield case


_BIDS = re.compile(r"(sub-[A-Za-z0-9]+)_(ses-[A-Za-z0-9]+)_(dwi|adc|flair|msk)", re.IGNORECASE)


def _isles2022(tree: Tree) -> Iterator[FoundCase]:
    cases: dict[tuple[str, str], dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for file in tree.files:
        found = _BIDS.fullmatch(case_name(file))
        if found:
            cases[found[1], found[2]][found[3].lower()].append(file)
    sessions = [subject for subject, _ in cases]
    for (subject, session), kinds in sorted(cases.items()):
        name = subject if sessions.count(subject) == 1 else f"{subject}_{session}"
        case = FoundCase(name, subject, name, False)
        case.images = [tree.only(kinds[kind], kind, case.problems) for kind in ("dwi", "adc", "flair")]
        case.label = tree.only(kinds["msk"], "msk", case.problems)
        yield case


_FRAME = re.compile(r"(patient\d+)_frame\d+")


def _acdc(tree: Tree) -> Iterator[FoundCase]:
    for file in tree.files:
        found = _FRAME.fullmatch(case_name(file))
        if not found:
            continue
        parts, name = tree.parts(file), case_name(file)
        case = FoundCase(name, found[1], "/".join(parts[1:]), _is_test(parts, "training", "testing"))
        case.images = [tree.only([file], case_name(file), case.problems)]
        truth = [
            path for path in tree.files if path.parent == file.parent and case_name(path) == f"{case_name(file)}_gt"
        ]
        case.label = None if case.test and not truth else tree.only(truth, f"{case_name(file)}_gt", case.problems)
        yield case


_NONE = "no split was published; every fifth, drawn with seed 0"
_SAMPLED = "as published: drawn from the sorted cases with seed 0"
#: Data sets by the name that the command line gives them.
CHALLENGES: dict[str, Challenge] = {
    "wmh": Challenge(
        501, "WMH2017", ("FLAIR", "T1"), {"background": 0, "WMH": 1, "ignore": 2}, (60, 110), (10, 60), _SAMPLED, _wmh,
    ),
    "isles2018": Challenge(
        502, "ISLES2018", ("CT", "CBF", "CBV", "MTT", "Tmax"), {"background": 0, "lesion": 1}, (94, 62), (20, 94),
        _SAMPLED, _isles2018,
    ),
    "isles2022": Challenge(
        503, "ISLES2022", ("DWI", "ADC", "FLAIR"), {"background": 0, "lesion": 1}, (250, 0), (50, 250), _NONE,
        _isles2022, resampled=("FLAIR",),
    ),
    "acdc": Challenge(
        27, "ACDC", ("cineMRI",), {"background": 0, "RV": 1, "MYO": 2, "LV": 3}, (200, 100), (20, 100), _NONE, _acdc,
    ),
}  # fmt: skip
