"""Which prediction belongs to which ground truth, and the reading of such a pair."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from monai_boundary.datasets.checks import SPLITS, data_files
from monai_boundary.datasets.datalist import datalist_file, read_datalist
from monai_boundary.datasets.grids import grid_difference
from monai_boundary.datasets.label_maps import PIXEL_ENDINGS, read_any_labels
from monai_boundary.datasets.nifti import NIFTI_ENDINGS, Volume, case_name, names_orientation, same_grid

__all__ = ["Pairs", "chosen_cases", "find_image", "find_pairs", "read_pair"]

#: What may follow the name of a case: the number of the first channel, and words.
_APPENDED = re.compile(r"(_0000)?(_[^\W\d_].*)?")
#: A name with another number of four digits; whose `_0000` may be the first of a series of cases, not a channel.
_SERIES = re.compile(r"(.+)_(?!0000)\d{4}(_[^\W\d_].*)?")


@dataclass(frozen=True)
class Pairs:
    """Files by case.

    Args:
        cases: Prediction and ground truth by the name of the case.
        without_prediction: Cases of the ground truth that have no prediction.
        without_target: Predictions that belong to no ground truth.
    """

    cases: dict[str, tuple[Path, Path]]
    without_prediction: list[str]
    without_target: list[Path]

    def only(self, cases: Sequence[str]) -> Pairs:
        """Return the pairs of some cases; of the others nothing is missing.

        Raises:
            ValueError: A case is none of the ground truth.
        """
        cases = list(map(_composed, cases))
        unknown = sorted(set(cases) - {*self.cases, *self.without_prediction})
        if unknown:
            raise ValueError(f"cases must be of the ground truth, got {', '.join(unknown[:5])}; check the names")
        return Pairs(
            {case: files for case, files in self.cases.items() if case in cases},
            [case for case in self.without_prediction if case in cases],
            [],
        )


def chosen_cases(text: str, gt_dir: str | os.PathLike[str]) -> list[str]:
    """Return the names of cases that a text means: a split of the datalist beside `gt_dir`, or names with commas.

    Raises:
        ValueError: There is no such datalist, it cannot be read, or it has no such split.
    """
    if text not in SPLITS:
        return listed_cases(text)
    folder = Path(gt_dir).absolute().parent
    if datalist_file(folder) is None:
        raise ValueError(f"cases must be names with commas where no datalist.json lies in {folder}, got {text!r}")
    found = [case.case for case in read_datalist(folder).get(text, [])]
    if not found:
        raise ValueError(f"cases must be a split that the datalist in {folder} has cases of, got {text!r}")
    return found


def listed_cases(text: str) -> list[str]:
    """Return the names in a text with commas.

    Raises:
        ValueError: There is none, as where a variable of the shell is not set.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise ValueError(f"cases must name at least one, got {text!r}; leave the option out for all")
    return names


def find_pairs(
    pred_dir: str | os.PathLike[str], gt_dir: str | os.PathLike[str], names: tuple[str, str] = ("pred_dir", "gt_dir")
) -> Pairs:
    """Find the prediction of every ground truth.

    nnU-Net names a prediction as the case, ``case.nii.gz``. MONAI's `SaveImage` names it after the image and may append
    a word and make a folder: ``case_0000.nii.gz``, ``case/case_trans.nii.gz``. A prediction belongs to the longest name
    of a case that it starts with, followed by nothing, by the number of the first channel, or by words, and by the same
    in all names: ``site_1_7``, ``site_1_0001``, and ``site_1_later`` beside ``site_2``, are none of the case
    ``site_1``. Neither is ``site_1_0000`` where another file of either folder is ``site_1_0001`` or so, as the numbers
    may be those of cases.

    Args:
        pred_dir: Folder with predictions, searched with its subfolders.
        gt_dir: Folder with one label map per case, NIfTI; PNG, TIFF or BMP, as nnU-Net has them, where there is none.
        names: What errors call the two.

    Raises:
        ValueError: A folder is none, holds no label map, a case has two predictions, or no case has one.
    """
    truths = _label_maps(names[1], Path(gt_dir), below=False)
    targets = {_name(file): file for file in truths}
    if len(targets) < len(truths):
        twice = next(file.name for file in truths if targets[_name(file)] != file)
        raise ValueError(
            f"{names[1]} must hold one label map per case, got {twice} and another of its name in {gt_dir}"
        )
    found: dict[str, list[Path]] = defaultdict(list)
    stray: list[Path] = []
    predictions = _label_maps(names[0], Path(pred_dir), below=True)
    series = {match[1] for file in (*truths, *predictions) if (match := _SERIES.fullmatch(_name(file)))}
    for file in predictions:
        owner = _owner(_name(file), targets, series)
        (stray if owner is None else found[owner]).append(file)
    for case, files in found.items():
        if len(files) > 1:
            raise ValueError(
                f"{names[0]} must hold one prediction per case, got {len(files)} for {case}: "
                f"{', '.join(str(file.relative_to(pred_dir)) for file in files[:3])}; move the others away"
            )
    stray += _with_other_texts(found)
    if not found:
        raise ValueError(
            f"{names[0]} must hold predictions named as the files of {gt_dir}, such as {next(iter(targets))}.nii.gz, "
            f"got {stray[0].name} and no other that fits"
        )
    return Pairs(
        {case: (found[case][0], target) for case, target in sorted(targets.items()) if case in found},
        sorted(case for case in targets if case not in found),
        stray,
    )


