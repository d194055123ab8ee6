"""Label maps of a data set: an nnU-Net preprocessed folder or a MONAI datalist."""

from __future__ import annotations

import json
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from monai_boundary._geometry import affine_spacing
from monai_boundary.datasets.datalist import read_datalist
from monai_boundary.datasets.nifti import load_nifti
from monai_boundary.map_store.blosc import ENDING, open_map

__all__ = ["DataSource", "LabelFile", "LabelScheme", "LabelVolume", "find_source"]

_SEG = f"_seg{ENDING}"
#: nnU-Net's label of voxels outside the body, which it takes for background in training.
_OUTSIDE = -1


@dataclass(frozen=True)
class LabelScheme:
    """Which labels there are.

    Args:
        num_classes: Including the background, without the ignored one.
        ignore_index: Label that is not counted.
        regions: Labels of each overlapping region; ``None``: classes.
    """

    num_classes: int
    ignore_index: int | None = None
    regions: tuple[tuple[int, ...], ...] | None = None


@dataclass(frozen=True)
class LabelVolume:
    """Labels `(1, *S)` with their geometry; `affine` is ``None`` for nnU-Net's files, which have none."""

    array: np.ndarray
    spacing: tuple[float, ...]
    affine: tuple[tuple[float, ...], ...] | None


@dataclass(frozen=True)
class LabelFile:
    """Where the labels of one case are.

    Args:
        case: Name.
        path: NIfTI or Blosc2 file.
        spacing: Voxel size in mm; ``None``: that of the file.
    """

    case: str
    path: Path
    spacing: tuple[float, ...] | None

    def read(self) -> LabelVolume:
        """Read the labels in the order of the file: that of nnU-Net's arrays, or x, y, z as MONAI reads NIfTI.

        Raises:
            ValueError: The file is damaged, or its affine is not usable.
            OSError: It cannot be read.
        """
        if self.spacing is not None:
            try:
                array = open_map(self.path)[:]
            except RuntimeError as error:
                raise ValueError(
                    f"{self.path} must be a whole file of nnU-Net, got {error}; preprocess again"
                ) from None
            return LabelVolume(np.where(array == _OUTSIDE, 0, array), self.spacing, None)
        array, affine = load_nifti(self.path)
        spacing = affine_spacing(affine, 3)
        if array.min() >= 0 and array.max() <= 255 and ((small := array.astype(np.uint8)) == array).all():
            array = small  # a quarter of the memory
        return LabelVolume(array[None], spacing, tuple(tuple(map(float, row)) for row in affine))


@dataclass(frozen=True)
class DataSource:
    """The cases of a data set, by name, and the scheme of their labels where a dataset.json gives it."""

    cases: dict[str, LabelFile]
    scheme: LabelScheme | None


def find_source(data: str | os.PathLike[str]) -> DataSource:
    """Find the label files of a data set, in the order of their names.

    Args:
        data: Folder of one configuration below an nnU-Net preprocessed data set, or a datalist or its folder.

    Raises:
        ValueError: It is neither, or a name of a case cannot be that of a file.
        OSError: It does not exist.
    """
    path = Path(data)
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; give nnU-Net's folder of a configuration or a datalist.json")
    if path.is_dir() and any(path.glob(f"*{_SEG}")):
        source = _nnunet_source(path)
    elif path.is_file() or (path / "datalist.json").is_file():
        source = _datalist_source(path)
    else:
        raise ValueError(
            f"{path} must be a folder with *{_SEG} files, such as nnUNet_preprocessed/DatasetXXX/nnUNetPlans_3d_fullres"
            ", or hold a datalist.json, got neither; run nnUNetv2_preprocess or monai-boundary convert"
        )
    unusable = [case for case in source.cases if Path(case).name != case or case.startswith((".", "manifest"))]
    if unusable:
        raise ValueError(f"names of cases must be names of files, got {unusable[0]!r}; rename it")
    return source


def label_scheme(dataset: Path) -> LabelScheme:
    """Read the labels of an nnU-Net ``dataset.json``, with its rules for regions.

    Raises:
        ValueError: The file is damaged.
    """
    try:
        labels = json.loads(dataset.read_text(encoding="utf-8"))["labels"]
        ignored = labels.get("ignore")
        groups = [
            tuple(int(value) for value in (entry if isinstance(entry, list) else [entry]))
            for name, entry in labels.items()
            if name != "ignore"
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{dataset} must be an nnU-Net dataset.json with labels, got {error!r}") from None
    values = {value for group in groups for value in group}
    regions = tuple(group for group in groups if set(group) != {0}) if any(len(g) > 1 for g in groups) else None
    return LabelScheme(max(values) + 1, ignored, regions)


def _nnunet_source(folder: Path) -> DataSource:
    spacing = _configured_spacing(folder)
    names = sorted(file.name.removesuffix(_SEG) for file in folder.glob(f"*{_SEG}"))
    cases = {name: LabelFile(name, folder / f"{name}{_SEG}", spacing) for name in names}
    return DataSource(cases, label_scheme(folder.parent / "dataset.json"))


def _configured_spacing(folder: Path) -> tuple[float, ...]:
    """Return the spacing of the configuration that has its data in `folder`, as the plans beside it say."""
    found: set[tuple[float, ...]] = set()
    for file in sorted(folder.parent.glob("*.json")):
        content = json.loads(file.read_text(encoding="utf-8"))
        configurations = content.get("configurations", {}) if isinstance(content, dict) else {}
        for name in configurations:
            configuration = _with_inherited(configurations, name)
            if configuration.get("data_identifier") == folder.name:
                found.add(tuple(float(size) for size in configuration.get("spacing", ())))
    volumes = [spacing for spacing in found if len(spacing) == 3]
    if len(volumes) != 1:
        raise ValueError(
            f"the plans beside {folder} must name one 3-D configuration with data_identifier {folder.name!r} and its "
            f"spacing, got spacings {sorted(found)}; keep the plans with the data (maps of 2d slices: in the workers)"
        )
    return volumes[0]


def _with_inherited(configurations: dict[str, Any], name: str) -> dict[str, Any]:
    configuration = configurations[name]
    parent = configuration.get("inherits_from")
    return {**(_with_inherited(configurations, parent) if parent else {}), **configuration}


def _datalist_source(path: Path) -> DataSource:
    cases, without = {}, 0
    for entries in read_datalist(path).values():
        for entry in entries:
            if entry.label is None:
                without += 1
            else:
                cases[entry.case] = LabelFile(entry.case, entry.label, None)
    if not cases:
        raise ValueError(f"{path} must name labels, got {without} cases without one")
    if without:
        warnings.warn(f"{path}: {without} cases have no label and get no map", UserWarning, stacklevel=4)
    dataset = (path if path.is_dir() else path.parent) / "dataset.json"
    scheme = label_scheme(dataset) if dataset.is_file() else None
    return DataSource(dict(sorted(cases.items())), scheme)
