"""From a download to an nnU-Net raw data set and a MONAI datalist, case by case, with a record of what was done."""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from monai_boundary._check import check_choice
from monai_boundary._checksums import file_digest
from monai_boundary._files import is_lock, only_writer, part_pattern, write_json
from monai_boundary.datasets.convert.case import FoundCase, case_files, find_cases, read_case, write_case
from monai_boundary.datasets.convert.challenges import CHALLENGES, Challenge
from monai_boundary.datasets.datalist import CaseFiles, write_datalist

__all__ = ["Conversion", "convert_cases", "convert_challenge"]

_FOLDS = 5  # of Auto3DSeg and nnU-Net
_LISTS = ("dataset.json", "splits_final.json", "datalist.json")


@dataclass
class Conversion:
    """What a conversion found and did.

    Args:
        folder: The data set's folder.
        found: Numbers of training and test cases in the source.
        expected: The same of the whole data set, as the challenge published it.
        split: Where the split comes from.
        written: Cases written now.
        kept: Cases that an earlier run had finished.
        skipped: Reason by case.
        notes: Remarks by case.
        splits: Names of the cases by split.
        folds: Fold of each case of the training and validation split; 0 is the validation split.
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
    folds: dict[str, int] = field(default_factory=dict)


class _Record:
    """Which cases earlier runs wrote, and from which files: a small file for each, in the folder ``conversion``.

    Args:
        folder: Of the data set.
        channels: Of the challenge.
        overwrite: Every case is to be written again.
    """

    def __init__(self, folder: Path, channels: int, overwrite: bool) -> None:
        self._folder, self._channels, self._notes = folder, channels, folder / "conversion"
        filled = folder.exists() and any(not is_lock(path) for path in folder.iterdir())
        if filled and not self._notes.is_dir() and not overwrite:
            raise FileExistsError(f"{folder} must be new or made by this command, got other files in it; pass --force")
        self._done: dict[str, dict[str, Any] | None] = {
            path.stem: None if overwrite else _note(path) for path in sorted(self._notes.glob("*.json"))
        }

    def begin(self) -> None:
        """Mark the folder as this command's and no data set, so that a kill from here on is seen and resumed."""
        self._notes.mkdir(parents=True, exist_ok=True)
        for case, done in self._done.items():
            if done is None:
                write_json(self._notes / f"{case}.json", None)
        for name in _LISTS:
            (self._folder / name).unlink(missing_ok=True)

    def add(self, case: FoundCase, sources: list, digests: dict[str, str]) -> None:
        """Note that a case is written whole: from which files, and the SHA-256 of what was written."""
        write_json(self._notes / f"{case.name}.json", {"sources": sources, "written": digests})

    def files(self, case: FoundCase) -> set[Path]:
        """Return the files that a case has in the data set."""
        images, label = case_files(case.name, case.place.test, self._channels)
        return {self._folder / name for name in (*images, *([label] if case.label is not None else []))}

    def written(self, case: str) -> set[Path]:
        """Return the files of a case that are there, whether it is or was for training or for testing."""
        sides = [case_files(case, test, self._channels) for test in (False, True)]
        files = [self._folder / name for images, label in sides for name in (*images, label)]
        return {file for file in files if file.is_file()}

    def is_done(self, case: FoundCase) -> bool:
        """Whether an earlier run wrote this case, from the files that are there now, and nobody changed it since."""
        done = self._done.get(case.name)
        if case.problems or done is None or done["sources"] != case.sources():
            return False
        digests = {self._folder / name: digest for name, digest in done["written"].items()}
        files = self.files(case)
        return files <= self.written(case.name) and all(file_digest(file) == digests.get(file) for file in files)

    def refuse_changes(self, cases: dict[str, FoundCase]) -> None:
        """Refuse to mix two states of the source: nnU-Net takes every file in imagesTr, in the lists or not."""
        for name, done in self._done.items():
            if done is None or not self.written(name):
                continue
            if name not in cases or cases[name].problems:
                reason = "; ".join(cases[name].problems) if name in cases else "it is not in the source"
                raise FileExistsError(
                    f"{name} in {self._folder} cannot be made again: {reason}; pass --force to remove it"
                )
            if done["sources"] != cases[name].sources():
                raise FileExistsError(f"{name} in {self._folder} was made from other files; pass --force to replace it")

    def remove_stale(self, good: list[FoundCase]) -> None:
        """Remove what earlier runs wrote and this one did not: what left the source, half a file after a kill."""
        for part in self._folder.rglob(part_pattern("*")):
            part.unlink()
        current, names = {file for case in good for file in self.files(case)}, {case.name for case in good}
        for name in self._done:
            for file in self.written(name) - current:
                file.unlink()
            if name not in names:
                (self._notes / f"{name}.json").unlink(missing_ok=True)


def _note(path: Path) -> dict[str, Any] | None:
    """Return what was noted of a case; ``None`` where it has to be written again."""
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:  # cut off, or edited by hand
        return None
    return note if isinstance(note, dict) and {"sources", "written"} <= set(note) else None


def convert_challenge(
    challenge: str, source: str | os.PathLike[str], target: str | os.PathLike[str], **options: Any
) -> Conversion:
    """Convert the download of a challenge of `CHALLENGES`, named as there; see `convert_cases`."""
    check_choice("challenge", challenge, tuple(CHALLENGES))
    return convert_cases(CHALLENGES[challenge], source, target, **options)


