"""Score predicted GeoTIFFs of buildings against the masks of INRIA, Potsdam or a folder of one's own."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from monai_boundary._check import check_choice, check_number
from monai_boundary.datasets.checks import SPLITS, check_size
from monai_boundary.datasets.remote import (
    Georeference,
    Layer,
    MaskCodes,
    MaskReader,
    Tile,
    TileReader,
    inria_tiles,
    potsdam_codes,
)
from monai_boundary.datasets.remote.codes import BINARY, IGNORE
from monai_boundary.datasets.remote.georeference import import_rasterio
from monai_boundary.datasets.remote.tiles import ENDINGS, raster_files
from monai_boundary.datasets.remote.windows import check_grids
from monai_boundary.evaluation.matching import Pairs, listed_cases
from monai_boundary.evaluation.tables import score_each, statistics
from monai_boundary.metrics.buildings import BuildingScore, score_buildings
from monai_boundary.metrics.score_sets import Metric, Protocol

__all__ = ["SCORES", "TileEvaluation", "chosen_tiles", "evaluate_tiles", "read_tile_pair"]

_POTSDAM = re.compile(r"(?:top_)?potsdam_0*(\d+)_0*(\d+)", re.IGNORECASE)
_FAR = 100  # pixels over which the scale of a projection is measured
_SAME_SCALE = 0.01
#: The scores of a tile by the name of their column.
SCORES: Protocol = {
    "iou": Metric("IoU", "higher"),
    "boundary_f1": Metric("boundary F1", "higher"),
    "boundary_precision": Metric("boundary precision", "higher"),
    "boundary_recall": Metric("boundary recall", "higher"),
}


@dataclass
class TileEvaluation:
    """The scores of a folder of tiles.

    Args:
        theta: Of the boundary F1.
        unit: Of theta, ``"px"`` or ``"m"``.
        rows: Scores by tile.
        failed: Reason by tile that could not be scored.
        without_prediction: Masks that have no prediction.
        without_target: Predictions that have no mask.
        files: Prediction and mask by tile.
    """

    theta: float
    unit: str
    rows: dict[str, BuildingScore] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    without_prediction: list[str] = field(default_factory=list)
    without_target: list[Path] = field(default_factory=list)
    files: dict[str, tuple[Path, Path]] = field(default_factory=dict)

    @property
    def iou(self) -> float:
        """IoU of all pixels together, as the INRIA benchmark reports it; NaN without any building."""
        union = sum(row.union for row in self.rows.values())
        return sum(row.intersection for row in self.rows.values()) / union if union else math.nan

    def table(self) -> pd.DataFrame:
        """Return one line per tile: its scores, and the two areas of the IoU."""
        lines = [
            (name, row.iou, row.boundary.f1, row.boundary.precision, row.boundary.recall, row.intersection, row.union)
            for name, row in self.rows.items()
        ]
        return pd.DataFrame(lines, columns=["case", *SCORES, "intersection", "union"])

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return `table` as ``"cases"``."""
        return {"cases": self.table()}

    def summary(self) -> dict[str, Any]:
        """Return the IoU of all pixels, and the statistics of each score over the tiles that have it."""
        table = self.table()
        return {
            "theta": self.theta, "unit": self.unit, "tiles": len(table),
            "iou_of_all_pixels": None if math.isnan(self.iou) else self.iou,
            "scores": {name: statistics(table[name]) for name in SCORES},
            "failed": self.failed, "without_prediction": self.without_prediction,
            "without_target": [file.name for file in self.without_target],
        }  # fmt: skip


def evaluate_tiles(
    pred_dir: str | os.PathLike[str],
    gt_dir: str | os.PathLike[str],
    theta: float = 3.0,
    unit: Literal["px", "m"] = "px",
    progress: bool = True,
    cases: Sequence[str] | None = None,
) -> TileEvaluation:
    """Score every predicted tile of a folder; the edge of a tile is no boundary.

    A prediction belongs to the mask of its name: ``austin1.tif`` to ``austin1.tif``, ``potsdam_2_13.tif`` to
    ``top_potsdam_2_13_label.tif``. Masks hold 0 and 1 or 255 = building; those of Potsdam hold its colours, of which
    black is not counted. Neither are pixels of a nodata value, but for 0, in one of both.

    Args:
        pred_dir: Folder with predictions, 0 and 1 or 255, or Potsdam's colours.
        gt_dir: Folder with masks, such as ``train/gt`` of INRIA; also PNG.
        theta: Distance that still counts as wrong in the boundary F1.
        unit: Of theta: pixels, or metres on the ground by the georeference of the prediction. Projections that stretch,
            such as Web Mercator, are taken into account.
        progress: Show a progress bar.
        cases: Names of the tiles to score, such as ``"austin1"``, of which the others are not missed; ``None`` for all.

    Returns:
        The scores. Tiles that cannot be scored are named with the reason and do not stop the others.

    Raises:
        ImportError: rasterio is not installed.
        ValueError: A folder holds no GeoTIFF or two of one tile, no prediction has a mask, or a case is no mask.
    """
    check_choice("unit", unit, ("px", "m"))
    result = TileEvaluation(check_number("theta", theta), unit)
    found, masks = _by_name("pred_dir", Path(pred_dir)), _by_name("gt_dir", Path(gt_dir), (*ENDINGS, ".png"))
    pairs = {name: (found[name], masks[name]) for name in masks if name in found}
    if not pairs:
        raise ValueError(f"pred_dir must hold predictions named as the masks of {gt_dir}, such as {next(iter(masks))}"
                         f".tif, got {', '.join(list(found)[:3])}")  # fmt: skip
    chosen = Pairs(
        pairs, [name for name in masks if name not in found], [found[name] for name in found if name not in masks]
    )
    if cases is not None:
        chosen = chosen.only([_tile_name(name) for name in cases])
    result.files = chosen.cases
    result.without_prediction, result.without_target = chosen.without_prediction, chosen.without_target
    score = partial(_score, result.theta, unit)
    result.rows = score_each(chosen.cases, score, result.failed, "tile", progress)
    return result


