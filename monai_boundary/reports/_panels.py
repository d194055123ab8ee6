"""One picture panel: a slice of a volume in mm with contours, a scale bar and orientation letters.

Arrays are `(z, y, x)`, towards superior, anterior and right. Panels follow the radiological convention: the patient's
right is on the left side, anterior or superior is up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize
from matplotlib.contour import QuadContourSet
from matplotlib.image import AxesImage

__all__ = ["GROUND_TRUTH", "PREDICTION", "View", "draw_image", "draw_isolines", "draw_outline", "lesion_views"]

GROUND_TRUTH = "#56B4E9"  # blue and orange of Okabe and Ito: told apart under every common colour blindness
PREDICTION = "#E69F00"
_AXES = (("axial", "z"), ("coronal", "y"), ("sagittal", "x"))
_LETTERS = {0: "RLAP", 1: "RLSI", 2: "APSI"}  # left, right, top, bottom of the panel of a slice across this axis


@dataclass(frozen=True)
class View:
    """A slice across one axis: `axis` 0 is axial, 1 coronal, 2 sagittal."""

    axis: int
    index: int

    def take(self, volume: np.ndarray) -> np.ndarray:
        """Return the slice as a picture, top row first, the patient's right (or anterior) in the first column."""
        return np.flip(np.take(volume, self.index, axis=self.axis))

    def extent(self, shape: Sequence[int], spacing: Sequence[float]) -> tuple[float, float]:
        """Return width and height of the picture in mm."""
        rows, columns = (axis for axis in range(3) if axis != self.axis)
        return shape[columns] * spacing[columns], shape[rows] * spacing[rows]

    def title(self, shape: Sequence[int]) -> str:
        """Return the name of the slice for a reader who counts from 1."""
        plane, letter = _AXES[self.axis]
        return f"{plane}, {letter} = {self.index + 1} of {shape[self.axis]}"


def lesion_views(mask: np.ndarray) -> list[View]:
    """Return the axial and the coronal slice with the most of `mask`, or the central ones; axial only for one slice."""
    views = []
    for axis in (0, 1) if mask.shape[0] > 1 else (0,):
        area = mask.sum(axis=tuple(other for other in range(3) if other != axis))
        views.append(View(axis, int(area.argmax()) if area.any() else mask.shape[axis] // 2))
    return views


def draw_image(
    ax: Axes,
    volume: np.ndarray,
    spacing: Sequence[float],
    view: View,
    norm: Normalize,
    cmap: str | Colormap = "gray",
    scale_bar: bool = True,
) -> AxesImage:
    """Draw one slice to scale, with a title, orientation letters and, unless iso-lines give the scale, a scale bar."""
    width, height = view.extent(volume.shape, spacing)
    picture = ax.imshow(
        view.take(volume), cmap=cmap, norm=norm, extent=(0, width, height, 0), interpolation="nearest", aspect="equal"
    )
    ax.set(xticks=[], yticks=[])
    ax.set_title(view.title(volume.shape), fontsize=10, pad=14)
    ax.set_anchor("N")
    if scale_bar:
        _draw_scale(ax, width, height)
    # outside the panel, where no contour label can meet them
    places = (
        (-0.012, 0.5, "right", "center"),
        (1.012, 0.5, "left", "center"),
        (0.5, 1.012, "center", "bottom"),
        (0.5, -0.012, "center", "top"),
    )
    for letter, (x, y, horizontal, vertical) in zip(_LETTERS[view.axis], places, strict=True):
        ax.text(x, y, letter, fontsize=8, color="0.35", ha=horizontal, va=vertical, transform=ax.transAxes)
    return picture


def draw_outline(
    ax: Axes, mask: np.ndarray, spacing: Sequence[float], view: View, color: str, style: str = "-", width: float = 1.6
) -> None:
    """Draw the outline of `mask` along voxel faces; nothing where the slice holds none of it."""
    picture = view.take(mask)
    if not picture.any():
        return
    fine = 8  # contour() cuts corners by half a cell: finer cells follow the voxel faces
    padded = np.pad(np.kron(picture, np.ones((fine, fine))), 1)
    size = view.extent(mask.shape, spacing)
    x, y = (
        (np.arange(-1, n * fine + 1) + 0.5) * s / (n * fine) for n, s in zip(picture.shape[::-1], size, strict=True)
    )
    ax.contour(x, y, padded, levels=[0.5], colors=[color], linestyles=[style], linewidths=[width])


def draw_isolines(
    ax: Axes, distance: np.ndarray, spacing: Sequence[float], view: View, levels: Sequence[float], color: str
) -> QuadContourSet | None:
    """Draw lines of equal distance, labelled in mm, the zero level bold; ``None`` if the slice reaches no level."""
    picture = view.take(distance)
    reached = [level for level in levels if picture.min() < level < picture.max()]
    if not reached:
        return None
    size = view.extent(distance.shape, spacing)
    x, y = ((np.arange(n) + 0.5) * s / n for n, s in zip(picture.shape[::-1], size, strict=True))
    widths = [2.2 if level == 0 else 0.8 for level in reached]
    lines = ax.contour(x, y, picture, levels=reached, colors=color, linewidths=widths, linestyles="solid")
    outside = [level for level in reached if level > 0]  # inside, lines are too short to carry a label
    labels = ax.clabel(lines, outside, fmt=lambda level: f"{level:g}", fontsize=7.5, inline=True, inline_spacing=3)
    for label in labels:
        label.set_rotation(0)
    return lines


def _draw_scale(ax: Axes, width: float, height: float) -> None:
    """Bar of 10 mm, or of the largest round length that stays below a third of the panel."""
    length = next((mm for mm in (10, 5, 2, 1, 0.5, 0.1) if mm < width / 3), width / 4)
    x, y = 0.04 * width, height - 0.04 * width
    edge = [patheffects.withStroke(linewidth=4, foreground="black")]
    ax.plot([x, x + length], [y, y], color="white", linewidth=2, solid_capstyle="butt", path_effects=edge)
    ax.text(
        x + length / 2, y - 0.015 * width, f"{length:g} mm", color="white", fontsize=8, ha="center", va="bottom",
        path_effects=[patheffects.withStroke(linewidth=2, foreground="black")],
    )  # fmt: skip
