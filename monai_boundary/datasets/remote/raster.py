"""Windows of GeoTIFFs, read through rasterio: images, and masks as labels."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_boundary.datasets.checks import check_readable, import_extra
from monai_boundary.datasets.remote.codes import IGNORE, MaskCodes
from monai_boundary.datasets.remote.tiles import Layer

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Georeference", "MaskReader", "TileReader", "import_rasterio", "without_georeference_warning"]


@dataclass(frozen=True)
class Georeference:
    """Where the pixels of a tile lie: rasterio's reference system or ``None``, affine from (column, row) to it."""

    crs: Any
    transform: Any


def import_rasterio() -> Any:
    """Return the module rasterio."""
    return import_extra("rasterio", "remote", "GeoTIFF windows")


@contextmanager
def without_georeference_warning() -> Iterator[None]:
    """Silence rasterio's warning about files without georeference, which are as good as others here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", import_rasterio().errors.NotGeoreferencedWarning)
        yield


class TileReader:
    """The image of a tile, of which windows are read: the whole is never in memory.

    Files that GDAL knows are read, GeoTIFF first of all. Not to be shared by processes: open one in each.

    Args:
        layers: A file, or `Layer` objects whose bands are put one after the other; they must have one size.

    Attributes:
        shape: Pixels (H, W).
        channels: Number of bands.
        georeference: Of the first file; ``None`` where it has none, which is no fault.
        files: The files.

    Raises:
        ImportError: rasterio is not installed.
        ValueError: A file is no complete raster, lacks a band, or two files differ in size.
        FileNotFoundError: A file does not exist.
    """

    def __init__(self, layers: str | os.PathLike[str] | Sequence[Layer]) -> None:
        if isinstance(layers, str | os.PathLike):
            layers = (Layer(Path(layers)),)
        if not layers:
            raise ValueError("layers must name at least one file, got none")
        self.files = tuple(layer.path for layer in layers)
        self._sources: list[tuple[Any, Path, tuple[int, ...]]] = []
        with ExitStack() as opened, without_georeference_warning():
            for layer in layers:
                with _reading(layer.path):
                    file = opened.enter_context(import_rasterio().open(layer.path))
                bands = layer.bands or tuple(range(1, file.count + 1))
                if not set(bands) <= set(range(1, file.count + 1)):
                    raise ValueError(
                        f"{layer.path} must have the bands {bands}, got {file.count} bands; choose other bands"
                    )
                first = self._sources[0][0] if self._sources else file
                if (file.height, file.width) != (first.height, first.width):
                    raise ValueError(
                        f"{layer.path} must have the size of {self.files[0]}, got {(file.height, file.width)} and "
                        f"{(first.height, first.width)} pixels (H, W); resample it onto the same grid"
                    )
                self._sources.append((file, layer.path, bands))
            self._opened = opened.pop_all()
        self.shape: tuple[int, int] = (first.height, first.width)
        self.channels = sum(len(bands) for *_, bands in self._sources)
        known = first.crs is not None or not first.transform.is_identity
        self.georeference = Georeference(first.crs, first.transform) if known else None

    def read(self, rows: slice, columns: slice) -> np.ndarray:
        """Return the stored values `(C, rows, columns)` of a window inside the tile.

        Raises:
            ValueError: The file is damaged there.
        """
        window = import_rasterio().windows.Window.from_slices(rows, columns)
        parts = []
        for file, path, bands in self._sources:
            with _reading(path):
                parts.append(file.read(list(bands), window=window))
        return np.concatenate(parts)

    def close(self) -> None:
        """Close the files."""
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class MaskReader(TileReader):
    """The mask of a tile, of which labels are read; an alpha band, or grey stored three times, does not matter.

    Args:
        path: The file.
        codes: What its values mean. Pixels of the file's nodata value are `IGNORE`; a nodata value of 0, which many
            programs write on background, says nothing.
    """

    def __init__(self, path: Path, codes: MaskCodes) -> None:
        super().__init__((Layer(path, tuple(range(1, codes.bands + 1))),))
        self._codes = codes

    def labels(self, rows: slice, columns: slice, place: str = "") -> np.ndarray:
        """Return uint8 labels `(rows, columns)` of a window; errors name the file and `place`.

        Raises:
            ValueError: The file is damaged there, or a value has no label.
        """
        stored, ((file, path, _),) = self.read(rows, columns), self._sources
        missing = (stored == file.nodata).all(0) if file.nodata else np.zeros(stored.shape[1:], bool)
        if missing.any():
            anything = np.atleast_1d(next(iter(self._codes.labels)))  # that has a label
            stored = np.where(missing, anything[:, None, None], stored)
        labels = self._codes.decode(stored, f"{path}{place}")
        labels[missing] = IGNORE
        return labels


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Say which file is damaged; rasterio's texts often do not."""
    try:
        yield
    except import_rasterio().errors.RasterioIOError as error:
        check_readable(path)
        reason = str(error.__cause__ or error).strip()
        raise ValueError(f"{path} must be a complete GeoTIFF, got: {reason}; download or copy it again") from error
