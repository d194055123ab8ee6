"""Gaps in membranes that a second network closes, or opens, and the picture of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from scipy import ndimage

from monai_boundary.kernels.components import components
from monai_boundary.kernels.regions import connected_components, id_overlaps

__all__ = ["MembranePair", "closed_leaks", "leaks_figure", "merged_borders", "mergers_figure"]

Box = tuple[slice, slice]
_MARGIN = 8  # pixels between a gap and its frame
_MIN_SIZE = 20  # pixels of a cell, or of a region, that count
_CLOSED, _OPENED = "#D55E00", "#0072B2"  # Okabe and Ito


@dataclass(frozen=True, eq=False)
class MembranePair:
    """The likelihood maps of two networks on one image.

    Args:
        name: Shown beside the row.
        image: `(H, W)`.
        truth: Ids `(H, W)`, 0 on membranes.
        before: Likelihood of membrane `(H, W)` of the first network.
        after: Of the second.
        thresholds: Above which each map is membrane.
    """

    name: str
    image: np.ndarray
    truth: np.ndarray
    before: np.ndarray
    after: np.ndarray
    thresholds: tuple[float, float]

    @property
    def membranes(self) -> tuple[np.ndarray, np.ndarray]:
        """Both maps as bool masks."""
        return self.before > self.thresholds[0], self.after > self.thresholds[1]


def closed_leaks(before: np.ndarray, after: np.ndarray, truth: np.ndarray, min_size: int = _MIN_SIZE) -> list[Box]:
    """Find the gaps of `before` on true membranes that `after` closes, each so that it parts two cells by itself.

    Args:
        before: Bool membranes `(H, W)`.
        after: Bool membranes `(H, W)`.
        truth: Ids `(H, W)`, 0 on membranes; the added pixels must touch one of these.
        min_size: Regions of fewer pixels do not count.

    Returns:
        The box of each gap, in raster order.
    """
    added = components(after & ~before)
    boxes = []
    on_truth = np.unique(added[truth == 0])
    for label, box in enumerate(ndimage.find_objects(added), 1):
        blob = added == label
        if label in on_truth and _cells_beside(blob, before | blob, truth, min_size) > _cells_beside(
            blob, before, truth, min_size
        ):
            boxes.append(box)
    return boxes


def _cells_beside(blob: np.ndarray, membrane: np.ndarray, truth: np.ndarray, min_size: int) -> int:
    """Count the true cells that the regions beside `blob`, those of `min_size` pixels, cover most of."""
    regions = connected_components(~membrane)
    large = np.bincount(regions.ravel()) >= min_size
    beside = np.unique(regions[ndimage.binary_dilation(blob, np.ones((3, 3)))])
    names = region_cells(regions, truth)[beside]
    return len(set(names[large[beside] & (beside > 0) & (names > 0)].tolist()))


def leaks_figure(pairs: Sequence[MembranePair], names: tuple[str, str], title: str) -> Figure:
    """Draw a row per image: image, true regions, those of both networks, and the change of the likelihood.

    A predicted region has the colour of the true one that it covers most of, so that one colour over several cells is a
    merger. Boxes are around the gaps that the second network closes, and around those that it opens.

    Args:
        pairs: At least one.
        names: Of the two networks.
        title: Above all.
    """
    columns = ("image", "truth", *names, f"{names[1]} less {names[0]}")
    figure = Figure(figsize=(3.1 * len(columns), 3.1 * len(pairs) + 0.9), layout="constrained")
    panels = figure.subplots(len(pairs), len(columns), squeeze=False)
    for number, (axes, one) in enumerate(zip(panels, pairs, strict=True)):
        before, after = one.membranes
        closed, opened = closed_leaks(before, after, one.truth), closed_leaks(after, before, one.truth)
        axes[0].imshow(one.image, cmap="gray")
        for axis, ids in zip(
            axes[1:4], (one.truth, _as_truth(before, one.truth), _as_truth(after, one.truth)), strict=True
        ):
            axis.imshow(_colours(ids), interpolation="nearest")
        change = axes[-1].imshow(one.after - one.before, cmap="RdBu_r", vmin=-1, vmax=1)
        axes[0].set_ylabel(f"{one.name}: {len(closed)} closed, {len(opened)} opened", fontsize=9)
        for axis, name in zip(axes, columns, strict=True):
            axis.set(xticks=[], yticks=[])
            for boxes, color in ((closed, _CLOSED), (opened, _OPENED)) if axis not in axes[:2] else ():
                _frame(axis, boxes, color)
            if number == 0:
                axis.set_title(name, fontsize=10)
    figure.colorbar(change, ax=panels[:, -1].tolist(), shrink=0.7, label="likelihood of membrane")
    handles = [
        Patch(facecolor="none", edgecolor=_CLOSED, label=f"gap that {names[1]} closes"),
        Patch(facecolor="none", edgecolor=_OPENED, label=f"gap that {names[1]} opens"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    figure.suptitle(title, fontsize=11)
    return figure


def merged_borders(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return where one predicted object runs over the border of two true cells: the leaks.

    Args:
        predicted: Ids `(H, W)`, 0 for none; of a cell it must cover some pixels to count.
        truth: Ids `(H, W)`, 0 on membranes.

    Returns:
        Bool `(H, W)`: membranes of the truth in an object that holds two cells, and pixels of it beside another cell.
    """
    table = id_overlaps(predicted, truth)
    held = table.pred[(table.counts >= _MIN_SIZE) & (table.pred > 0)]  # once for each cell
    objects, cells = np.unique(held, return_counts=True)
    border = truth == 0
    for axis in (0, 1):
        beside = (np.diff(truth, axis=axis) != 0) & (np.diff(predicted, axis=axis) == 0)
        border |= np.pad(beside, [(0, int(at == axis)) for at in (0, 1)])
    return np.asarray(np.isin(predicted, objects[cells > 1]) & border)


