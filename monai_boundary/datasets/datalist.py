"""MONAI's datalist JSON: which files make up which case, and the split."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_boundary._files import write_json
from monai_boundary.datasets.checks import SPLITS, check_names
from monai_boundary.datasets.nifti import case_name

__all__ = [
    "SPLITS",
    "CaseFiles",
    "class_values",
    "datalist_file",
    "named_classes",
    "read_datalist",
    "read_description",
    "write_datalist",
]


@dataclass(frozen=True)
class CaseFiles:
    """Files of one case of a unique name: an image for each channel, and a label map where there is one."""

    case: str
    image: tuple[Path, ...]
    label: Path | None


def write_datalist(
    path: str | os.PathLike[str], splits: Mapping[str, Sequence[CaseFiles]], folds: Mapping[str, int] | None = None
) -> None:
    """Write ``{"training": [{"case": ..., "image": [...], "label": ...}], ...}``, paths relative to the file.

    Args:
        path: The file.
        splits: Cases by split.
        folds: Fold of every case of ``"training"``, for MONAI's Auto3DSeg; ``None`` writes none.
    """
    folder = Path(path).resolve().parent

    def relative(file: Path) -> str:
        return Path(os.path.relpath(file.resolve(), folder)).as_posix()

    content = {
        split: [
            {"case": case.case, "image": [relative(file) for file in case.image]}
            | ({} if case.label is None else {"label": relative(case.label)})
            | ({"fold": folds[case.case]} if folds and split == "training" else {})
            for case in cases
        ]
        for split, cases in splits.items()
    }
    write_json(path, content)


def read_datalist(
    path: str | os.PathLike[str],
    fold: int = 0,
    needed: Collection[str] = (),
    splits: Collection[str] = SPLITS,
) -> dict[str, list[CaseFiles]]:
    """Read the splits of a datalist, or of the ``datalist.json`` or ``dataset.json`` in a folder.

    The ``dataset.json`` of the Medical Segmentation Decathlon is one. Paths are taken from where the file lies. A case
    has the name that is given, else that of its label, else that of its first image, without ``.nii.gz``.

    Args:
        path: The file, or its folder.
        fold: The training cases of this ``"fold"`` validate, as in MONAI's Auto3DSeg; the number says nothing where
            cases have no fold, or where the file lists a validation split.
        needed: Files of a case that must be there: ``"image"``, ``"label"``. A caller needs none that it does not read,
            and may leave those that it does to be named case by case.
        splits: Of these cases.

    Raises:
        ValueError: The file is no datalist, a fold is no whole number, two cases have one name, a name is none of a
            file, or a `needed` file is not there.
        OSError: The file does not exist.
    """
    file = datalist_file(path) or Path(path) / "datalist.json"
    try:
        content = _with_validation(_content(file), fold, file)
        found = {split: [_case(entry, file.parent) for entry in content[split]] for split in SPLITS if split in content}
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{file} must be a datalist, {{'training': [{{'image': [...], 'label': ...}}], ...}}, got {error!r}; "
            "monai-boundary convert writes one"
        ) from None
    cases = [case for entries in found.values() for case in entries]
    check_names("cases", [case.case for case in cases], f" in {file}")
    twice = sorted(name for name, count in Counter(case.case for case in cases).items() if count > 1)
    if twice:
        raise ValueError(f"{file} must name every case once, got {', '.join(twice[:5])} more than once")
    _check_files(file, [case for split in splits for case in found.get(split, ())], needed)
    if not cases:
        raise ValueError(f"{file} must name cases, got none at all")
    return found


def _check_files(file: Path, cases: Sequence[CaseFiles], needed: Collection[str]) -> None:
    """Raise ``ValueError`` where an image, or a label map, that is `needed` is not there."""
    images = [name for case in cases for name in case.image] if "image" in needed else []
    labels = [case.label for case in cases if case.label is not None] if "label" in needed else []
    missing = [str(name) for name in (*images, *labels) if not name.is_file()]
    if missing:
        raise ValueError(
            f"{file} must name files that exist, got none at {', '.join(missing[:3])}; put them there, or take these "
            "cases out of the list"
        )


def _with_validation(content: dict, fold: int, file: Path) -> dict:
    """Make a validation split of the training cases of a fold, where there are folds and no such split."""
    cases = content.get("training", [])
    if "validation" in content or not any(isinstance(case, dict) and "fold" in case for case in cases):
        return content
    folds = [case.get("fold") for case in cases]
    wrong = [one for one in folds if one is not None and (isinstance(one, bool) or not isinstance(one, int))]
    if wrong:  # which would equal no number
        raise ValueError(f'{file} must have whole numbers as folds, got {wrong[0]!r}; write "fold": 1, say')
    parts: dict[str, list] = {"training": [], "validation": []}
    for case in cases:
        parts["validation" if case.get("fold") == fold else "training"].append(case)
    return {**content, **parts}


def datalist_file(path: str | os.PathLike[str], splits: Collection[str] = SPLITS) -> Path | None:
    """Return the datalist that a path means: a file, or what lists cases in a folder; ``None`` where nothing does.

    A ``dataset.json`` lists cases where it has one of `splits`.
    """
    if not Path(path).is_dir():
        return Path(path)
    for name in ("datalist.json", "dataset.json"):  # nnU-Net's dataset.json lists no cases
        file = Path(path) / name
        if file.is_file() and (
            name == "datalist.json" or any(isinstance(_described(file).get(key), list) for key in splits)
        ):
            return file
    return None


def class_values(file: Path) -> dict[str, tuple[int, ...]]:
    """Return the values of the classes that a ``dataset.json`` names, without ``ignore``; empty where it names none.

    Raises:
        ValueError: The file is there and damaged, or its labels are in none of the forms of `named_classes`.
    """
    return {name: values for name, values in _names_in(file).items() if name != "ignore"}


def ignored_value(file: Path) -> int | None:
    """Return the value that a ``dataset.json`` calls ``ignore``; ``None`` where there is none. Raises as above."""
    return next(iter(_names_in(file).get("ignore", ())), None)


def _names_in(file: Path) -> dict[str, tuple[int, ...]]:
    description = _described(file)
    try:
        return named_classes(description)
    except ValueError as error:
        raise ValueError(f"{file} must be a description of classes, got: {error}; correct it") from None


def _described(file: Path) -> dict[str, Any]:
    """Return the content of a ``dataset.json``, empty where there is none or it is the list of another program."""
    try:
        return _content(file)
    except (FileNotFoundError, TypeError):
        return {}
    except ValueError as error:
        raise ValueError(f"{file} must be JSON, got: {error}; correct it") from None


def named_classes(description: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return the values of the classes that the content of a ``dataset.json`` names, background and ``ignore`` too.

    ``{"lesion": 1}`` as in nnU-Net, regions ``{"whole": [1, 2]}``, or ``{"1": "lesion"}`` as in nnU-Net 1 and the
    Medical Segmentation Decathlon.

    Raises:
        ValueError: The labels are in none of these forms.
    """
    labels = description.get("labels", {})
    try:
        pairs = [_named(*pair) for pair in labels.items()]
        return {name: tuple(int(value) for value in values) for name, values in pairs}
    except (ValueError, TypeError, AttributeError):
        raise ValueError(f"labels must be {{'name': value}} or {{'region': [values]}}, got {labels!r}") from None


