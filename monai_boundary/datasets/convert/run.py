"""From a challenge's folder tree to an nnU-Net raw data set and a MONAI datalist."""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from monai_boundary._check import check_choice
from monai_boundary._files import write_json, write_text
from monai_boundary.datasets.convert.case import case_files, read_case, write_case
from monai_boundary.datasets.convert.challenges import CHALLENGES, Challenge, FoundCase
from monai_boundary.datasets.convert.tree import Tree
from monai_boundary.datasets.datalist import CaseFiles, write_datalist

__all__ = ["Conversion", "convert_challenge"]

_DONE = "conversion.jsonl"
_LISTS = ("dataset.json", "splits_final.json", "datalist.json")


@dataclass
class Conversion:
    """What a conversion found and did.

    Args:
        folder: The data set's folder.
        found: Numbers of training and test cases in the source.
        expected: The same of the whole data set, as the challenge published it.
        written: Cases written now.
        kept: Cases that an earlier run had finished.
        skipped: Reason by case.
        notes: Remarks by case.
        splits: Names of the cases by split.
        split: Where the split comes from.
    """

    folder: Path
    found: tuple[int, int]
    expected: tuple[int, int]
    split: str
    written: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)
    splits: dict[str, list[str]] = field(default_factory=dict)


def convert_challenge(
    challenge: str,
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    dataset_id: int | None = None,
    overwrite: bool = False,
    dry_run: bool = False,
    progress: bool = True,
) -> Conversion:
    """Convert the download of a challenge.

    Every case is read whole and checked before it is written. A case that is damaged or incomplete is skipped, and the
    result says why. ``dataset.json``, without which nnU-Net takes no folder for a data set, is written last; a run that
    was broken off goes on where it stopped.

    Args:
        challenge: ``"wmh"``, ``"isles2018"``, ``"isles2022"`` or ``"acdc"``.
        source: The unpacked challenge; nothing is written there.
        target: Folder to make ``DatasetXXX_NAME`` in, such as ``$nnUNet_raw``.
        dataset_id: XXX; each challenge has its own default.
        overwrite: Convert every case again, also over files that this function did not write.
        dry_run: Read and check everything, write nothing.
        progress: Show a progress bar.

    Raises:
        ValueError: `source` holds no case, or `target` lies inside it.
        FileExistsError: The data set's folder was not made by this function, or from other files; see `overwrite`.
        OSError: The disk is full, or a file may not be read.
    """
    check_choice("challenge", challenge, tuple(CHALLENGES))
    kind, tree = CHALLENGES[challenge], Tree(source)
    number = kind.dataset_id if dataset_id is None else dataset_id
    if not 1 <= number <= 999:
        raise ValueError(f"dataset_id must lie in [1, 999], got {number}")
    folder = Path(target).resolve() / f"Dataset{number:03d}_{kind.dataset_name}"
    if folder.is_relative_to(tree.root):
        raise ValueError(f"target must lie outside the source, got {target} inside {source}")
    cases = list(kind.find(tree))
    if not cases:
        raise ValueError(f"source must hold the folder tree of {challenge}, got no case of it in {source}")
    counts = Counter(case.test for case in cases)
    result = Conversion(folder, (counts[False], counts[True]), kind.expected, kind.split)
    for link in tree.links:
        result.skipped[link.relative_to(tree.root).as_posix()] = "a link to a folder is not followed"
    record = _recorded(folder, overwrite)
    _refuse_doubles(cases)
    _refuse_changes(cases, kind, record, folder)
    for case in tqdm(cases, desc=f"convert {challenge}", unit="case", disable=not progress):
        _convert_case(case, kind, record, result, dry_run)
    good = {*result.written, *result.kept}
    result.splits = _splits(cases, kind, good)
    if not dry_run and good:
        _remove_stale([case for case in cases if case.case in good], kind, record, folder)
        _write_lists(result, kind, {case.case: case for case in cases})
    return result


def _recorded(folder: Path, overwrite: bool) -> dict[str, list | None]:
    """Cases that earlier runs wrote, with the sizes and times of the files they came from; ``None`` to write again."""
    record = folder / _DONE
    if not record.is_file() and folder.exists() and any(folder.iterdir()) and not overwrite:
        raise FileExistsError(f"{folder} must be new or made by this command, got other files in it; pass --force")
    lines = record.read_text(encoding="utf-8").splitlines() if record.is_file() else []
    done: dict[str, list | None] = {}
    for line in lines:
        try:
            row = json.loads(line)
        except json.JSONDecodeError:  # a run that was killed while it wrote the line
            continue
        done[row["case"]] = None if overwrite else row["sources"]
    return done


