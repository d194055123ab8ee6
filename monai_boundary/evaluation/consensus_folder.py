"""The consensus of two folders of predictions: a label map per case, and what became of the lesions."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from monai_boundary._files import is_lock, only_writer, write_json
from monai_boundary.datasets.checks import check_names
from monai_boundary.datasets.nifti import write_labels
from monai_boundary.evaluation.consensus import ClassConsensus, ConsensusRule, consensus
from monai_boundary.evaluation.held_values import check_shared
from monai_boundary.evaluation.matching import find_pairs, read_pair
from monai_boundary.evaluation.tables import score_each

__all__ = ["Consensus", "consensus_folder"]

_RECORD = "consensus.json"


@dataclass
class Consensus:
    """What `consensus_folder` did.

    Args:
        folder: Where the label maps are.
        rule: As given.
        counts: Of each class, by case.
        failed: Reason by case that could not be made.
        without_second: Cases that only the first folder has.
        without_first: Files of the second that belong to no case of the first.
    """

    folder: Path
    rule: ConsensusRule
    without_second: list[str]
    without_first: list[Path]
    counts: dict[str, list[ClassConsensus]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def summary(self) -> dict[str, Any]:
        """Return all of it as JSON holds it."""
        return {
            "complete": True,
            "rule": asdict(self.rule),
            "cases": {case: [asdict(one) for one in counts] for case, counts in self.counts.items()},
            "failed": self.failed,
            "without_second": self.without_second,
            "without_first": [file.name for file in self.without_first],
        }


def consensus_folder(
    first_dir: str | os.PathLike[str],
    second_dir: str | os.PathLike[str],
    output: str | os.PathLike[str],
    rule: ConsensusRule | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> Consensus:
    """Write the consensus of two folders of predictions, a label map per case, and ``consensus.json``.

    A label map has grid and orientation of that in `first_dir`. A run that was broken off is made again. A second run
    into the same folder waits until the first has ended.

    Args:
        first_dir: NIfTI label maps, one per case.
        second_dir: Those of another model, named as by nnU-Net or MONAI; see `find_pairs`.
        output: Folder for the results, outside of the two.
        rule: See `consensus`.
        overwrite: Replace what is in `output`.
        progress: Show a progress bar.

    Returns:
        The counts. Cases that cannot be made are named with the reason and do not stop the others.

    Raises:
        ValueError: The folders do not hold predictions of one set of cases, or no class in common; or `output` lies in
            one of them.
        FileExistsError: `output` holds results, or files that this function did not write; see `overwrite`.
        OSError: The folder may not be written.
    """
    folder = Path(output)
    for given in (first_dir, second_dir):
        if folder.resolve().is_relative_to(Path(given).resolve()):
            raise ValueError(f"output must lie outside of the predictions, got {output} in {given}")
    pairs = find_pairs(second_dir, first_dir, names=("B", "A"))
    check_shared([(first, second) for second, first in pairs.cases.values()], ("A", "B"))
    result = Consensus(folder, rule or ConsensusRule(), pairs.without_prediction, pairs.without_target)
    with only_writer(folder):
        earlier = _earlier_cases(folder, overwrite)
        write_json(folder / _RECORD, {"complete": False, "cases": [*earlier, *pairs.cases]})
        make = partial(_make_case, folder, result.rule)
        result.counts = score_each(pairs.cases, make, result.failed, "case", progress, "consensus")
        for case in {*earlier, *result.failed} - set(result.counts):
            _file(folder, case).unlink(missing_ok=True)
        write_json(folder / _RECORD, result.summary())
    return result


def _file(folder: Path, case: str) -> Path:
    return folder / f"{case}.nii.gz"


def _earlier_cases(folder: Path, overwrite: bool) -> list[str]:
    """Return the cases that an earlier run wrote, or began to; refuse to mix with what is not to be replaced."""
    record, kept = folder / _RECORD, "pass --force or another --output"
    try:
        content = json.loads(record.read_text(encoding="utf-8"))
        complete, cases = bool(content["complete"]), list(content["cases"])
        check_names("cases", cases)  # those of them that are not made again are removed
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        if not overwrite and any(not is_lock(path) for path in folder.iterdir()):
            raise FileExistsError(f"{folder} must be empty, got other files in it; {kept}") from None
        return []
    if complete and not overwrite:
        raise FileExistsError(f"{record} must not exist, got earlier results; {kept}")
    return cases


def _make_case(
    folder: Path, rule: ConsensusRule, case: str, second_file: Path, first_file: Path
) -> list[ClassConsensus]:
    second, first = read_pair(second_file, first_file)
    if first.unit == "px":
        raise ValueError(f"{first_file.name} must be NIfTI for a consensus, which is written as such, got a picture")
    labels, counts = consensus(first.array, second.array, first.spacing, rule)
    write_labels(_file(folder, case), labels, first)
    return counts
