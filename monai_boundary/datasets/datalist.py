"""MONAI's datalist JSON: which files make up which case, and the split."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from monai_boundary._files import write_json
from monai_boundary.datasets.checks import SPLITS
from monai_boundary.datasets.nifti import case_name

__all__ = ["SPLITS", "CaseFiles", "read_datalist", "write_datalist"]


@dataclass(frozen=True)
class CaseFiles:
    """Files of one case of a unique name: an image for each channel, and a label map where there is one."""

    case: str
    image: tuple[Path, ...]
    label: Path | None


def write_datalist(path: str | os.PathLike[str], splits: Mapping[str, Sequence[CaseFiles]]) -> None:
    """Write ``{"training": [{"case": ..., "image": [...], "label": ...}], ...}``, paths relative to the file."""
    folder = Path(path).resolve().parent

    def relative(file: Path) -> str:
        return Path(os.path.relpath(file.resolve(), folder)).as_posix()

    content = {
        split: [
            {"case": case.case, "image": [relative(file) for file in case.image]}
            | ({} if case.label is None else {"label": relative(case.label)})
            for case in cases
        ]
        for split, cases in splits.items()
    }
    write_json(path, content)


def read_datalist(path: str | os.PathLike[str]) -> dict[str, list[CaseFiles]]:
    """Read the splits of a datalist, or of the ``datalist.json`` in a folder; paths are taken from where it lies.

    Raises:
        ValueError: The file is no datalist, a case is named twice, or a file it names does not exist.
        OSError: The file does not exist.
    """
    file = Path(path) / "datalist.json" if Path(path).is_dir() else Path(path)
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise TypeError(f"a {type(content).__name__}")
        splits = {
            split: [_case(entry, file.parent) for entry in content[split]] for split in SPLITS if split in content
        }
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{file} must be a datalist, {{'training': [{{'image': [...], 'label': ...}}], ...}}, got {error!r}; "
            "monai-boundary convert writes one"
        ) from None
    cases = [case for entries in splits.values() for case in entries]
    twice = sorted(name for name, count in Counter(case.case for case in cases).items() if count > 1)
    if twice:
        raise ValueError(f"{file} must name every case once, got {', '.join(twice[:5])} more than once")
    files = [file for case in cases for file in (*case.image, *([case.label] if case.label else []))]
    missing = [str(name) for name in files if not name.is_file()]
    if missing or not cases:
        raise ValueError(f"{file} must name files that exist, got none at {', '.join(missing[:3]) or 'all'}")
    return splits


def _case(entry: Mapping | str, folder: Path) -> CaseFiles:
    if isinstance(entry, str):  # as the Medical Segmentation Decathlon lists its test images
        entry = {"image": entry}
    image = entry["image"]
    files = tuple(folder / name for name in ([image] if isinstance(image, str) else image))
    label = folder / entry["label"] if "label" in entry else None
    return CaseFiles(str(entry.get("case") or case_name(label or files[0])), files, label)
