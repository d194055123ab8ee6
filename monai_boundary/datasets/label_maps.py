"""The label maps of a data set, without its images: where they lie, what their values mean, and their voxels.

They come from a raw data set of nnU-Net, or of the Medical Segmentation Decathlon, or from a MONAI datalist. Volumes
are NIfTI or whatever SimpleITK reads; 2D label maps are PNG, BMP or TIFF as well, as nnU-Net has them.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813 - as everywhere

from monai_boundary._check import check_spacing
from monai_boundary.datasets.checks import CHANNEL, check_readable, check_real, check_size, data_files
from monai_boundary.datasets.datalist import datalist_file, named_classes, read_datalist, read_description
from monai_boundary.datasets.nifti import NIFTI_ENDINGS, Volume, label_values, read_image, read_labels
from monai_boundary.datasets.pictures import stored_scale
from monai_boundary.datasets.tiffs import TIFF_ENDINGS, is_tiff, read_tiff_image, read_tiff_labels
from monai_boundary.datasets.whole import check_whole

__all__ = [
    "PIXEL_ENDINGS",
    "LabelFiles",
    "label_files",
    "read_any_image",
    "read_any_labels",
    "read_itk",
]

_LOOKED_AT = ("training", "validation")  # what is chosen may not depend on the labels of the test cases
#: Of images; the resolution that such a file holds is that of a screen or a printer.
PIXEL_ENDINGS = (".png", ".bmp", *TIFF_ENDINGS)


@dataclass(frozen=True)
class LabelFiles:
    """Where the label maps of a data set lie.

    Args:
        files: Label map by case.
        classes: Values by the name of the class, several for a region; empty where the data set names none.
        ignore_index: Value of voxels that do not count.
    """

    files: Mapping[str, Path]
    classes: Mapping[str, tuple[int, ...]]
    ignore_index: int | None = None


def label_files(dataset: str | os.PathLike[str]) -> LabelFiles:
    """Find the label maps of a data set; those of test cases are left alone, and none is looked at.

    What lists the cases decides: a ``datalist.json``, or a ``dataset.json`` with ``training`` as the Medical
    Segmentation Decathlon has it. Where neither does, all label maps in ``labelsTr`` are taken.

    Args:
        dataset: Folder with ``dataset.json`` and ``labelsTr``, folder with a ``datalist.json``, or one of these files.

    Raises:
        ValueError: There is no such list, it cannot be read, or it holds no labelled case.
        OSError: The folder does not exist.
    """
    path = Path(dataset)
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; check the path")
    described = (path if path.is_dir() else path.parent) / "dataset.json"
    content = read_description(described) if described.is_file() else {}
    lists = path == described and any(isinstance(content.get(split), list) for split in _LOOKED_AT)
    file = path if lists else datalist_file(described.parent if path == described else path, _LOOKED_AT)
    if file is not None:
        content = {"labels": content.get("labels", {}), **read_description(file)}  # a datalist names no classes
        splits = read_datalist(file)
        cases = [case for split in _LOOKED_AT for case in splits.get(split, ())]
        files = {case.case: case.label for case in cases if case.label is not None}
    elif (described.parent / "labelsTr").is_dir():
        files = _raw_files(described.parent, content)
    else:
        raise ValueError(f"{path} must hold dataset.json and labelsTr, or a datalist.json, got none of them")
    if not files:
        raise ValueError(f"{path} must hold labelled cases to train on, got none")
    classes = named_classes(content)
    ignored = classes.pop("ignore", (None,))[0]
    return LabelFiles(
        dict(sorted(files.items())), {name: values for name, values in classes.items() if values != (0,)}, ignored
    )


def _raw_files(folder: Path, content: Mapping[str, Any]) -> dict[str, Path]:
    """Return the label maps of nnU-Net's raw data set: those it lists, or all in labelsTr of its file ending."""
    if "dataset" in content:
        try:
            return {case: folder / entry["label"] for case, entry in content["dataset"].items() if entry.get("label")}
        except (AttributeError, KeyError, TypeError):
            raise ValueError(
                f"dataset in {folder / 'dataset.json'} must be {{'case': {{'images': [...], 'label': file}}}}, got "
                "another form; leave it out to take all files in labelsTr"
            ) from None
    endings = [str(content["file_ending"]).lower()] if "file_ending" in content else list(NIFTI_ENDINGS)
    found: dict[str, Path] = {}
    for file in data_files(folder / "labelsTr", endings):
        case = next(file.name[: -len(ending)] for ending in endings if file.name.lower().endswith(ending))
        if case in found:
            raise ValueError(
                f"{folder / 'labelsTr'} must hold one label map per case, got {found[case].name} and {file.name}"
            )
        found[case] = file
    return found