def _begin(folder: Path, record: dict[str, list | None]) -> None:
    """Make the folder known as this command's and no data set, so that a kill from here on is seen and resumed."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _DONE).touch()
    _write_record(folder, record)
    for name in _LISTS:
        (folder / name).unlink(missing_ok=True)


def _write_record(folder: Path, record: dict[str, list | None]) -> None:
    write_text(folder / _DONE, "".join(map(_line, record, record.values())))


def _line(case: str, sources: list | None) -> str:
    return json.dumps({"case": case, "sources": sources}) + "\n"


def _refuse_doubles(cases: list[FoundCase]) -> None:
    names = Counter(case.case for case in cases)
    for case in cases:
        if names[case.case] > 1:
            case.problems.insert(0, f"{names[case.case]} cases have this name; remove or rename all but one")


def _sources(case: FoundCase) -> list:
    files = [file for file in (*case.images, case.label) if file is not None]
    return [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files]


def _files(case: FoundCase, kind: Challenge, folder: Path) -> list[Path]:
    images, label = case_files(case.case, case.test, len(kind.channels))
    return [folder / name for name in (*images, *([label] if case.label is not None else []))]


def _written(case: str, kind: Challenge, folder: Path) -> set[Path]:
    """Files of a case that are there, whether it is or was for training or for testing."""
    sides = [case_files(case, test, len(kind.channels)) for test in (False, True)]
    files = [folder / name for images, label in sides for name in (*images, label)]
    return {file for file in files if file.is_file()}


def _refuse_changes(cases: list[FoundCase], kind: Challenge, record: dict[str, list | None], folder: Path) -> None:
    """Refuse to mix two states of the source: nnU-Net takes every file in imagesTr, in the lists or not."""
    found = {case.case: case for case in cases}
    for name, done in record.items():
        if done is None or not _written(name, kind, folder):
            continue
        if name not in found or found[name].problems:
            reason = "; ".join(found[name].problems) if name in found else "it is not in the source"
            raise FileExistsError(f"{name} in {folder} cannot be made again: {reason}; pass --force to remove it")
        if done != _sources(found[name]):
            raise FileExistsError(f"{name} in {folder} was made from other files; pass --force to replace it")


def _remove_stale(good: list[FoundCase], kind: Challenge, record: dict[str, list | None], folder: Path) -> None:
    """Remove what earlier runs wrote and this one did not: a case that is gone or damaged, a label that is gone."""
    current = {file for case in good for file in _files(case, kind, folder)}
    for case in record:
        for file in _written(case, kind, folder) - current:
            file.unlink()
    names = {case.case for case in good}
    _write_record(folder, {case: done for case, done in _recorded(folder, False).items() if case in names})


def _convert_case(
    case: FoundCase, kind: Challenge, record: dict[str, list | None], result: Conversion, dry_run: bool
) -> None:
    folder, done = result.folder, record.get(case.case)
    if done is not None and done == _sources(case) and all(file.is_file() for file in _files(case, kind, folder)):
        result.kept.append(case.case)
        return
    try:
        read = read_case(case, kind)
    except ValueError as error:
        result.skipped[case.case] = str(error)
        return
    if read.notes:
        result.notes[case.case] = read.notes
    if not dry_run:
        if not result.written:
            _begin(folder, record)
        write_case(read, folder, case)
        with (folder / _DONE).open("a", encoding="utf-8") as stream:
            stream.write(_line(case.case, _sources(case)))
    result.written.append(case.case)


def _splits(cases: list[FoundCase], kind: Challenge, good: set[str]) -> dict[str, list[str]]:
    """Draw the validation groups among all that were found, so that one damaged case does not move the others."""
    order: dict[str, str] = {}
    for case in sorted((case for case in cases if not case.test), key=lambda case: case.order):
        order.setdefault(case.group, case.order)
    groups = sorted(order, key=lambda group: order[group])
    count = round(len(groups) * kind.validation[0] / kind.validation[1])
    count = min(max(count, 1), len(groups) - 1) if len(groups) > 1 else 0
    chosen = set(random.Random(0).sample(groups, count))  # noqa: S311 - the published draw, no secret
    splits: dict[str, list[str]] = {"training": [], "validation": [], "test": []}
    for case in cases:
        if case.case in good:
            splits["test" if case.test else "validation" if case.group in chosen else "training"].append(case.case)
    return {split: sorted(names) for split, names in splits.items() if names}


def _write_lists(result: Conversion, kind: Challenge, cases: dict[str, FoundCase]) -> None:
    folder = result.folder

    def entry(name: str) -> CaseFiles:
        images, label = case_files(name, cases[name].test, len(kind.channels))
        has_label = cases[name].label is not None
        return CaseFiles(name, tuple(folder / image for image in images), folder / label if has_label else None)

    write_datalist(
        folder / "datalist.json", {split: [entry(name) for name in names] for split, names in result.splits.items()}
    )
    training, validation = result.splits.get("training", []), result.splits.get("validation", [])
    contents = {
        # nnU-Net reads this name from its preprocessed folder; fold 0 is then the published split
        "splits_final.json": [{"train": training, "val": validation}],
        "dataset.json": {
            "channel_names": {str(number): name for number, name in enumerate(kind.channels)},
            "labels": kind.labels,
            "numTraining": len(training) + len(validation),
            "file_ending": ".nii.gz",
        },
    }
    for name, content in contents.items():
        write_json(folder / name, content)