def convert_cases(
    challenge: Challenge,
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
    was broken off goes on where it stopped. A case that an earlier run wrote is kept if its files are still what that
    run wrote. A second run into the same folder waits until the first has ended.

    Args:
        challenge: One of `CHALLENGES`, or one of your own.
        source: The unpacked challenge; nothing is written there.
        target: Folder to make ``DatasetXXX_NAME`` in, such as ``$nnUNet_raw``.
        dataset_id: XXX; each challenge has its own default.
        overwrite: Convert every case again, also over files that this function did not write.
        dry_run: Read and check everything, write nothing.
        progress: Show a progress bar.

    Raises:
        ValueError: `source` holds no case, or `target` lies inside it.
        FileExistsError: The data set's folder was not made by this function, or from other files; see `overwrite`.
        OSError: The disk is full, or the target may not be written.
    """
    number = challenge.dataset_id if dataset_id is None else dataset_id
    if not 1 <= number <= 999:
        raise ValueError(f"dataset_id must lie in [1, 999], got {number}")
    cases, links = find_cases(challenge, source)
    folder = Path(target).resolve() / f"Dataset{number:03d}_{challenge.dataset_name}"
    if folder.is_relative_to(Path(source).resolve()):
        raise ValueError(f"target must lie outside the source, got {target} inside {source}")
    if not cases:
        raise ValueError(f"source must hold the folder tree of {challenge.dataset_name}, got no case of it in {source}")
    counts = Counter(case.place.test for case in cases)
    result = Conversion(folder, (counts[False], counts[True]), challenge.expected, challenge.split)
    result.skipped |= dict.fromkeys(links, "a link to a folder is not followed")
    with nullcontext() if dry_run else only_writer(folder):
        record = _Record(folder, len(challenge.channels), overwrite)
        record.refuse_changes({case.name: case for case in cases})
        for case in tqdm(cases, desc=f"convert {challenge.dataset_name}", unit="case", disable=not progress):
            _convert_case(case, challenge, record, result, dry_run)
        good = [case for case in cases if case.name in {*result.written, *result.kept}]
        result.splits, result.folds = _splits(cases, challenge, {case.name for case in good})
        if not dry_run and good:
            record.remove_stale(good)
            _write_lists(result, challenge, good)
    return result


def _convert_case(case: FoundCase, challenge: Challenge, record: _Record, result: Conversion, dry_run: bool) -> None:
    if record.is_done(case):
        result.kept.append(case.name)
        return
    try:
        sources = [] if case.problems else case.sources()  # before it is read: it may change meanwhile
        read = read_case(case, challenge)
    except (ValueError, OSError, MemoryError) as error:  # of this case alone
        result.skipped[case.name] = str(error) or "it does not fit into memory"
        return
    if read.notes:
        result.notes[case.name] = read.notes
    if not dry_run:
        if not result.written:
            record.begin()
        record.add(case, sources, write_case(read, result.folder, case))
    result.written.append(case.name)


def _splits(
    cases: list[FoundCase], challenge: Challenge, good: set[str]
) -> tuple[dict[str, list[str]], dict[str, int]]:
    """Draw the validation groups among all that were found, so that one damaged case does not move the others.

    They are fold 0; the other groups go to folds 1 to 4 in turn.
    """
    groups = list(dict.fromkeys(case.place.group or case.name for case in cases if not case.place.test))
    count = round(len(groups) * challenge.validation[0] / challenge.validation[1])
    count = min(max(count, 1), len(groups) - 1) if len(groups) > 1 else 0
    chosen = set(random.Random(0).sample(groups, count))  # noqa: S311 - the published draw, no secret
    others = [group for group in groups if group not in chosen]
    fold_of = {group: 1 + number % (_FOLDS - 1) for number, group in enumerate(others)}
    folds: dict[str, int] = {}
    splits: dict[str, list[str]] = {"training": [], "validation": [], "test": []}
    for case in cases:
        if case.name in good:
            fold = fold_of.get(case.place.group or case.name, 0)
            splits["test" if case.place.test else "training" if fold else "validation"].append(case.name)
            if not case.place.test:
                folds[case.name] = fold
    return {split: sorted(names) for split, names in splits.items() if names}, folds


def _write_lists(result: Conversion, challenge: Challenge, cases: list[FoundCase]) -> None:
    """Write the datalist, the split as nnU-Net has it, and last ``dataset.json``, which makes the folder a data set."""
    folder, entries = result.folder, {}
    for case in cases:
        images, label = case_files(case.name, case.place.test, len(challenge.channels))
        truth = None if case.label is None else folder / label
        entries[case.name] = CaseFiles(case.name, tuple(folder / image for image in images), truth)
    splits = {split: [entries[name] for name in names] for split, names in result.splits.items()}
    training, validation = result.splits.get("training", []), result.splits.get("validation", [])
    description = {
        "channel_names": {str(number): name for number, name in enumerate(challenge.channels)},
        "labels": challenge.labels,
        "numTraining": len(training) + len(validation),
        "file_ending": ".nii.gz",
    }
    listed = {"training": [entries[name] for name in sorted(result.folds)], "test": splits.get("test", [])}
    write_datalist(folder / "datalist.json", {split: part for split, part in listed.items() if part}, result.folds)
    # nnU-Net reads this name from its preprocessed folder; fold 0 is then the published split
    write_json(folder / "splits_final.json", [{"train": training, "val": validation}])
    write_json(folder / "dataset.json", description)
