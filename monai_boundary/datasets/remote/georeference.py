"""Where the pixels of a GeoTIFF lie, as rasterio has it, and rasterio itself, which comes with an extra."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from monai_boundary.datasets.checks import import_extra

__all__ = ["Georeference", "import_rasterio", "on_grid", "without_georeference_warning"]

_DATUMS = 10.0  # metres between datums of one grid


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

    def places(self, pixels: np.ndarray) -> np.ndarray:
        """Return the places `(N, 2)` in the reference system of `pixels` `(N, 2)`, column and row, on a grid."""
        matrix = np.array(list(self.transform)).reshape(3, 3)
        return np.asarray(pixels @ matrix[:2, :2].T + matrix[:2, 2])

    def plane(self, projection: str, pixel: tuple[float, float]) -> Any:
        """Return a projection of PROJ in metres, such as ``"laea"``, around the place of a pixel (column, row)."""
        rasterio = import_rasterio()
        (east,), (north,) = rasterio.warp.transform(self.crs, "OGC:CRS84", *self.places(np.array([pixel])).T)
        return rasterio.crs.CRS.from_proj4(f"+proj={projection} +lat_0={north} +lon_0={east} +datum=WGS84 +units=m")

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


def on_grid(path: Path, place: Georeference | None) -> Georeference:
    """Return the georeference of the file `path`, of which every pixel has a place in a reference system.

    Raises:
        ValueError: It has none, no reference system, or ground control points or polynomials in place of a grid.
    """
    if place is None or place.crs is None:
        raise ValueError(f"{path} must have a reference system, got none; set it with gdal_edit.py -a_srs EPSG:...")
    if place.affine is not place.transform:
        raise ValueError(f"{path} must lie on the grid of its reference system, got ground control points or "
                         "polynomials; warp it, as with gdalwarp")  # fmt: skip
    return place


def import_rasterio() -> Any:
    """Return the module rasterio."""
    for part in ("_err", "features", "shutil", "transform", "warp", "windows"):
        import_extra(f"rasterio.{part}", "remote", "GeoTIFF windows")
    return import_extra("rasterio", "remote", "GeoTIFF windows")


@contextmanager
def without_georeference_warning() -> Iterator[None]:
    """Silence rasterio's warning about files without georeference, which are as good as others here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", import_rasterio().errors.NotGeoreferencedWarning)
        yield
