"""Windows of GeoTIFFs, read through rasterio: images, and masks as labels."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from monai_boundary._check import check_number
from monai_boundary.datasets.checks import check_readable, import_extra
from monai_boundary.datasets.remote.codes import IGNORE, MaskCodes
from monai_boundary.datasets.remote.tiles import Layer

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Georeference", "MaskReader", "TileReader", "import_rasterio", "without_georeference_warning"]


_DATUMS = 10.0  # metres between datums of one grid
#: What GDAL reads from an archive, or from elsewhere: no path of the system. Rasterio's own form is zip:///a.zip!b.tif.
_ARCHIVED = re.compile(r"(?P<kind>/vsi(zip|gzip|tar|7z|rar))/(?P<inner>[^{].*)|/vsi|\w\w+:")
_STRIP = 1024  # rows of a mask looked at together


@dataclass(frozen=True)
class Georeference:
    """Where the pixels of a tile lie, as rasterio has it.

    Args:
        crs: Reference system, or ``None``.
        transform: Affine from (column, row) to it; the identity where only one of the next two says where pixels lie.
        gcps: Ground control points, of a tile that was not warped yet.
        rpcs: Rational polynomials of a satellite image, or ``None``.
    """

    crs: Any
    transform: Any
    gcps: tuple[Any, ...] = ()
    rpcs: Any = None

    @classmethod
    def of(cls, file: Any) -> Georeference | None:
        """Return that of an open file, ``None`` where it has none."""
        (gcps, gcps_crs), rpcs = file.gcps, file.rpcs
        if file.crs is None and file.transform.is_identity and not gcps and rpcs is None:
            return None
        return cls(file.crs or gcps_crs, file.transform, tuple(gcps), rpcs)

    @property
    def affine(self) -> Any:
        """The affine, of control points the one that fits them best; ``None`` for rational polynomials."""
        if not self.transform.is_identity or (not self.gcps and self.rpcs is None):
            return self.transform
        return import_rasterio().transform.from_gcps(self.gcps) if self.gcps else None

    def profile(self) -> dict[str, Any]:
        """Return what rasterio is given to write it to another file."""
        warped = not self.transform.is_identity or not self.gcps
        place = {"transform": self.transform} if warped else {"gcps": list(self.gcps)}
        return place | {"crs": self.crs} | ({} if self.rpcs is None else {"rpcs": self.rpcs})

    def lies_elsewhere(self, other: Georeference, shape: tuple[int, int], pixels: float = 1.0) -> str | None:
        """Say how another georeference of `shape` pixels (H, W) differs by more than `pixels`; ``None`` if not."""
        first, second = self.affine, other.affine
        if first is None or second is None:
            same = first is second and self.rpcs.to_dict() == other.rpcs.to_dict()
            return None if same else "rational polynomials (RPC) that are not those of both"
        corners = np.array([[0, 0, 1], [shape[1], 0, 1], [0, shape[0], 1], [shape[1], shape[0], 1]], float).T
        one, two = (np.array(list(place)).reshape(3, 3) for place in (first, second))
        places = two @ corners

        def apart(points: np.ndarray) -> float:
            return float(np.abs(np.linalg.solve(one, points) - corners).max())

        stated, systems = apart(places), ""
        found = stated
        if self.crs is not None and other.crs is not None and self.crs != other.crs:
            systems = f" in {self.crs} and {other.crs}"
            try:
                places[:2] = import_rasterio().warp.transform(other.crs, self.crs, *places[:2])
                found = apart(places)
            except Exception as error:  # of PROJ, through classes of rasterio that are private
                if stated > pixels:
                    return f"reference systems that cannot be compared{systems} ({error})"
            # Two datums of one grid, such as NAD83 and its later forms, may lie metres apart: one is a slip of the pen.
            if stated <= pixels and found * np.abs(np.linalg.det(one)) ** 0.5 <= _DATUMS:
                return None
        return None if found <= pixels else f"corners {found:g} pixels apart{systems}"


def import_rasterio() -> Any:
    """Return the module rasterio."""
    for part in ("transform", "warp", "windows"):
        import_extra(f"rasterio.{part}", "remote", "GeoTIFF windows")
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

    A pixel has no data where one of the files says so: by its nodata value in all bands (in floating point, unless it
    is 0, in any), by an internal mask or one beside the file, by an alpha band, or by NaN or infinity. A band marked as
    alpha whose values are other than those of a mask is a channel: many programs mark near infrared like that.

    Args:
        layers: A file, or `Layer` objects whose bands are put one after the other; they must have one size and place.
        white: Stored value that becomes 255, for networks that know bytes; ``"type"`` for the largest one of a file's
            integer type (65535 for uint16, or as its NBITS says). ``None``: values as stored.

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
        white: float | Literal["type"] | None = None,
    ) -> None:
        self._white = white if white is None or white == "type" else check_number("white", white)
        if isinstance(layers, str | os.PathLike):
            layers = (Layer(Path(layers)),)
        if not layers:
            raise ValueError("layers must name at least one file, got none")
        self.files = tuple(layer.path for layer in layers)
        self._sources: list[_Source] = []
        with ExitStack() as opened, without_georeference_warning():
            for layer in layers:
                with _reading(layer.path):
                    file = opened.enter_context(import_rasterio().open(_gdal_name(layer.path)))
                    source = _Source.of(file, layer)
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
            with _reading(source.path):
                values = source.file.read(list(source.bands), window=window)
                if source.may_miss:
                    missing |= source.missing(values, window)
            parts.append(values if self._white is None else source.whitened(values, self._white))
        image = np.concatenate(parts)
        if missing.any():
            image[:, missing] = 0
        return image, missing

    def stored(self, rows: slice, columns: slice) -> np.ndarray:
        """Return the values `(C, rows, columns)` of a window as the files hold them.

        Raises:
            ValueError: The file is damaged there.
        """
        window = import_rasterio().windows.Window.from_slices(rows, columns)
        parts = []
        for source in self._sources:
            with _reading(source.path):
                parts.append(source.file.read(list(source.bands), window=window))
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
            programs write on background, says nothing. Nor do an internal mask and alpha, for the same reason.
    """

    def __init__(self, path: Path, codes: MaskCodes) -> None:
        super().__init__((Layer(path, tuple(range(1, codes.bands + 1))),))
        self._codes = codes

    def labels(self, rows: slice, columns: slice, place: str = "") -> np.ndarray:
        """Return uint8 labels `(rows, columns)` of a window; errors name the file and `place`.

        Raises:
            ValueError: The file is damaged there, a value has no label, or two exclude each other.
        """
        stored, path = self.stored(rows, columns), self.files[0]
        nodata = self._sources[0].file.nodata
        missing = _equal(stored, nodata).all(0) if nodata else np.zeros(stored.shape[1:], bool)
        self._refuse_both({value for value in self._codes.one_of if value != nodata and (stored == value).any()})
        if missing.any():
            anything = np.atleast_1d(next(iter(self._codes.labels)))  # that has a label
            stored = np.where(missing, anything[:, None, None], stored)
        labels = self._codes.decode(stored, f"{path}{place}")
        labels[missing] = IGNORE
        return labels

    def check_values(self) -> None:
        """Read the mask once to see that it holds one only of the values that `codes` says exclude each other.

        Raises:
            ValueError: It holds two, or is damaged.
        """
        nodata = self._sources[0].file.nodata
        wanted, seen = [value for value in self._codes.one_of if value != nodata], set()
        for top in range(0, self.shape[0], _STRIP) if len(wanted) > 1 else ():
            stored = self.stored(slice(top, min(top + _STRIP, self.shape[0])), slice(0, self.shape[1]))
            seen |= {value for value in wanted if value not in seen and (stored == value).any()}
        self._refuse_both(seen)

    def _refuse_both(self, seen: set[int]) -> None:
        if len(seen) > 1:
            both = " and ".join(map(str, sorted(seen)))
            last = max(seen)
            raise ValueError(
                f"{self.files[0]} must hold one of the values {both} beside 0, got both; if {last} means no data, "
                f"write it into the file (gdal_edit.py -a_nodata {last}), or name it with "
                f"codes=MaskCodes({{0: 0, {min(seen)}: 1, {last}: {IGNORE}}})"
            )


