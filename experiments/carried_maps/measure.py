"""How far a map that went through a transform is from the map of the label that went through it.

The object is a ball with a bar in a cube of 64 mm, in voxels of 1 mm, with the default clip of 10 mm. What is compared
with is the map of the transformed label, at the spacing of the grid on which the network sees it; in a crop, that of
the whole volume. Voxels count where either map is below the clip. Where the label itself is resampled, half a voxel of
the error is its own.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from monai import transforms as mt
from monai.data import MetaTensor

from experiments.shared.commands import FILE
from experiments.shared.tables import markdown, replace_between
from monai_boundary import BoundaryLoss, DistanceMapOptions, RescaleDistanceMapd, SignedDistanceMap, SignedDistanceMapd
from monai_boundary.losses.map_agreement import MapMismatchWarning

__all__ = ["ROWS", "Row", "carried_maps", "measure", "printed"]

BEGIN, END = "<!-- python -m experiments carried-maps writes from here -->", "<!-- to here -->"
CLIP = 10.0  # mm
OPTIONS = DistanceMapOptions(clip=CLIP, absent="far")
KEYS = ["label", "distance_map"]
EXTENT, CENTRE = np.array([64.0, 64.0, 64.0]), np.array([32.0, 34.0, 26.0])  # mm
VOXELS = (1.0, 1.0, 1.0)
#: What 95 % of the voxels may be off, in mm, until a carried map is wrong: a voxel.
LIMIT_MM = 1.0

Sample = dict[str, Any]
Move = Callable[[Sample], Mapping[Any, Any]]


@dataclass(frozen=True)
class Row:
    """A transform, what it is called on the page, what to do about it, and the transforms with that done."""

    name: str
    transform: Move
    remedy: str
    remedied: tuple[Move, ...] = ()  # one for each remedy that is named; measured like the transform
    spacing: tuple[float, ...] = VOXELS  # of the grid that comes out
    voxels: tuple[float, ...] = VOXELS  # of the grid before
    whole: tuple[slice, ...] | None = None  # where the map of the whole volume is the true one, the part of it


@dataclass(frozen=True)
class Found:
    """Errors in mm, and whether the loss refuses the map, warns of it, or neither."""

    mean: float
    most: float  # what 95 % of the voxels do not exceed
    largest: float
    said: str

    @property
    def verdict(self) -> str:
        """``"exact"``, ``"approximate"`` or ``"wrong"``."""
        if self.largest < 1e-4:
            return "exact"
        return "approximate" if self.most <= LIMIT_MM else "wrong"

    @property
    def errors(self) -> str:
        """As the page has them."""
        return "0" if self.verdict == "exact" else f"{self.mean:.2f} / {self.most:.1f} / {self.largest:.1f}"


def _affine(**given: Any) -> mt.Affined:
    return mt.Affined(KEYS, mode=_MODES, padding_mode="border", **given)


def _turn(angle: tuple[float, ...], mode: str = "bilinear", padding: str = "border") -> mt.Rotated:
    return mt.Rotated(KEYS, angle, mode=["nearest", mode], padding_mode=["border", padding])


def _elastic() -> mt.Rand3DElasticd:
    sigma, size = (5.0, 5.0), (100.0, 100.0)
    moved = mt.Rand3DElasticd(KEYS, sigma, size, prob=1.0, mode=_MODES, padding_mode="border")
    return moved.set_random_state(0)  # type: ignore[no-any-return]


def _zoom(*factors: float, label: str = "nearest-exact") -> mt.Zoomd:
    return mt.Zoomd(KEYS, factors, mode=[label, "trilinear"], padding_mode="edge", keep_size=True)


def _map(spacing: tuple[float, ...] | None = VOXELS) -> SignedDistanceMapd:
    return SignedDistanceMapd("label", num_classes=2, preset=None, spacing=spacing, **vars(OPTIONS))


def _with(*steps: Move) -> mt.Compose:
    return mt.Compose(steps)


_MODES = ["nearest", "bilinear"]
_START, _STOP = (16, 10, 20), (48, 42, 42)
_CROP = mt.SpatialCropd(KEYS, roi_start=_START, roi_end=_STOP)
_PART = (slice(None), *map(slice, _START, _STOP))
_EDGE = mt.SpatialPadd(KEYS, (80, 80, 80), mode="edge")
_ZOOM, _ONE_AXIS = _zoom(1.3, 1.3, 1.3), _zoom(1.0, 1.0, 1.4)
_GROWN = _affine(rotate_params=(0.35, 0, 0), scale_params=(1 / 1.2,) * 3)
_SHEAR = _affine(shear_params=(0.3, 0, 0, 0, 0, 0))
_WITHIN, _OUT = _turn((0.52, 0.0, 0.0)), _turn((0.0, 0.52, 0.0))
_SPACED = mt.Spacingd(KEYS, (1.5, 1.5, 1.5), mode=_MODES)
_RESCALE = RescaleDistanceMapd("distance_map")
_SLICES = (3.0, 1.0, 1.0)
_AFTER = "`SignedDistanceMapd(..., spacing=<spacing before>)` after it"
ROWS = [
    Row("flip", mt.Flipd(KEYS, (0, 2)), "none"),
    Row("flip, the map forgotten", mt.Flipd("label", 2), "name `distance_map` among the keys", (mt.Flipd(KEYS, 2),)),
    Row("rotation by 90°", mt.Rotate90d(KEYS, spatial_axes=(1, 2)), "none"),
    Row("crop", _CROP, "none", whole=_PART),
    Row("crop, and the map made after it", _with(_CROP, _map()),
        "`SignedDistanceMapd` before it; [what this costs](evidence/patch_maps.md)", (_CROP,), whole=_PART),
    Row("padding with zeros, `SpatialPadd`'s default", mt.SpatialPadd(KEYS, (80, 80, 80)), '`mode="edge"`', (_EDGE,)),
    Row('padding, `mode="edge"`', _EDGE, "pad before `SignedDistanceMapd`, if the object comes near the border",
        (_with(_EDGE, _map()),)),
    Row("zoom by 1.3", _ZOOM, "`RescaleDistanceMapd` after it", (_with(_ZOOM, _RESCALE),)),
    Row("zoom by 1.3, then `RescaleDistanceMapd`", _with(_ZOOM, _RESCALE), "none"),
    Row('the same, label by `mode="nearest"`', _with(_zoom(1.3, 1.3, 1.3, label="nearest"), _RESCALE),
        '`mode="nearest-exact"` for the label: torch\'s `"nearest"` moves it', (_with(_ZOOM, _RESCALE),)),
    Row("zoom of one axis by 1.4", _ONE_AXIS, _AFTER, (_with(_ONE_AXIS, _map()),)),
    Row("zoom of one axis by 1.4, then `SignedDistanceMapd` without `spacing`", _with(_ONE_AXIS, _map(None)), _AFTER,
        (_with(_ONE_AXIS, _map()),)),
    Row("rotation by 30°", _WITHIN, "none"),
    Row('rotation by 30°, map by `mode="nearest"`', _turn((0.52, 0.0, 0.0), "nearest"), '`mode="bilinear"` for the map',
        (_WITHIN,)),
    Row("rotation by 30°, padded with zeros", _turn((0.52, 0.0, 0.0), padding="zeros"), '`padding_mode="border"`',
        (_WITHIN,)),
    Row("voxels of 3 x 1 x 1 mm: rotation by 30° within the slices", _WITHIN, "none", (), _SLICES, _SLICES),
    Row("voxels of 3 x 1 x 1 mm: rotation by 30° out of them", _OUT, "turn within the slices, or " + _AFTER,
        (_WITHIN, _with(_OUT, _map(_SLICES))), _SLICES, _SLICES),
    Row("`Affined`, scale 1.2, 20°", _GROWN, "`RescaleDistanceMapd` after it", (_with(_GROWN, _RESCALE),)),
    Row("`Affined`, scale 1.2, 20°, then `RescaleDistanceMapd`", _with(_GROWN, _RESCALE), "none"),
    Row("`Affined`, shear 0.3", _SHEAR, _AFTER, (_with(_SHEAR, _map()),)),
    Row("elastic deformation, `Rand3DElasticd`", _elastic(), _AFTER, (_with(_elastic(), _map()),)),
    Row("`Spacingd` to 1.5 mm", _SPACED, "better before `SignedDistanceMapd`", (_with(_SPACED, _map(None)),),
        (1.5, 1.5, 1.5)),
]  # fmt: skip


def phantom(voxels: tuple[float, ...] = VOXELS) -> Sample:
    """Return the label of the object on a grid of voxels of this size in mm."""
    affine = torch.diag(torch.tensor([*voxels, 1.0], dtype=torch.float64))
    shape = (EXTENT / voxels).astype(int).tolist()
    at = (np.moveaxis(np.indices(shape), 0, -1) + 0.5) * voxels - CENTRE
    bar = (np.abs(at[..., 0]) < 5) & (np.abs(at[..., 1]) < 3) & (at[..., 2] > 0) & (at[..., 2] < 28)
    labels = (np.linalg.norm(at, axis=-1) < 13) | bar
    return {"label": MetaTensor(torch.from_numpy(labels[None].astype(np.uint8)), affine=affine)}


def measure(row: Row) -> Found:
    """Send label and map through a transform and compare."""
    sample = phantom(row.voxels)
    whole = sample["distance_map"] = SignedDistanceMap(2, preset=None, **vars(OPTIONS))(sample["label"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the shear of a turned grid
        moved = row.transform(sample)
        if row.whole is not None:
            true = whole[row.whole]
        else:
            true = SignedDistanceMap(2, preset=None, spacing=row.spacing, **vars(OPTIONS))(moved["label"])
    carried, true = torch.as_tensor(moved["distance_map"]), torch.as_tensor(true)
    near = torch.minimum(carried.abs(), true.abs()) < 0.999 * CLIP
    errors = (carried - true).abs()[near]
    mean, most, largest = (float(value) for value in (errors.mean(), errors.quantile(0.95), errors.max()))
    return Found(mean, most, largest, _said(moved["label"], moved["distance_map"]))


def _said(label: torch.Tensor, distance_map: torch.Tensor) -> str:
    """What the loss does with such a map."""
    loss = BoundaryLoss(softmax=True, to_onehot_y=True, options=OPTIONS)
    with warnings.catch_warnings():
        warnings.simplefilter("error", MapMismatchWarning)
        try:
            loss(torch.zeros(1, 2, *label.shape[1:]), label[None], distance_map[None])
        except MapMismatchWarning:
            return "warns"
        except ValueError:
            return "refuses"
    return ""


def printed(row: Row) -> list[str]:
    """Measure a row of the page, and what each of its remedies makes of it."""
    found = measure(row)
    remedied = [measure(dataclasses.replace(row, transform=move)) for move in row.remedied]
    after = [one.verdict if one.verdict == "exact" else f"{one.verdict}: {one.errors}" for one in remedied]
    return [row.name, found.verdict, found.errors, found.said, row.remedy, "; ".join(after)]


@click.command("carried-maps")
@click.option("--docs", type=FILE, help="Replace the table in this Markdown file.")
def carried_maps(docs: Path | None) -> None:
    """Print how far a map that went through a transform is from the map of the label that went through it."""
    errors = "error in mm: mean / 95 % / largest"
    header = ["map and label through", "the map is", errors, "the loss", "remedy", "with it"]
    text = markdown(header, map(printed, ROWS))
    click.echo(text)
    if docs:
        replace_between(docs, BEGIN, END, text)
