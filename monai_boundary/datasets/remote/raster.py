"""Windows of GeoTIFFs, read through rasterio: images, and masks as labels."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from monai_boundary._check import check_number
from monai_boundary.datasets.remote.codes import IGNORE, MaskCodes
from monai_boundary.datasets.remote.georeference import Georeference, import_rasterio, without_georeference_warning
from monai_boundary.datasets.remote.sources import Source, check_chunks, equals, gdal_name, reading
from monai_boundary.datasets.remote.tiles import Layer

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["MaskReader", "TileReader", "White"]

_STRIP = 512  # rows looked at together: the colours of a whole tile would take twelve times its size

#: What becomes 255, see `TileReader`.
White = float | Literal["type"] | Sequence[Sequence[float]] | None


class TileReader:
    """The image of a tile, of which windows are read: the whole is never in memory.

    Files that GDAL knows are read: GeoTIFF, PNG, JPEG 2000, VRT and others, in archives and at addresses too. Not to be
    shared by processes: open one in each.

    A pixel has no data where one of the files says so: by its nodata value in all bands (in floating point, unless it
    is 0, in any), by an internal mask or one beside the file, by an alpha band, or by NaN or infinity. A band marked as
    alpha whose values are other than those of a mask is a channel: many programs mark near infrared like that.

    Args:
        layers: A file, or `Layer` objects whose bands are put one after the other; they must have one size and place.
        white: Stored value that becomes 255, for networks that know bytes; ``"type"`` for the largest one of a file's
            integer type (65535 for uint16, or as its NBITS says). Pairs, one for each channel, are the values that
            become 0 and 255; what lies outside of them is cut off. ``None``: values as stored.

    Attributes:
        shape: Pixels (H, W).
        channels: Number of bands; one that is alpha is none, unless a layer names it.
        georeference: Of the first file; ``None`` where it has none, which is no fault.
        files: The files.
        may_miss: Whether there may be pixels without data.

    Raises:
        ImportError: rasterio is not installed.
        ValueError: A file is no complete raster, lacks a band, two files differ in size or place, or `white` is none.
        FileNotFoundError: A file does not exist.
    """

    def __init__(
        self,
        layers: str | os.PathLike[str] | Sequence[Layer],
        white: White = None,
    ) -> None:
        self._white, self._ranges = _check_white(white)
        if isinstance(layers, str | os.PathLike):
            layers = (Layer(Path(layers)),)
        if not layers:
            raise ValueError("layers must name at least one file, got none")
        self.files = tuple(layer.path for layer in layers)
        self._sources: list[Source] = []
        with ExitStack() as opened, without_georeference_warning():
            for layer in layers:
                check_chunks(layer.path)
                with reading(layer.path):
                    file = opened.enter_context(import_rasterio().open(gdal_name(layer.path)))
                    source = Source.of(file, layer)
                first = self._sources[0].file if self._sources else file
                if (file.height, file.width) != (first.height, first.width):
                    raise ValueError(
                        f"{layer.path} must have the size of {self.files[0]}, got {(file.height, file.width)} and "
                        f"{(first.height, first.width)} pixels (H, W); resample it onto the same grid"
                    )
                self._sources.append(source)
            self._opened = opened.pop_all()
        self.shape: tuple[int, int] = (first.height, first.width)
        self.channels = sum(len(source.bands) for source in self._sources)
        self.may_miss = any(source.may_miss for source in self._sources)
        self.georeference = Georeference.of(first)
        if self._ranges is not None and len(self._ranges) != self.channels:
            self.close()
            raise ValueError(f"white must hold a pair for each of the {self.channels} channels of {self.files[0]}, got "
                             f"{len(self._ranges)}; choose the bands of the training")  # fmt: skip
        self._check_places()

    def _check_places(self) -> None:
        """Refuse a layer of another place; some pixels apart they may be, as they were resampled."""
        for source in self._sources[1:]:
            place = Georeference.of(source.file)
            if place is None or self.georeference is None:
                continue
            if found := self.georeference.lies_elsewhere(place, self.shape, max(1, max(self.shape) / 100)):
                self.close()
                raise ValueError(
                    f"{source.path} must lie where {self.files[0]} lies, got {found}; check that both are of one tile"
                )

    def read(self, rows: slice, columns: slice) -> np.ndarray:
        """Return the values `(C, rows, columns)` of a window inside the tile, 0 where there are no data.

        Raises:
            ValueError: The file is damaged there.
        """
        return self.window(rows, columns)[0]

    def window(self, rows: slice, columns: slice) -> tuple[np.ndarray, np.ndarray]:
        """Return what `read` does, and bool `(rows, columns)` where there are no data.

        Raises:
            ValueError: The file is damaged there.
        """
        window = import_rasterio().windows.Window.from_slices(rows, columns)
        parts, missing = [], np.zeros((rows.stop - rows.start, columns.stop - columns.start), bool)
        for source in self._sources:
            if source.coloured:
                raise ValueError(f"{source.path} must hold the values of its channels, got numbers of a colour table; "
                                 "convert it, as with gdal_translate -expand rgb")  # fmt: skip
            values = source.read(window)
            if source.may_miss:
                missing |= source.missing(values, window)
            parts.append(values if self._white is None else source.whitened(values, self._white))
        image = np.concatenate(parts)
        if self._ranges is not None:
            black, white = self._ranges[:, 0, None, None], self._ranges[:, 1, None, None]
            image = ((np.clip(image, black, white) - black) * (255 / (white - black))).astype(np.float32)
        if missing.any():
            image[:, missing] = 0
        return image, missing

    def stored(self, rows: slice, columns: slice) -> np.ndarray:
        """Return the values `(C, rows, columns)` of a window as the files hold them.

        Raises:
            ValueError: The file is damaged there.
        """
        window = import_rasterio().windows.Window.from_slices(rows, columns)
        return np.concatenate([source.read(window) for source in self._sources])

    def strips(self) -> Iterator[tuple[slice, slice]]:
        """Yield rows and columns of the parts in which a tile is looked at from top to bottom."""
        for top in range(0, self.shape[0], _STRIP):
            yield slice(top, min(top + _STRIP, self.shape[0])), slice(0, self.shape[1])

    def close(self) -> None:
        """Close the files."""
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _check_white(white: White) -> tuple[float | Literal["type"] | None, np.ndarray | None]:
    """The number, or the pairs `(C, 2)`."""
    if white is None or white == "type":
        return white, None
    if not isinstance(white, Sequence | np.ndarray) or isinstance(white, str):
        return check_number("white", white), None
    try:
        pairs = np.array(white, float)
    except (TypeError, ValueError):
        pairs = np.empty(0)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or not np.isfinite(pairs).all() or (pairs[:, 0] >= pairs[:, 1]).any():
        raise ValueError(f"white must hold pairs (black, white) of finite numbers, black < white, got {white!r}")
    return None, pairs


class MaskReader(TileReader):
    """The mask of a tile, of which labels are read; an alpha band, or grey stored three times, does not matter.

    Colours where `codes` names numbers, and labels in the alpha band alone, are refused.

    Args:
        path: The file.
        codes: What its values mean. Pixels of the file's nodata value are `IGNORE`; a nodata value of 0, which many
            programs write on background, says nothing. Nor do an internal mask and alpha, for the same reason.
    """

    def __init__(self, path: Path, codes: MaskCodes) -> None:
        super().__init__((Layer(path, tuple(range(1, codes.bands + 1))),))
        self._codes = codes
        self._nodata = self._sources[0].file.nodata
        self._exclusive = {value for value in codes.one_of if value != self._nodata}
        self._seen: set[int] = set()
        file, alpha = self._sources[0].file, import_rasterio().enums.ColorInterp.alpha
        #: Of a mask of numbers with several bands: those that should repeat the first, and those that say nothing.
        self._colours = [band for band in (2, 3) if file.count > 2 and file.colorinterp[band - 1] != alpha]
        self._others = [band for band in file.indexes[1:] if band not in self._colours]
        if codes.bands > 1:
            self._colours = self._others = []

    def labels(self, rows: slice, columns: slice, place: str = "") -> np.ndarray:
        """Return uint8 labels `(rows, columns)` of a window; errors name the file and `place`.

        Raises:
            ValueError: The file is damaged there, a value has no label, two exclude each other, or it holds colours.
        """
        stored, path = self.stored(rows, columns), self.files[0]
        self._refuse_colours(stored, rows, columns, place)
        missing = equals(stored, self._nodata).all(0) if self._nodata else np.zeros(stored.shape[1:], bool)
        self._refuse_both(stored)
        if missing.any():
            anything = np.atleast_1d(next(iter(self._codes.labels)))  # that has a label
            stored = np.where(missing, anything[:, None, None], stored)
        labels = self._codes.decode(stored, f"{path}{place}")
        labels[missing] = IGNORE
        return labels

    def check_values(self) -> None:
        """Read the mask once to see that it holds one only of the values that `codes` says exclude each other.

        Raises:
            ValueError: It holds two, is damaged, or has its labels in a band that is not read, such as alpha.
        """
        for part in self.strips() if len(self._exclusive) > 1 else ():
            self._refuse_both(self.stored(*part))
        self.check_bands()

    def check_bands(self) -> None:
        """See that a mask of several bands has its labels in the first; one of a single band is not read for it.

        Raises:
            ValueError: It is damaged, or has its labels in a band that is not read, such as alpha.
        """
        others = set()
        for part in self.strips() if self._others else ():
            if self.stored(*part).any():
                return
            for number, band in zip(self._others, self._bands(self._others, *part), strict=True):
                others |= {(number, band.min()), (number, band.max())}
        if len(others) > len(self._others):
            raise ValueError(
                f"{self.files[0]} must hold its labels in the first band, got 0 there and other values in band "
                f"{' or '.join(map(str, self._others))}, such as alpha; write the labels to a file of one band"
            )

    def _bands(self, bands: Sequence[int], rows: slice, columns: slice) -> np.ndarray:
        with reading(self.files[0]):
            window = import_rasterio().windows.Window.from_slices(rows, columns)
            values: np.ndarray = self._sources[0].file.read([*bands], window=window)
        return values

    def _refuse_colours(self, stored: np.ndarray, rows: slice, columns: slice, place: str) -> None:
        """Raise where the second and third band differ from the first: other bands than it would hold labels."""
        if not self._colours:
            return
        others = self._bands(self._colours, rows, columns)
        kept = self._codes.decode if self._codes.nearest else (lambda band, _: band[0])  # which a loss may have changed
        first, *rest = (kept(band[None], place) for band in [stored[0], *others])
        apart = np.any([(first != band) & ((first == first) | (band == band)) for band in rest], axis=0)  # NaN is NaN
        if apart.any():
            colour = tuple(np.concatenate([stored, others])[:, apart][:, 0].tolist())
            raise ValueError(
                f"{self.files[0]}{place} must hold numbers in one band, or the same in all, got colours, such as "
                f"{colour}; convert them to numbers, or name them with codes=MaskCodes({{{colour}: 1, ...}})"
            )

    def _refuse_both(self, stored: np.ndarray) -> None:
        """Note which of the values that exclude each other were read so far, and raise at the second."""
        self._seen |= {value for value in self._exclusive - self._seen if (stored == value).any()}
        if len(self._seen) > 1:
            seen = self._seen
            both = " and ".join(map(str, sorted(seen)))
            last = max(seen)
            raise ValueError(
                f"{self.files[0]} must hold one of the values {both} beside 0, got both; if {last} means no data, "
                f"write it into the file (gdal_edit.py -a_nodata {last}), or name it with "
                f"codes=MaskCodes({{0: 0, {min(seen)}: 1, {last}: {IGNORE}}})"
            )