def _equal(values: np.ndarray, nodata: float) -> np.ndarray:
    return np.asarray(np.isnan(values) if nodata != nodata else values == nodata)


_ALPHA: dict[tuple[str, int, int], bool] = {}  # by file, its time and size


@dataclass(frozen=True)
class _Source:
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
    def of(cls, file: Any, layer: Layer) -> _Source:
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

    @property
    def may_miss(self) -> bool:
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
                [np.zeros_like(missing) if tag is None else _equal(band, tag)
                 for band, tag in zip(values, tags, strict=True)]
            )  # fmt: skip
            missing |= found.any(0) if values.dtype.kind == "f" and any(tags) else found.all(0)
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


def _gdal_name(path: Path) -> str:
    """Return what GDAL takes for a path: inside an archive the inner one is absolute after ``//``, which Path drops."""
    found = _ARCHIVED.match(path.as_posix())
    if found and found["inner"] and not any(parent.is_file() for parent in Path(found["inner"]).parents):
        return f"{found['kind']}//{found['inner']}"
    return str(path)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Say which file is damaged; rasterio's texts often do not."""
    try:
        yield
    except import_rasterio().errors.RasterioIOError as error:
        if not _ARCHIVED.match(path.as_posix()):
            check_readable(path)
        reason = str(error.__cause__ or error).strip()
        raise ValueError(f"{path} must be a complete GeoTIFF, got: {reason}; download or copy it again") from error
