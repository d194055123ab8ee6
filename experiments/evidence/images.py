"""Series of images: ultrasound, MR slices, EM sections, nuclei and gaps, vessels, drone tiles, phantoms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import chain
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from experiments.buildings.aicd import aicd_phantoms
from experiments.evidence.cases import Case, Split, by_folds, fitted, standardised

#: Correlation of thumbnails from which two ultrasound images count as one: the folder has near-duplicates.
ALIKE = 0.92
EDGE = 128
_THUMB = 32
_CONTRASTS = ("flair", "t1", "t2")


def read(path: Path, size: tuple[int, int] | None = None) -> np.ndarray:
    """Return an image as float32 `(H, W)` or `(H, W, C)`, area-averaged to `size` (width, height)."""
    with Image.open(path) as image:
        return np.asarray(image if size is None else image.resize(size, Image.Resampling.BOX), np.float32)


def grey(path: Path, size: tuple[int, int] | None = None) -> np.ndarray:
    """Return the brightness alone, `(H, W)`."""
    array = read(path, size)
    return array if array.ndim == 2 else array.mean(2)


def mask_of(path: Path, size: tuple[int, int] | None = None) -> np.ndarray:
    """Return a mask as uint8 `(H, W)`: what is foreground in at least half of a pixel."""
    return (grey(path, size) >= 127.5).astype(np.uint8)


def image_case(name: str, group: str, image: np.ndarray, mask: np.ndarray, kind: str = "") -> Case:
    """Make a case of an image `(H, W)` or `(C, H, W)` and its mask, large enough for a patch of any series."""
    channels = image[None] if image.ndim == 2 else image
    return Case(name, group, fitted(channels[None], EDGE), fitted(mask[None], EDGE), kind=kind)


def _pairs(folder: Path, labels: str = "labels") -> Iterator[tuple[Path, Path]]:
    for image in sorted((folder / "images").iterdir()):
        yield image, folder / labels / f"{image.stem}.png"


@cache
def busi_cases(data: Path) -> tuple[Case, ...]:
    """Read breast ultrasound, longest side 128, kinds apart; near-duplicates share a group."""
    files, cases = list(_pairs(data / "busi")), []
    thumbs = np.stack([standardised(1 + grey(image, (_THUMB, _THUMB)).ravel()) for image, _ in files])
    alike = thumbs @ thumbs.T / thumbs.shape[1] > ALIKE
    groups = connected_components(csr_array(alike))[1]
    for (image, label), group in zip(files, groups, strict=True):
        height, width = grey(image).shape
        scale = EDGE / max(width, height)
        size = round(width * scale), round(height * scale)
        found = image_case(
            image.stem, f"g{group}", standardised(grey(image, size)), mask_of(label, size), image.stem.split("_")[0]
        )
        cases.append(found)
    return tuple(cases)


def busi_split(data: Path, fold: str) -> Split:
    """Report a quarter of the groups; the kinds are spread evenly over folds, since groups come kind by kind."""
    return by_folds(busi_cases(data), 4, int(fold))


@cache
def slice_cases(data: Path) -> tuple[Case, ...]:
    """Read MR slices with multiple-sclerosis lesions.

    Each contrast is a kind of its own, and has a channel of its own; the others are 0.
    """
    cases = []
    for image, label in _pairs(data / "ms_slices"):
        contrast, patient, _ = image.stem.split("_")
        channels = np.zeros((len(_CONTRASTS), 256, 256), np.float32)
        plane = grey(image)
        channels[_CONTRASTS.index(contrast)] = np.where(plane > 8, standardised(plane), 0)
        cases.append(image_case(image.stem, patient, channels, mask_of(label), contrast.upper()))
    return tuple(sorted(cases, key=lambda case: case.group))


def slices_split(data: Path, fold: str) -> Split:
    """Report a quarter of the patients."""
    return by_folds(slice_cases(data), 4, int(fold))


@cache
def section_cases(data: Path, folder: str, labels: str) -> tuple[Case, ...]:
    """Read neighbouring EM sections at half their size: pixels of 9.2 nm (VNC) or 8 nm (ISBI 2012)."""
    cases = []
    for image, label in _pairs(data / folder, labels):
        size = (512, 512) if folder == "vnc_sstem" else (256, 256)
        mask = mask_of(label, size)
        if folder == "isbi2012":  # its labels are the cells
            mask = 1 - mask
        cases.append(
            image_case(image.stem, f"{folder} {image.stem}", standardised(1 + grey(image, size)), mask, folder)
        )
    return tuple(cases)


def sections_split(data: Path, fold: str, labels: str) -> Split:
    """Report a third of the sections of a stack, that lie together; of the others the two farthest off validate.

    Args:
        data: Folder of real data.
        fold: Number, and after it the stack unless it is VNC: the two are of one tissue, so that neither may train for
            the other.
        labels: Folder of the masks.
    """
    part, *stack = fold.split()
    cases = section_cases(data, stack[0] if stack else "vnc_sstem", labels)
    test = np.array_split(np.arange(len(cases)), 3)[int(part)]
    distance = np.abs(np.arange(len(cases))[:, None] - test).min(1)
    valid = np.argsort(-distance, kind="stable")[:2]
    train = [number for number in np.flatnonzero(distance) if number not in valid]
    return Split(*([cases[number] for number in chosen] for chosen in (train, valid, test)))


@cache
def nuclei_cases(data: Path) -> tuple[Case, ...]:
    """Read images of nuclei; pixels where two nuclei touch count as gap, so that nuclei are what is connected."""
    cases = []
    for image, label in _pairs(data / "dsb2018_gray256"):
        ids = read(label).astype(np.int64)
        cases.append(image_case(image.stem, image.stem, standardised(grey(image)), apart(ids).astype(np.uint8)))
    return tuple(cases)


def apart(ids: np.ndarray) -> np.ndarray:
    """Return the foreground of ids `(H, W)` without the pixels that have one of another object beside them."""
    padded = np.pad(ids, 1)
    height, width = ids.shape
    around = [padded[row : row + height, column : column + width] for row in range(3) for column in range(3)]
    other: np.ndarray = np.any([(part > 0) & (part != ids) for part in around], axis=0)
    kept: np.ndarray = (ids > 0) & ~other
    return kept


def nuclei_split(data: Path, fold: str) -> Split:
    """Report a third of the images."""
    return by_folds(nuclei_cases(data), 3, int(fold), valid_every=6)


def gaps_split(data: Path, fold: str) -> Split:
    """`nuclei_split` of all that is not nucleus: the gaps between nuclei are membranes, and nuclei the regions."""
    split = nuclei_split(data, fold)
    parts = (split.train, split.valid, split.test)
    return Split(*([replace(case, label=1 - case.label) for case in part] for part in parts))


@cache
def vessel_cases(data: Path) -> tuple[Case, ...]:
    """Read green channels of fundus images at half their size; both eyes of a child are a group."""
    cases = []
    for image, label in _pairs(data / "chase_db1"):
        green = read(image, (500, 480))[..., 1]
        cases.append(image_case(image.stem, image.stem[:-1], standardised(1 + green), mask_of(label, (500, 480))))
    return tuple(cases)


def vessels_split(data: Path, fold: str) -> Split:
    """Report two of ten children."""
    return by_folds(vessel_cases(data), 5, int(fold), valid_every=4)


@cache
def building_cases(data: Path) -> tuple[Case, ...]:
    """Read drone tiles of two sites; a column of tiles is a group, tiles without a building are a kind of their own."""
    cases = []
    for image, label in _pairs(data / "buildings_oam256"):
        mask = mask_of(label)
        channels = np.moveaxis(read(image), -1, 0) / 64 - 2
        kind = "with buildings" if mask.any() else "empty"
        cases.append(image_case(image.stem, image.stem.rsplit("_", 1)[0], channels, mask, kind))
    return tuple(cases)


def buildings_split(data: Path, fold: str) -> Split:
    """Report a third of the columns of tiles."""
    return by_folds(building_cases(data), 3, int(fold))


@cache
def phantom_cases() -> tuple[Case, ...]:
    """Draw the 800 phantoms of the synthetic experiment, one building each, at 128 x 128."""
    return tuple(
        image_case(f"phantom {number}", f"phantom {number}", 8 * each.image - 2.5, each.mask)
        for number, each in enumerate(chain(*aicd_phantoms(800, EDGE)))
    )


def phantoms_split(data: Path, fold: str) -> Split:  # noqa: ARG001 - as all splits are called
    """Report the last quarter; of the others the last 60 validate. Outlines take turns in all three parts."""
    cases = phantom_cases()
    return Split(list(cases[:540]), list(cases[540:600]), list(cases[600:]))