def mergers_figure(image: np.ndarray, truth: np.ndarray, predicted: np.ndarray, title: str) -> Figure:
    """Draw image, true cells, predicted objects in the colours of the cells they cover most of, and the leaks in red.

    Args:
        image: `(H, W)`.
        truth: Ids `(H, W)`, 0 on membranes.
        predicted: Ids `(H, W)`, 0 for none.
        title: Above all.
    """
    figure = Figure(figsize=(12.6, 4.6), layout="constrained")
    axes = figure.subplots(1, 3)
    ids = np.unique(predicted, return_inverse=True)[1].reshape(truth.shape)
    axes[0].imshow(image, cmap="gray")
    axes[1].imshow(_colours(truth), interpolation="nearest")
    pixels = _colours(region_cells(ids, truth)[ids])
    wide = ndimage.binary_dilation(merged_borders(predicted, truth), np.ones((3, 3)))
    pixels[wide] = (1.0, 0.15, 0.1)
    axes[2].imshow(pixels, interpolation="nearest")
    for axis, name in zip(axes, ("image", "true cells", "predicted objects, leaks in red"), strict=True):
        axis.set(xticks=[], yticks=[])
        axis.set_title(name, fontsize=10)
    figure.suptitle(title, fontsize=11)
    return figure


def _frame(axis: Axes, boxes: Sequence[Box], color: str) -> None:
    for rows, cols in boxes:
        corner = (cols.start - _MARGIN, rows.start - _MARGIN)
        size = (cols.stop - cols.start + 2 * _MARGIN, rows.stop - rows.start + 2 * _MARGIN)
        axis.add_patch(Rectangle(corner, *size, fill=False, edgecolor=color, linewidth=1.2))


def _as_truth(membrane: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Ids of the true regions that the regions between `membrane` share most pixels with."""
    regions = connected_components(~membrane)
    return np.asarray(region_cells(regions, truth)[regions])


def region_cells(regions: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return for each number of `regions` the true cell that it shares most pixels with, 0 for none."""
    table = id_overlaps(regions, truth)
    order = np.lexsort((-table.target.astype(np.int64), table.counts))  # the last one stays: the most, the lowest id
    names = np.zeros(int(regions.max()) + 1, np.int64)
    names[table.pred[order].astype(np.int64)] = table.target[order]
    names[0] = 0
    return names


def _colours(ids: np.ndarray) -> np.ndarray:
    """RGB `(H, W, 3)`: black for 0, far hues for neighbouring numbers."""
    hues = (ids * 0.61803398875) % 1.0
    picture: np.ndarray = colormaps["hsv"](hues)[..., :3] * 0.85
    picture[ids == 0] = 0
    return picture
