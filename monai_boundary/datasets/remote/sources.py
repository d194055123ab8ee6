"""One file of a tile: its bands, and which of its pixels have no data."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from monai_boundary.datasets.checks import check_readable
from monai_boundary.datasets.remote.georeference import import_rasterio
from monai_boundary.datasets.remote.tiles import Layer

__all__ = ["Source", "equals", "gdal_name", "reading"]

#: What GDAL reads from an archive, or from elsewhere: no path of the system. Rasterio's own form is zip:///a.zip!b.tif.
_ARCHIVED = re.compile(r"(?P<kind>/vsi(zip|gzip|tar|7z|rar))/(?P<inner>[^{].*)|/vsi|\w\w+:")
_ALPHA: dict[tuple[str, int, int], bool] = {}  # by file, its time and size


def equals(values: np.ndarray, nodata: float) -> np.ndarray:
    """Where values are `nodata`, which may be NaN."""
    return np.asarray(np.isnan(values) if nodata != nodata else values == nodata)


@dataclass(frozen=True)
class Source:
    """An open file of a tile, and which of its pixels have no data.

    Args:
        file: Of rasterio.
        path: Its name.
        bands: Those that are read.
        alpha: Number of the alpha band, or ``None``.
        masked: Whether there is a mask of its own.
    """

    file: Any
    path: Path
    bands: tuple[int, ...]
    alpha: int | None
    masked: bool

    @classmethod
    def of(cls, file: Any, layer: Layer) -> Source:
        """Look at an open file, of which `layer` may choose bands."""
        rasterio = import_rasterio()
        flags, marked = rasterio.enums.MaskFlags, rasterio.enums.ColorInterp.alpha
        alpha = next((band for band, kind in zip(file.indexes, file.colorinterp, strict=True) if kind == marked), None)
        if alpha is not None and (alpha in (layer.bands or ()) or file.count == 1 or not _is_alpha(file, alpha)):
            alpha = None
        bands = layer.bands or tuple(band for band in file.indexes if band != alpha)
        if not set(bands) <= set(file.indexes):
            raise ValueError(f"{layer.path} must have the bands {bands}, got {file.count} bands; choose other bands")
        other = {flags.all_valid, flags.alpha, flags.nodata}
        return cls(file, layer.path, bands, alpha, any(not other & set(file.mask_flag_enums[b - 1]) for b in bands))

    def read(self, window: Any) -> np.ndarray:
        """Return the values `(bands, H, W)` of a window as the file holds them."""
        with reading(self.path):
            values: np.ndarray = self.file.read(list(self.bands), window=window)
        return values

    @property
    def may_miss(self) -> bool:
        """Whether there may be pixels without data."""
        kinds = [np.dtype(self.file.dtypes[band - 1]).kind for band in self.bands]
        tags = [self.file.nodatavals[band - 1] for band in self.bands]
        return self.masked or self.alpha is not None or "f" in kinds or any(tag is not None for tag in tags)

    def missing(self, values: np.ndarray, window: Any) -> np.ndarray:
        """Bool `(H, W)` of the values `(bands, H, W)` of a window."""
        missing = np.zeros(values.shape[1:], bool)
        if values.dtype.kind == "f":
            missing |= ~np.isfinite(values).all(0)
        tags = [self.file.nodatavals[band - 1] for band in self.bands]
        if any(tag is not None for tag in tags):
            found = np.stack(
                [np.zeros_like(missing) if tag is None else equals(band, tag)
                 for band, tag in zip(values, tags, strict=True)]
            )  # fmt: skip
            missing |= found.any(0) if values.dtype.kind == "f" and any(tags) else found.all(0)
        with reading(self.path):
            if self.alpha is not None:
                missing |= self.file.read(self.alpha, window=window) == 0
            if self.masked:
                missing |= (self.file.read_masks(list(self.bands), window=window) == 0).any(0)
        return missing

    def whitened(self, values: np.ndarray, white: float | Literal["type"]) -> np.ndarray:
        """Values of which `white` has become 255."""
        if white == "type":
            if values.dtype.kind not in "iu":
                return values
            bits = self.file.tags(self.bands[0], ns="IMAGE_STRUCTURE").get("NBITS")
            white = 2 ** int(bits) - 1 if bits else np.iinfo(values.dtype).max
        return values if white == 255 else np.multiply(values, 255 / white, dtype=np.float32)


def _is_alpha(file: Any, band: int) -> bool:
    """Whether most of some pixels of a band are nothing or the most: a mask, no channel."""
    facts = Path(file.name).stat() if Path(file.name).exists() else None
    key = (file.name, facts.st_mtime_ns, facts.st_size) if facts else ("", 0, 0)
    if facts is None or key not in _ALPHA:
        some = file.read(band, out_shape=(min(8, file.height), min(8, file.width)))
        _ALPHA[key] = bool(((some == 0) | (some == some.max())).mean() >= 0.5)
    return _ALPHA[key]


def gdal_name(path: Path) -> str:
    """Return what GDAL takes for a path: inside an archive the inner one is absolute after ``//``, which Path drops."""
    found = _ARCHIVED.match(path.as_posix())
    if found and found["inner"] and not any(parent.is_file() for parent in Path(found["inner"]).parents):
        return f"{found['kind']}//{found['inner']}"
    return str(path)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Say which file is damaged; rasterio's texts often do not."""
    try:
        yield
    except import_rasterio().errors.RasterioIOError as error:
        if not _ARCHIVED.match(path.as_posix()):
            check_readable(path)
        reason = str(error.__cause__ or error).strip()
        raise ValueError(f"{path} must be a complete GeoTIFF, got: {reason}; download or copy it again") from error
