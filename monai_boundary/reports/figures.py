"""The pictures: overlay of contours on an image, distance map with iso-lines, and both side by side.

Figures are built with matplotlib's object interface, so no global state changes and no display is needed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps, style
from matplotlib.axes import Axes
from matplotlib.colors import CenteredNorm, LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from monai_boundary._files import replacing
from monai_boundary.reports._panels import (
    GROUND_TRUTH,
    PREDICTION,
    View,
    draw_image,
    draw_isolines,
    draw_outline,
    lesion_views,
)

__all__ = ["distance_figure", "inspect_figure", "iso_levels", "overlay_figure", "save_figure"]

_STYLE = style.context("default")  # a caller's style, such as the large fonts nnU-Net sets, would break the layout
_CLASS_COLORS = ("#56B4E9", "#E69F00", "#009E73", "#F0E442", "#CC79A7", "#D55E00", "#0072B2")  # Okabe and Ito
# Diverging and safe for colour blindness, red inside, blue outside; without its dark ends, on which lines would drown.
_DISTANCE_MAP = LinearSegmentedColormap.from_list("distance", colormaps["RdBu"](np.linspace(0.14, 0.86, 256)))


@_STYLE
def overlay_figure(
    image: np.ndarray,
    target: np.ndarray,
    prediction: np.ndarray,
    spacing: Sequence[float],
    case: str,
    dice: float | None = None,
    hd95_mm: float | None = None,
    unit: str = "mm",
) -> Figure:
    """Axial and coronal slice with the most lesion, with the contours of ground truth and prediction.

    Args:
        image: `(z, y, x)`.
        target: Bool `(z, y, x)`, ground truth.
        prediction: Bool `(z, y, x)`.
        spacing: Voxel size in mm (z, y, x).
        case: Name shown in the title.
        dice: Shown in the title unless ``None``.
        hd95_mm: Shown in the title unless ``None``.
        unit: Of the spacing; ``"px"`` for a picture, which has no directions.
    """
    _check_shapes(image=image, target=target, prediction=prediction)
    views = lesion_views(target if target.any() else prediction, unit)
    figure, axes = _panels(image.shape, spacing, views)
    for ax, view in zip(axes, views, strict=True):
        draw_image(ax, image, spacing, view, _window(image))
        draw_outline(ax, target, spacing, view, GROUND_TRUTH, width=2.4)
        draw_outline(ax, prediction, spacing, view, PREDICTION, width=1.3)
    scores = [] if dice is None else [f"Dice {dice:.3f}"]
    scores += [] if hd95_mm is None else [f"HD95 {hd95_mm:.1f} {unit}"]
    figure.suptitle("   ".join([case, *scores]), fontsize=12, fontweight="bold")
    empty = "" if prediction.any() else " (empty)"
    _legend(figure, {"ground truth": (GROUND_TRUTH, 2.4), f"prediction{empty}": (PREDICTION, 1.3)})
    return figure


@_STYLE
def distance_figure(distance_map: np.ndarray, spacing: Sequence[float], title: str = "Signed distance map") -> Figure:
    """Signed distance map in mm in an axial and a coronal slice, with iso-lines; the bold one is the surface."""
    _check_shapes(distance_map=distance_map)
    views = lesion_views(distance_map < 0)
    figure, axes = _panels(distance_map.shape, spacing, views, colorbar=True)
    lines = _draw_distances(figure, axes, views, distance_map, spacing)
    figure.suptitle(title, fontsize=12, fontweight="bold")
    _legend(figure, lines)
    return figure


@_STYLE
def inspect_figure(
    image: np.ndarray,
    labels: np.ndarray,
    distance_map: np.ndarray,
    spacing: Sequence[float],
    title: str,
    label: int,
    unit: str = "mm",
    map_unit: str = "mm",
) -> Figure:
    """Image with the contours of every class (top), and the distance map of class `label` (bottom).

    Args:
        image: `(z, y, x)`.
        labels: `(z, y, x)`.
        distance_map: `(z, y, x)`.
        spacing: Voxel size (z, y, x).
        title: Above all.
        label: Class of the map.
        unit: Of the spacing, see `overlay_figure`.
        map_unit: Of the map; empty for one without.
    """
    _check_shapes(image=image, labels=labels, distance_map=distance_map)
    views = lesion_views(labels == label, unit)
    figure, axes = _panels(image.shape, spacing, views, rows=2, colorbar=True)
    classes = [int(value) for value in np.unique(labels) if value > 0]
    colors = {value: _CLASS_COLORS[number % len(_CLASS_COLORS)] for number, value in enumerate(classes)}
    upper, lower = axes[: len(views)], axes[len(views) :]
    for ax, view in zip(upper, views, strict=True):
        draw_image(ax, image, spacing, view, _window(image))
        for value in classes:
            draw_outline(ax, labels == value, spacing, view, colors[value])
    lines = _draw_distances(figure, lower, views, distance_map, spacing, map_unit)
    for ax in lower:
        ax.set_title(f"signed distance to class {label}", fontsize=10, pad=14)
    figure.suptitle(title, fontsize=12, fontweight="bold")
    _legend(figure, {f"class {value}": (colors[value], 1.6) for value in classes[:6]} | lines)
    return figure


@_STYLE
def save_figure(figure: Figure, path: str | os.PathLike[str], dpi: int = 150) -> Path:
    """Write the figure (the suffix names the format) and return its path."""
    destination = Path(path)
    formats = figure.canvas.get_supported_filetypes()
    kind = destination.suffix.lstrip(".").lower()
    if kind not in formats:
        raise ValueError(f"{destination} must end in one of {', '.join(sorted(formats))}, got {destination.suffix!r}")
    if not destination.parent.is_dir():
        raise FileNotFoundError(f"{destination} must lie in a folder that exists, got none at {destination.parent}")
    with replacing(destination) as part:
        figure.savefig(part, format=kind, dpi=dpi, facecolor="white")
    return destination


def iso_levels(distance_map: np.ndarray) -> list[float]:
    """Round levels in mm, 0 among them: up to six steps outside, up to three inside."""
    low, high = float(distance_map.min()), float(distance_map.max())
    levels = {0.0}
    for start, stop, steps in ((min(low, 0.0), 0.0, 3), (0.0, max(high, 0.0), 6)):
        if start < stop:
            levels.update(map(float, MaxNLocator(steps, steps=[1, 2, 5, 10]).tick_values(start, stop)))
    return sorted(level for level in levels if low < level < high or level == 0)


def _panels(
    shape: Sequence[int], spacing: Sequence[float], views: Sequence[View], rows: int = 1, colorbar: bool = False
) -> tuple[Figure, list]:
    """Figure with `rows` rows of one panel per view, each as wide as its slice is in mm."""
    sizes = [view.extent(shape, spacing) for view in views]
    scale = 4.2 / max(max(width, height) for width, height in sizes)  # inches per mm
    panel_width, panel_height = sum(width for width, _ in sizes) * scale, max(height for _, height in sizes) * scale
    size = (max(panel_width, 4.2) + (1.3 if colorbar else 0.5), rows * (panel_height + 0.4) + 0.9)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(rows, len(views), squeeze=False, width_ratios=[width for width, _ in sizes])
    return figure, list(grid.ravel())


def _window(image: np.ndarray) -> Normalize:
    """Grey window from the 0.5th to the 99.8th percentile of the finite values."""
    finite = image[np.isfinite(image)]
    low, high = np.percentile(finite, [0.5, 99.8]) if finite.size else (0.0, 1.0)
    return Normalize(low, high if high > low else low + 1)


def _distance_norm(distance_map: np.ndarray) -> Normalize:
    """Symmetric about 0, so that a colour means the same distance on both sides.

    The range ends at four times the greatest depth inside, else small lesions would all be nearly white beside the
    distances of a whole volume; the colour bar shows by its arrow that it is cut.
    """
    reach = float(np.abs(distance_map).max())
    inside = float(-distance_map.min())
    limit = min(reach, 4 * inside) if inside > 0 else reach
    return CenteredNorm(0.0, limit if limit > 0 else 1.0)


def _draw_distances(
    figure: Figure,
    axes: Sequence[Axes],
    views: Sequence[View],
    distance_map: np.ndarray,
    spacing: Sequence[float],
    unit: str = "mm",
) -> dict[str, tuple[str, float]]:
    """Draw the map in one panel per view, with a colour bar; return the legend of its iso-lines."""
    norm, levels = _distance_norm(distance_map), iso_levels(distance_map)
    for ax, view in zip(axes, views, strict=True):
        picture = draw_image(ax, distance_map, spacing, view, norm, _DISTANCE_MAP, scale_bar=False)
        draw_isolines(ax, distance_map, spacing, view, levels)
    cut = "max" if norm(distance_map.max()) > 1.0005 else "neither"
    bar = figure.colorbar(picture, ax=list(axes), shrink=0.9, pad=0.02, aspect=28, extend=cut, panchor=False)
    bar.set_label(f"{f'signed distance in {unit}' if unit else 'map'} (negative inside)", fontsize=9)
    bar.ax.tick_params(labelsize=8)
    above, below = [level for level in levels if level > 0], [-level for level in levels if level < 0]
    steps = [
        f"{side} every {min(lines):g} {unit}".rstrip()
        for side, lines in (("outside", above), ("inside", below))
        if lines
    ]
    entries = {f"surface (0 {unit})".replace(" )", ")"): ("black", 2.2)}
    return entries | ({f"iso-lines {', '.join(steps)}": ("black", 0.8)} if steps else {})


def _legend(figure: Figure, entries: Mapping[str, tuple[str, float]]) -> None:
    handles = [Line2D([], [], color=color, linewidth=width, label=name) for name, (color, width) in entries.items()]
    if handles:
        columns = min(len(handles), 4 if figure.get_figwidth() > 8 else 2)
        figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=9)


def _check_shapes(**volumes: np.ndarray) -> None:
    shapes = {name: volume.shape for name, volume in volumes.items()}
    if len(set(shapes.values())) > 1 or any(len(shape) != 3 for shape in shapes.values()):
        found = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(f"{' and '.join(shapes)} must be (z, y, x) volumes of one shape, got {found}")