def _named(key: str, value: Any) -> tuple[str, list]:
    """Name and values of a class, from either direction."""
    if isinstance(value, str) and key.isdecimal():
        return value, [key]
    return key, value if isinstance(value, list) else [value]


def read_description(file: Path) -> dict[str, Any]:
    """Return the content of a ``dataset.json`` or of a datalist.

    Raises:
        ValueError: The file holds no JSON object.
        OSError: The file does not exist.
    """
    try:
        return _content(file)
    except (json.JSONDecodeError, UnicodeDecodeError, TypeError) as error:
        raise ValueError(f"{file} must be JSON with 'labels' and more, got {error}") from None


def _content(file: Path) -> dict:
    content = json.loads(file.read_text(encoding="utf-8-sig"))  # editors of Windows put a mark in front
    if not isinstance(content, dict):
        raise TypeError(f"a {type(content).__name__}")
    if isinstance(content.get("testing"), list):  # as MONAI's Auto3DSeg calls the test cases
        content["test"] = [*content.get("test", []), *content.pop("testing")]
    return content


def _case(entry: Mapping | str, folder: Path) -> CaseFiles:
    if isinstance(entry, str):  # as the Medical Segmentation Decathlon lists its test images
        entry = {"image": entry}
    image = entry["image"]
    files = tuple(folder / name for name in ([image] if isinstance(image, str) else image))
    label = None if entry.get("label") is None else folder / entry["label"]
    return CaseFiles(str(entry.get("case") or case_name(label or files[0])), files, label)
