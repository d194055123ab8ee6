"""Volumes as TIFF stacks, or as folders with one image per slice, as arrays whose slices are read when asked for."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813 - as everywhere

from monai_boundary.datasets.checks import UnfitError, check_size, data_files
from monai_boundary.datasets.label_maps import read_itk
from monai_boundary.datasets.pictures import stored_scale
from monai_boundary.datasets.tiffs import TIFF_ENDINGS, open_tiff, tiff_layout

__all__ = ["SliceFolder", "TiffStack", "open_stack"]

_ENDINGS = (".png", *TIFF_ENDINGS)


class SliceFolder:
    """The slices in a folder, PNG or TIFF, in the order of the numbers in their names.

    Raises as `Stored`, and ``ValueError`` for slices of both kinds and, once they are read, of several sizes.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder} does not exist; check the path")
        found = data_files(folder, _ENDINGS)
        kinds = sorted({path.suffix.lower() for path in found})
        if len(kinds) != 1:
            raise ValueError(
                f"{folder} must hold slices of one kind among {', '.join(_ENDINGS)}, got "
                f"{' and '.join(kinds) or 'none'}; move other images elsewhere"
            )
        self._files = sorted(found, key=lambda path: (_natural(path.stem), path.name))

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels (D, H, W); the first slice is read for it."""
        return (len(self._files), *_read_slice(self._files[0]).shape)

    @property
    def numbers(self) -> list[int | None]:
        """The number that counts the slices: the last one that differs between their names, ``None`` without one."""
        found = [[int(digits) for digits in re.findall(r"\d+", path.stem)] for path in self._files]
        same_count = len({*map(len, found)}) == 1
        differ = (
            [place for place, column in enumerate(zip(*found, strict=True)) if len({*column}) > 1] if same_count else []
        )
        place = differ[-1] if differ else -1
        return [numbers[place] if numbers else None for numbers in found]

    def __getitem__(self, part: slice) -> np.ndarray:
        files = self._files[part]
        slices = [_read_slice(path) for path in files]
        for path, one in zip(files, slices, strict=True):
            if one.shape != slices[0].shape:
                raise ValueError(
                    f"{path} must have the size of {files[0].name}, {slices[0].shape} pixels (H, W), got {one.shape}; "
                    "move slices of other volumes elsewhere"
                )
        return np.stack(slices)


def _natural(text: str) -> list[int | str]:
    """Order in which slice_2 comes before slice_10: texts and numbers in turn."""
    return [int(part) if place % 2 else part.lower() for place, part in enumerate(re.split(r"(\d+)", text))]


def _read_slice(path: Path) -> np.ndarray:
    if path.suffix.lower() in TIFF_ENDINGS:
        with open_stack(path) as stack:
            if (depth := stack.shape[0]) != 1:
                raise UnfitError(f"{path} must hold one slice, got {depth}; pass a stack as a file, not its folder")
            check_size(path, math.prod(stack.shape) * stack.dtype.itemsize)
            return np.asarray(stack[:][0])
    scale = stored_scale(path, "grey values")
    array: np.ndarray = sitk.GetArrayFromImage(read_itk(path, bytes_per_value=2))
    if array.ndim != 2:
        raise ValueError(f"{path} must hold one grey channel, got shape {array.shape}; convert colours to grey")
    return array // scale if scale > 1 else array


class TiffStack:
    """The grey pages in an open TIFF, as slices `(D, H, W)`; samples are those that are stored."""

    def __init__(self, path: Path, file: Any) -> None:
        layout, shape = tiff_layout(path, file), tuple(file.series[0].shape)
        if (samples := layout.shape[-1]) != 1:
            raise UnfitError(
                f"{path} must hold grey slices (D, H, W), got shape {shape} with {samples} samples per pixel; convert "
                "colours to grey"
            )
        self.shape, self.dtype = layout.shape[:3], file.series[0].dtype
        self._file = file

    def __getitem__(self, part: slice) -> np.ndarray:
        if len(self._file.pages) != self.shape[0]:  # ImageJ and tifffile may store a stack behind one page
            return np.asarray(self._file.series[0].asarray().reshape(self.shape)[part])
        return np.stack([self._file.pages[index].asarray() for index in range(*part.indices(self.shape[0]))])


@contextmanager
def open_stack(path: Path) -> Iterator[TiffStack]:
    """Open a TIFF stack; raises as `Stored`, and ``ValueError`` when the compression needs imagecodecs."""
    with open_tiff(path) as file:
        yield TiffStack(path, file)