def _with_other_texts(found: dict[str, list[Path]]) -> list[Path]:
    """Take out, and return, predictions whose names go on in another way than the others' do.

    nnU-Net appends nothing and MONAI the same text to every name, so ``pat_1_followup`` beside ``pat_2`` is none of
    ``pat_1``. Nothing appended comes first, then what most names have.
    """
    texts = {case: _name(files[0])[len(case) :] for case, files in found.items()}
    counts = Counter(texts.values())
    kept = min(counts, key=lambda text: (text != "", -counts[text], len(text)), default="")
    return [file for case, text in texts.items() if text != kept for file in found.pop(case)]


def _owner(name: str, cases: Iterable[str], series: set[str]) -> str | None:
    """Return the case of a prediction; ``None`` where there is none, or a doubt."""
    owners = [case for case in cases if name.startswith(case) and _APPENDED.fullmatch(name, len(case))]
    owner = max(owners, key=len, default=None)
    return None if owner in series and name.startswith(f"{owner}_0000") else owner


def _name(file: Path) -> str:
    return _composed(file.stem if file.name.lower().endswith(PIXEL_ENDINGS) else case_name(file))


def _composed(name: str) -> str:
    """Return a name as Linux has it: macOS stores an accent as a letter of its own."""
    return unicodedata.normalize("NFC", name)


def _label_maps(name: str, folder: Path, below: bool) -> list[Path]:
    if not folder.is_dir():
        raise ValueError(f"{name} must be a folder, got {folder}")
    files = data_files(folder, NIFTI_ENDINGS, below) or data_files(folder, PIXEL_ENDINGS, below)
    if not files:
        raise ValueError(f"{name} must hold .nii.gz or .nii files, or .png, .tif or .bmp, got none in {folder}")
    return files


def read_pair(pred_file: Path, target_file: Path) -> tuple[Volume, Volume]:
    """Read a predicted label map and its ground truth.

    Raises:
        ValueError: A file is no label map, or the two lie on different grids.
        OSError: A file does not exist or may not be read.
    """
    pred, target = read_any_labels(pred_file), read_any_labels(target_file)
    if not same_grid(pred, target):
        raise ValueError(_off_the_grid((pred_file, target_file), (pred, target)))
    return pred, target


def _off_the_grid(files: tuple[Path, Path], volumes: tuple[Volume, Volume]) -> str:
    """Say how two grids differ, and what to do: voxels that only lie elsewhere may have a wrong header."""
    pred, target = (f"{file.parent.name}/{file.name}" for file in files)
    difference = grid_difference(*volumes)
    silent = [
        f"; {name} names no orientation (sform and qform codes 0)"
        for name, file in zip((pred, target), files, strict=True)
        if file.name.lower().endswith(NIFTI_ENDINGS) and not names_orientation(file)
    ]
    remedy = f"resample {pred}"
    if difference.position:
        remedy = (
            f"the header of one may be wrong: copy that of {target} to {pred} if their voxels belong together, else "
            f"{remedy}"
        )
    return (
        f"{files[1].name} must lie on one grid in both folders, got {difference.text} in {pred} and {target}"
        f"{''.join(silent)}; {remedy}"
    )


def find_image(case: str, gt_dir: Path, images: Path | None) -> Path | None:
    """Return the first channel of a case: in `images`, or beside an nnU-Net folder of labels."""
    gt_dir = gt_dir.absolute()  # "." has no name
    beside = gt_dir.with_name(gt_dir.name.replace("labels", "images"))
    folder = images if images is not None else beside if beside != gt_dir else None
    names = [f"{case}{part}{ending}" for part in ("_0000", "") for ending in (*NIFTI_ENDINGS, *PIXEL_ENDINGS)]
    return next((folder / name for name in names if folder is not None and (folder / name).is_file()), None)
