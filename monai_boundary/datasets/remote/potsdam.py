"""ISPRS Potsdam: 38 tiles of 6000 x 6000 pixels at 0.05 m, six classes as colours."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from pathlib import Path
from typing import Literal

from monai_boundary._check import check_choice
from monai_boundary.datasets.remote.codes import IGNORE, MaskCodes
from monai_boundary.datasets.remote.tiles import Layer, Tile, check_tiles, raster_files

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
_NAME = re.compile(r"(?:top|dsm)_potsdam_0*(\d+)_0*(\d+)(?:_(RGB|IRRG|RGBIR|label|label_noBoundary))?", re.IGNORECASE)
# Kinds of files that hold the channels, best first, and the bands to take of each.
_SOURCES: dict[str, list[list[tuple[str, tuple[int, ...]]]]] = {
    "rgb": [[("rgb", (1, 2, 3))], [("rgbir", (1, 2, 3))]],
    "irrg": [[("irrg", (1, 2, 3))], [("rgbir", (4, 1, 2))]],
    "rgbir": [[("rgbir", (1, 2, 3, 4))]],
    "rgbir_dsm": [[("rgbir", (1, 2, 3, 4)), ("dsm", (1,))]],
}


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
    kind = "label" if boundaries == "all" else "label_noboundary"
    files = _files(Path(root))
    # Masks without an image are no fault: a folder of all masks may lie beside the images of some tiles.
    places = sorted({place for place, other in files if other in ("rgb", "irrg", "rgbir")})
    if not places:
        raise ValueError(f"root must hold top_potsdam_<row>_<column>_RGB.tif and others, got {root}; unpack the zips")
    tiles = []
    for place in places:
        split = _split(place)
        mask = _only(files, place, kind)
        if mask is None and split == "training":
            raise ValueError(
                f"tile {place} must have a mask top_potsdam_{place}_{_written(kind)}.tif, got none in {root}; unpack "
                f"{'5_Labels_all' if boundaries == 'all' else '5_Labels_all_noBoundary'}"
            )
        tiles.append(Tile(f"potsdam_{place}", _layers(files, place, channels, Path(root)), mask, split, codes))
    check_tiles(tiles)
    return sorted(tiles, key=lambda tile: (tile.split == "test", [int(part) for part in tile.name.split("_")[1:]]))


def _files(root: Path) -> dict[tuple[str, str], list[Path]]:
    """Files by tile and kind; names that do not belong to the data set are left out."""
    files: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for path in raster_files(root):
        found = _NAME.fullmatch(path.stem)
        if found and (found[3] is None) == path.stem.lower().startswith("dsm"):
            files[f"{found[1]}_{found[2]}", (found[3] or "dsm").lower()].append(path)
    return files


def _only(files: dict[tuple[str, str], list[Path]], place: str, kind: str) -> Path | None:
    found = files.get((place, kind), [])
    complete = [path for path in found if any("labels_all" in part.lower() for part in path.parts)]
    found = complete or found
    if len(found) > 1:
        raise ValueError(
            f"tile {place} must have one {_written(kind)} file, got {' and '.join(map(str, found))}; remove all but one"
        )
    return found[0] if found else None


def _layers(files: dict[tuple[str, str], list[Path]], place: str, channels: str, root: Path) -> tuple[Layer, ...]:
    for source in _SOURCES[channels]:
        paths = [(_only(files, place, kind), bands) for kind, bands in source]
        layers = tuple(Layer(path, bands) for path, bands in paths if path is not None)
        if len(layers) == len(paths):
            return layers
    wanted = " or ".join(" and ".join(_written(kind) for kind, _ in source) for source in _SOURCES[channels])
    raise ValueError(
        f"tile {place} must have the files {wanted} for channels={channels!r}, got "
        f"{', '.join(sorted(_written(kind) for other, kind in files if other == place))} in {root}; unpack their zips, "
        "or choose other channels"
    )


def _split(place: str) -> str:
    if place not in _TRAINING | _TEST:
        raise ValueError(f"tiles must be of the 38 of Potsdam, got {place}; move other files elsewhere")
    return "training" if place in _TRAINING else "test"


def _written(kind: str) -> str:
    """The kind of a file as its name has it."""
    names = {"label": "label", "label_noboundary": "label_noBoundary", "dsm": "dsm"}
    return names.get(kind, kind.upper())
