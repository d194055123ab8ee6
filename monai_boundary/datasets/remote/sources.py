"""One file of a tile: its bands, and which of its pixels have no data."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from monai_boundary.datasets.checks import check_readable
from monai_boundary.datasets.remote.georeference import import_rasterio
from monai_boundary.datasets.remote.tiles import ENDINGS, Layer

__all__ = ["Source", "check_chunks", "equals", "gdal_name", "is_address", "reading"]

#: What GDAL reads from an archive, or from elsewhere: no path of the system. Rasterio's own form is zip:///a.zip!b.tif.
_ARCHIVED = re.compile(r"(?P<kind>/vsi(zip|gzip|tar|7z|rar))/(?P<inner>[^{].*)|/vsi|\w\w+:")
#: Addresses, of which Path drops a slash; and stores that GDAL reads with the credentials that it finds.
_ADDRESS = re.compile(r"(?P<scheme>https?|ftp|s3|gs|az|oss|swift):/+(?P<rest>.+)", re.DOTALL)
_STORES = ("s3", "gs", "az", "oss", "swift")
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
        coloured: Whether a band holds numbers of colours.
    """

    file: Any
    path: Path
    bands: tuple[int, ...]
    alpha: int | None
    masked: bool
    coloured: bool = False

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
        masked = any(not other & set(file.mask_flag_enums[band - 1]) for band in bands)
        coloured = any(file.colorinterp[band - 1] == rasterio.enums.ColorInterp.palette for band in bands)
        return cls(file, layer.path, bands, alpha, masked, coloured)

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


def check_chunks(path: Path) -> None:
    """Raise ``ValueError`` for a PNG that was cut off, of which GDAL takes the rest for zeros."""
    if path.suffix.lower() != ".png" or not path.is_file():
        return
    with path.open("rb") as file:
        size, at = path.stat().st_size, 8
        while at < size:
            file.seek(at)
            head = file.read(8)
            at += 12 + int.from_bytes(head[:4], "big")
            if head[4:] == b"IEND":
                return
    raise ValueError(f"{path} must be a complete image, got {size} bytes without an end; download or copy it again")


def _is_alpha(file: Any, band: int) -> bool:
    """Whether most of some pixels of a band are nothing or the most: a mask, no channel."""
    facts = Path(file.name).stat() if Path(file.name).exists() else None
    key = (file.name, facts.st_mtime_ns, facts.st_size) if facts else ("", 0, 0)
    if facts is None or key not in _ALPHA:
        some = file.read(band, out_shape=(min(8, file.height), min(8, file.width)))
        _ALPHA[key] = bool(((some == 0) | (some == some.max())).mean() >= 0.5)
    return _ALPHA[key]


def is_address(path: str | os.PathLike[str]) -> bool:
    """Whether a path is an address elsewhere, such as ``https://`` and ``s3://``, and no file of the system."""
    return _ADDRESS.match(os.fspath(path)) is not None


def gdal_name(path: Path) -> str:
    """Return what GDAL takes for a path: inside an archive the inner one is absolute after ``//``, which Path drops."""
    if found := _ADDRESS.match(path.as_posix()):
        scheme, rest = found["scheme"], found["rest"]
        return f"/vsi{scheme}/{rest}" if scheme in _STORES else f"/vsicurl/{scheme}://{rest}"
    found = _ARCHIVED.match(path.as_posix())
    if found and found["inner"] and not any(parent.is_file() for parent in Path(found["inner"]).parents):
        return f"{found['kind']}//{found['inner']}"
    return str(path)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Say which file is damaged; rasterio's texts often do not."""
    rasterio = import_rasterio()
    try:
        yield
    except (rasterio.errors.RasterioIOError, rasterio._err.CPLE_BaseError) as error:
        if not _ARCHIVED.match(path.as_posix()):
            check_readable(path)
        reason = str(error.__cause__ or error).strip()
        kind = "GeoTIFF" if path.suffix.lower() in ENDINGS else "image"
        remedy = "check the address" if is_address(path) else "download or copy it again"
        raise ValueError(f"{path} must be a complete {kind}, got: {reason}; {remedy}") from error
