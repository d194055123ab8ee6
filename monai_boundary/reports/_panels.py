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
from matplotlib.image import AxesImage

__all__ = ["GROUND_TRUTH", "PREDICTION", "View", "draw_image", "draw_isolines", "draw_outline", "lesion_views"]

GROUND_TRUTH = "#56B4E9"  # blue and orange of Okabe and Ito: told apart under every common colour blindness
PREDICTION = "#E69F00"
_AXES = (("axial", "z"), ("coronal", "y"), ("sagittal", "x"))
_LETTERS = {0: "RLAP", 1: "RLSI", 2: "APSI"}  # left, right, top, bottom of the panel of a slice across this axis


@dataclass(frozen=True)
class View:
    """A slice across one axis: `axis` 0 is axial, 1 coronal, 2 sagittal; a picture in ``"px"`` has no directions."""

    axis: int
    index: int
    unit: str = "mm"

    def take(self, volume: np.ndarray) -> np.ndarray:
        """Return the slice as a picture, top row first, the patient's right (or anterior) in the first column."""
        plane = np.take(volume, self.index, axis=self.axis)
        return plane if self.unit == "px" else np.flip(plane)

    def extent(self, shape: Sequence[int], spacing: Sequence[float]) -> tuple[float, float]:
        """Return width and height of the picture in mm."""
        rows, columns = (axis for axis in range(3) if axis != self.axis)
        return shape[columns] * spacing[columns], shape[rows] * spacing[rows]

    def title(self, shape: Sequence[int]) -> str:
        """Return the name of the slice for a reader who counts from 1."""
        if self.unit == "px":
            return ""
        plane, letter = _AXES[self.axis]
        return f"{plane}, {letter} = {self.index + 1} of {shape[self.axis]}"


def lesion_views(mask: np.ndarray, unit: str = "mm") -> list[View]:
    """Return the axial and the coronal slice with the most of `mask`, or the central ones; of one slice that alone."""
    single = [axis for axis in range(3) if mask.shape[axis] == 1]
    views = []
    for axis in single[:1] or (0, 1):
        area = mask.sum(axis=tuple(other for other in range(3) if other != axis))
        views.append(View(axis, int(area.argmax()) if area.any() else mask.shape[axis] // 2, unit))
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
    ax.autoscale(False)  # outlines are drawn with a margin
    ax.set(xticks=[], yticks=[])
    ax.set_title(view.title(volume.shape), fontsize=10, pad=14)
    ax.set_anchor("N")
    if scale_bar:
        _draw_scale(ax, width, height, view.unit)
    # outside the panel, where no contour label can meet them
    letters = "    " if view.unit == "px" else _LETTERS[view.axis]
    for letter, (x, y) in zip(letters, ((0, 0.5), (1, 0.5), (0.5, 1), (0.5, 0)), strict=True):
        ax.annotate(
            letter, (x, y), (14 * (x - 0.5), 14 * (y - 0.5)), xycoords="axes fraction", textcoords="offset points",
            fontsize=8, color="0.35", ha="center", va="center", annotation_clip=False,
        )  # fmt: skip
    return picture


def draw_outline(
    ax: Axes, mask: np.ndarray, spacing: Sequence[float], view: View, color: str, width: float = 1.6
) -> None:
    """Draw the outline of `mask` along voxel faces; nothing where the slice holds none of it."""
    picture = np.pad(view.take(mask), 1)
    if not picture.any():
        return
    fine = np.kron(picture, np.ones((8, 8)))  # contour() cuts corners by half a cell
    right, bottom = view.extent(mask.shape, spacing)
    rows, columns = (size for axis, size in enumerate(spacing) if axis != view.axis)
    margins = (-columns, right + columns, -rows, bottom + rows)
    ax.contour(fine, levels=[0.5], colors=[color], linewidths=[width], origin="lower", extent=margins)


def draw_isolines(
    ax: Axes, distance: np.ndarray, spacing: Sequence[float], view: View, levels: Sequence[float]
) -> None:
    """Draw the lines of equal distance that the slice reaches, labelled in mm, the zero level bold."""
    picture = view.take(distance)
    reached = [level for level in levels if picture.min() < level < picture.max()]
    if not reached or min(picture.shape) < 2:
        return
    width, height = view.extent(distance.shape, spacing)
    widths = [2.2 if level == 0 else 0.8 for level in reached]
    lines = ax.contour(
        picture, levels=reached, colors="black", linewidths=widths, linestyles="solid", origin="lower",
        extent=(0, width, 0, height),
    )  # fmt: skip
    outside = [level for level in reached if level > 0]  # inside, lines are too short to carry a label
    for label in ax.clabel(lines, outside, fmt=lambda level: f"{level:g}", fontsize=7.5, inline_spacing=3):
        label.set_rotation(0)


def _draw_scale(ax: Axes, width: float, height: float, unit: str) -> None:
    """Bar of 10 mm, or 100 pixels, or of the largest round length that stays below a third of the panel."""
    steps = [100, 50, 20] if unit == "px" else []
    length = next((step for step in (*steps, 10, 5, 2, 1, 0.5, 0.1) if step < width / 3), width / 4)
    x, y = 0.04 * width, height - 0.04 * width
    edge = [patheffects.withStroke(linewidth=4, foreground="black")]
    ax.plot([x, x + length], [y, y], color="white", linewidth=2, solid_capstyle="butt", path_effects=edge)
    ax.text(
        x + length / 2, y - 0.015 * width, f"{length:g} {unit}", color="white", fontsize=8, ha="center", va="bottom",
        path_effects=[patheffects.withStroke(linewidth=2, foreground="black")],
    )  # fmt: skip