def read_any_labels(path: str | os.PathLike[str]) -> Volume:
    """Read a label map, one slice for an image; spacing is in mm, or 1 px for images that hold none.

    A TIFF volume has its spacing in a JSON file beside it, as nnU-Net writes it. It is read by tifffile, as nnU-Net
    reads it, so that its labels are the samples that the file stores.

    Raises:
        ValueError: The file is damaged, has colours, or holds anything but integers >= 0.
        OSError: The file does not exist or may not be read.
    """
    path = Path(path)
    if path.name.lower().endswith(NIFTI_ENDINGS):
        return read_labels(path)
    if is_tiff(path):
        array, stored = read_tiff_labels(path), None
    else:
        scale = stored_scale(path)
        image = read_itk(path)
        array, stored = _one_channel(path, image, scale), image.GetSpacing()[::-1]
    return _volume(label_values(array, path), *_spacing(path, stored))


def _one_channel(path: Path, image: sitk.Image, scale: int) -> np.ndarray:
    """Return the numbers that the file of an image holds, `(z, y, x)`; ``ValueError`` where they are colours."""
    array, channels = sitk.GetArrayFromImage(image), image.GetNumberOfComponentsPerPixel()
    if scale > 1:
        array //= scale
    # grey, as ITK reads a BMP; an opacity that varies may be what was meant
    grey = channels in (3, 4) and array.ndim == 3 and (array[..., :1] == array[..., :3]).all()
    if grey and (array[..., 3:] == array[:1, :1, 3:]).all():
        array, channels = array[..., 0], 1
    if channels != 1 or array.ndim not in (2, 3):
        raise ValueError(f"{path} must hold one channel of labels, got shape {array.shape}; convert colours to labels")
    return np.asarray(array.reshape((1, *array.shape)[-3:]))


def read_any_image(path: str | os.PathLike[str]) -> Volume:
    """Read an image, NIfTI, TIFF or one that SimpleITK reads, as float32; of colours the mean. Raises as `read_image`.

    What is said of a TIFF in `read_any_labels` holds here, too, but colours and palettes are taken.
    """
    path = Path(path)
    if path.name.lower().endswith(NIFTI_ENDINGS):
        return read_image(path)
    if is_tiff(path):
        channel = CHANNEL.fullmatch(path.stem)  # nnU-Net has one file of spacing for all channels of a case
        return _volume(read_tiff_image(path), *_spacing(path.with_stem(channel[1]) if channel else path, None))
    image = read_itk(path)
    array = sitk.GetArrayFromImage(image)
    check_real(path, array.dtype)
    if (channels := image.GetNumberOfComponentsPerPixel()) > 1:
        array = array[..., : 3 if channels > 2 else 1].mean(-1, dtype=np.float32)  # without opacity
    planes = array.astype(np.float32).reshape((1, *array.shape)[-3:])
    return _volume(planes, *_spacing(path, image.GetSpacing()[::-1]))


def _volume(array: np.ndarray, spacing: tuple[float, ...], unit: str) -> Volume:
    return Volume(array, spacing, np.diag([*spacing[::-1], 1.0]), unit=unit)


def read_itk(path: Path, bytes_per_value: int = 8) -> sitk.Image:
    """Read an image with SimpleITK; `bytes_per_value` is what its voxels take as the caller holds them."""
    check_readable(path)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        check_size(path, math.prod(reader.GetSize()) * bytes_per_value * reader.GetNumberOfComponents())
        check_whole(path, reader)
        return reader.Execute()
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise ValueError(
            f"{path} must be a complete image that SimpleITK reads, got: {reason}; download or copy it again"
        ) from error


def _named_spacing(sidecar: Path) -> tuple[float, ...] | None:
    """Return the spacing in nnU-Net's file beside an image; ``None`` where it is another program's and names none."""
    try:
        content = json.loads(sidecar.read_text(encoding="utf-8"))
        if not isinstance(content, dict) or "spacing" not in content:
            return None
        return check_spacing(content["spacing"], len(content["spacing"]))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{sidecar} must hold JSON with a spacing of sizes > 0 in mm, got: {error}") from error


def _spacing(path: Path, stored: tuple[float, ...] | None) -> tuple[tuple[float, ...], str]:
    """Return the spacing of a file, and its unit; `stored` is what the file says of itself, if it can."""
    sidecar = path.with_suffix(".json")
    found = _named_spacing(sidecar) if sidecar.is_file() else None
    if found is None and (stored is None or path.suffix.lower() in PIXEL_ENDINGS):
        return (1.0, 1.0, 1.0), "px"
    spacing = found or stored or ()
    return (spacing if len(spacing) == 3 else (1.0, *spacing)), "mm"
