"""ISPRS Potsdam: 38 tiles of 6000 x 6000 pixels at 0.05 m, six classes as colours."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from pathlib import Path
from typing import Literal

from monai_boundary._check import check_choice
from monai_boundary.datasets.remote.codes import IGNORE, MaskCodes
from monai_boundary.datasets.remote.tiles import Layer, Tile, raster_files

__all__ = ["POTSDAM_CLASSES", "potsdam_codes", "potsdam_tiles"]

Channels = Literal["rgb", "irrg", "rgbir", "rgbir_dsm"]
Boundaries = Literal["all", "no_boundary"]

#: Colour of each class; its place is its label.
POTSDAM_CLASSES = {
    "impervious surface": (255, 255, 255),
    "building": (0, 0, 255),
    "low vegetation": (0, 255, 255),
    "tree": (0, 255, 0),
    "car": (255, 255, 0),
    "clutter": (255, 0, 0),
}
_BLACK = (0, 0, 0)  # eroded class borders in the _noBoundary masks
_TEST = {"2_13", "2_14", "3_13", "3_14", "4_13", "4_14", "4_15", "5_13", "5_14", "5_15", "6_13", "6_14", "6_15", "7_13"}
_TRAINING = {
    *(f"{row}_{column}" for row in range(2, 8) for column in (10, 11, 12)),
    *(f"{row}_{column}" for row in (6, 7) for column in (7, 8, 9)),
}
_KINDS = ("RGB", "IRRG", "RGBIR", "label", "label_noBoundary", "dsm")  # as the names of files have them
_NAME = re.compile(r"(top|dsm)_potsdam_0*(\d+)_0*(\d+)(?:_(RGB|IRRG|RGBIR|label|label_noBoundary))?", re.IGNORECASE)
# Kinds of files that hold the channels, best first, and the bands to take of each.
_SOURCES: dict[str, list[list[tuple[str, tuple[int, ...]]]]] = {
    "rgb": [[("RGB", (1, 2, 3))], [("RGBIR", (1, 2, 3))]],
    "irrg": [[("IRRG", (1, 2, 3))], [("RGBIR", (4, 1, 2))]],
    "rgbir": [[("RGBIR", (1, 2, 3, 4))]],
    "rgbir_dsm": [[("RGBIR", (1, 2, 3, 4)), ("dsm", (1,))]],
}
#: Files by place of the tile and kind.
Files = dict[tuple[str, str], list[Path]]


def potsdam_codes(
    boundaries: Boundaries = "all", classes: Literal["all", "buildings"] = "all", nearest: bool = False
) -> MaskCodes:
    """Return what the colours of Potsdam masks mean.

    Args:
        boundaries: With ``"no_boundary"`` black is a colour too, and its label is `IGNORE`.
        classes: ``"all"``: labels 0 to 5 in the order of `POTSDAM_CLASSES`; ``"buildings"``: 1 = building, 0 = others.
        nearest: Take other colours for the nearest one instead of refusing them.
    """
    check_choice("boundaries", boundaries, ("all", "no_boundary"))
    check_choice("classes", classes, ("all", "buildings"))
    labels = {
        colour: int(name == "building") if classes == "buildings" else number
        for number, (name, colour) in enumerate(POTSDAM_CLASSES.items())
    }
    return MaskCodes(labels | ({_BLACK: IGNORE} if boundaries == "no_boundary" else {}), nearest)


def potsdam_tiles(
    root: str | os.PathLike[str],
    channels: Channels = "rgb",
    boundaries: Boundaries = "all",
    classes: Literal["all", "buildings"] = "all",
    nearest: bool = False,
) -> list[Tile]:
    """List the tiles of an unpacked Potsdam download, with the benchmark's split.

    Files are known by their names (``top_potsdam_2_10_RGBIR.tif``, ``dsm_potsdam_02_10.tif`` and so on), wherever they
    lie below `root`. The files of ``5_Labels_for_participants`` are used where ``5_Labels_all`` is not there.

    Args:
        root: The folder.
        channels: ``"rgb"``; ``"irrg"`` (near infrared, red, green); ``"rgbir"``, four channels; ``"rgbir_dsm"``, five:
            these and the surface model in metres.
        boundaries: Masks with class borders (``"all"``), or those in which the borders are black (``"no_boundary"``).
        classes: See `potsdam_codes`.
        nearest: See `potsdam_codes`; the mask of tile 4_12 is known to hold other colours.

    Returns:
        By split and name, such as ``"potsdam_2_10"``: the 24 tiles whose masks were published first are
        ``"training"``, the 14 that were kept back ``"test"``. Test tiles may lack a mask.

    Raises:
        ValueError: `root` holds no tile, a tile has no mask or lacks channels, two files are one tile, or a tile is
            not of the 38.
    """
    check_choice("channels", channels, tuple(_SOURCES))
    codes = potsdam_codes(boundaries, classes, nearest)
    kind, zips = ("label", "5_Labels_all") if boundaries == "all" else ("label_noBoundary", "5_Labels_all_noBoundary")
    files = _files(Path(root))
    # Masks without an image are no fault: a folder of all masks may lie beside the images of some tiles.
    places = {place for place, other in files if other in ("RGB", "IRRG", "RGBIR")}
    if not places:
        raise ValueError(f"root must hold top_potsdam_<row>_<column>_RGB.tif and others, got {root}; unpack the zips")
    foreign = sorted(places - _TRAINING - _TEST)
    if foreign:
        raise ValueError(f"tiles must be of the 38 of Potsdam, got {', '.join(foreign)}; move other files elsewhere")
    tiles = []
    for place in sorted(places, key=lambda place: (place in _TEST, [int(part) for part in place.split("_")])):
        mask, split = _only(files, place, kind), "test" if place in _TEST else "training"
        if mask is None and split == "training":
            raise ValueError(
                f"tile {place} must have a mask top_potsdam_{place}_{kind}.tif, got none in {root}; unpack {zips}"
            )
        tiles.append(Tile(f"potsdam_{place}", _layers(files, place, channels, Path(root)), mask, split, codes))
    return tiles


def _files(root: Path) -> Files:
    """Return the files of the data set; those of other names are left out."""
    written = {kind.lower(): kind for kind in _KINDS}
    files: Files = defaultdict(list)
    for path in raster_files(root):
        found = _NAME.fullmatch(path.stem)
        if found and (found[4] is None) == (found[1].lower() == "dsm"):
            files[f"{found[2]}_{found[3]}", written[(found[4] or "dsm").lower()]].append(path)
    return files


def _only(files: Files, place: str, kind: str) -> Path | None:
    found = files.get((place, kind), [])
    complete = [path for path in found if any("labels_all" in part.lower() for part in path.parts)]
    found = complete or found
    if len(found) > 1:
        raise ValueError(
            f"tile {place} must have one {kind} file, got {' and '.join(map(str, found))}; remove all but one"
        )
    return found[0] if found else None


def _layers(files: Files, place: str, channels: str, root: Path) -> tuple[Layer, ...]:
    for source in _SOURCES[channels]:
        paths = [(_only(files, place, kind), bands) for kind, bands in source]
        layers = tuple(Layer(path, bands) for path, bands in paths if path is not None)
        if len(layers) == len(paths):
            return layers
    wanted = " or ".join(" and ".join(kind for kind, _ in source) for source in _SOURCES[channels])
    held = ", ".join(sorted(kind for other, kind in files if other == place))
    raise ValueError(
        f"tile {place} must have the files {wanted} for channels={channels!r}, got {held} in {root}; unpack their "
        "zips, or choose other channels"
    )