def chosen_tiles(text: str, gt_dir: str | os.PathLike[str]) -> list[str]:
    """Return the names of tiles that a text means: a split of the INRIA download of `gt_dir`, or names with commas.

    Raises:
        ValueError: `gt_dir` is not its ``train/gt``, or it has no such tiles.
    """
    if text not in SPLITS:
        return listed_cases(text)
    try:
        tiles = inria_tiles(Path(gt_dir).absolute().parents[1])
    except ValueError as error:
        raise ValueError(f"cases must be names with commas where gt_dir is not train/gt of INRIA: {error}") from error
    found = [tile.name for tile in tiles if tile.split == text and tile.mask is not None]
    if not found:
        raise ValueError(f"cases must be a split with masks, training or validation, got {text!r}")
    return found


def read_tile_pair(name: str, prediction: Path, mask: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return prediction and mask as labels; where one has no data the mask is `IGNORE`."""
    codes = _codes(mask)
    check_grids(Tile(name, (Layer(prediction),), mask, "test", codes))
    pred, target = _labels(prediction, _codes(prediction)), _labels(mask, codes)
    missing = pred == IGNORE
    pred[missing], target[missing] = 0, IGNORE
    return pred, target


def _score(theta: float, unit: str, name: str, prediction: Path, mask: Path) -> BuildingScore:
    pred, target = read_tile_pair(name, prediction, mask)
    with TileReader(prediction) as reader:
        spacing = _metres(prediction, reader.georeference, reader.shape) if unit == "m" else None
    return score_buildings(pred, target, theta, spacing)


def _codes(path: Path) -> MaskCodes:
    """Colours only under Potsdam's names: a grey mask stored in three bands is none."""
    if _POTSDAM.match(path.stem):
        with TileReader(path) as reader:
            if reader.channels >= 3:
                return potsdam_codes("no_boundary", "buildings")
    return BINARY


def _labels(path: Path, codes: MaskCodes) -> np.ndarray:
    with MaskReader(path, codes) as reader:
        check_size(path, math.prod(reader.shape))
        reader.check_bands()
        labels = np.empty(reader.shape, np.uint8)
        for part in reader.strips():
            labels[part] = reader.labels(*part)
    return labels


def _metres(path: Path, place: Georeference | None, shape: tuple[int, int]) -> tuple[float, float]:
    """Size (height, width) of a pixel in metres on the ground."""
    if place is None or place.crs is None or not place.crs.is_projected:
        raise ValueError(f"{path} must have a georeference in a projected system for distances in metres, got "
                         f"{None if place is None else place.crs}; measure in pixels, unit='px'")  # fmt: skip
    if place.affine is not place.transform:
        raise ValueError(f"{path} must lie on the grid of its reference system for distances in metres, got ground "
                         "control points or polynomials; warp it, or measure in pixels, unit='px'")  # fmt: skip
    factor, matrix = place.crs.linear_units_factor[1], place.transform
    stated = np.array([math.hypot(matrix.b, matrix.e), math.hypot(matrix.a, matrix.d)]) * factor
    scales = np.array([_ground_steps(place, row, column) for row in (0, shape[0]) for column in (0, shape[1])]) / stated
    scale = scales.mean(0)
    if not np.isfinite(scale).all() or (np.abs(scales / scale - 1) > _SAME_SCALE).any():
        raise ValueError(
            f"{path} must have one scale throughout for distances in metres, got {scales.min():.3g} to "
            f"{scales.max():.3g} in {place.crs}; warp it to UTM, or measure in pixels, unit='px'"
        )
    if (np.abs(scale - 1) <= _SAME_SCALE).all():  # as UTM and most national grids
        scale = np.ones(2)
    height, width = (stated * scale).tolist()
    return height, width


def _ground_steps(place: Georeference, row: float, column: float) -> tuple[float, float]:
    """Metres on the ellipsoid from a pixel to the next row and to the next column."""
    steps = place.places(np.array([(column, row + _FAR), (column + _FAR, row)]))
    try:
        plane = place.plane("aeqd", (column, row))  # in which distances to the pixel are true
        down, right = np.hypot(*import_rasterio().warp.transform(place.crs, plane, *steps.T)) / _FAR
    except Exception:  # of PROJ, through classes of rasterio that are private: the place is none on earth
        return math.nan, math.nan
    return float(down), float(right)


def _by_name(argument: str, folder: Path, endings: tuple[str, ...] = ENDINGS) -> dict[str, Path]:
    """Files by the name of their tile."""
    named: dict[str, Path] = {}
    for path in raster_files(folder, endings):
        name = _tile_name(path.stem)
        if name in named:
            raise ValueError(f"{argument} must hold one file per tile, got {named[name]} and {path}; move one away")
        named[name] = path
    if not named:
        raise ValueError(f"{argument} must hold .tif files, got none in {folder}")
    return named


def _tile_name(stem: str) -> str:
    """Name of the tile of a file: Austin01 and austin1 are one."""
    place = _POTSDAM.match(stem)
    return f"potsdam_{place[1]}_{place[2]}" if place else re.sub(r"(?<!\d)0+(?=\d+$)", "", stem.lower())
