"""What the package must compute, written from the definitions alone: slow, float64, and without its code."""

from __future__ import annotations

import heapq
import itertools

import monai.losses
import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.distance import cdist


def monai_boundary_loss() -> type:
    """MONAI's boundary loss, an oracle of its own; the oldest MONAI that the package runs with has none."""
    if not hasattr(monai.losses, "BoundaryLoss"):
        pytest.skip(f"MONAI {monai.__version__} has no BoundaryLoss")
    return monai.losses.BoundaryLoss


def brute_force_distance(seeds: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    """Distance of every voxel centre to the nearest seed centre, all pairs measured."""
    centres = np.argwhere(np.ones(seeds.shape, bool)) * np.asarray(spacing, float)
    return cdist(centres, centres[seeds.ravel()]).min(axis=1).reshape(seeds.shape)


def scipy_distance(seeds: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    """The same in float64 by scipy, for shapes too large for all pairs."""
    return ndimage.distance_transform_edt(~seeds, sampling=spacing)


def signed_map(
    mask: np.ndarray,
    spacing: tuple[float, ...],
    convention: str = "half",
    clip: float | None = None,
    absent: str = "zero",
    valid: np.ndarray | None = None,
    normalize: str | None = None,
    balance: float = 0.0,
    balance_cap: float = 1000.0,
    balance_lesions: float = 0.0,
    distance=brute_force_distance,
) -> np.ndarray:
    """Signed map of one mask; `valid` is False on ignored voxels."""
    counted = np.ones(mask.shape, bool) if valid is None else valid
    inside, outside = mask & counted, ~mask & counted
    diagonal = float(np.sqrt(sum((n * s) ** 2 for n, s in zip(mask.shape, spacing, strict=True))))
    result = np.zeros(mask.shape)
    if inside.any() and outside.any():
        to_inside, to_outside = distance(inside, spacing), distance(outside, spacing)
        smallest = min(spacing)
        off_out, off_in = {
            "half": (smallest / 2, smallest / 2),
            "centre": (0.0, 0.0),
            "kervadec": (0.0, 1.0),
            "kervadec_mm": (0.0, smallest),
        }[convention]
        result[outside] = to_inside[outside] - off_out
        result[inside] = -(to_outside[inside] - off_in)
    elif absent == "far":
        far = diagonal if clip is None else clip
        result[outside], result[inside] = far, -far
    if clip is not None:
        result = np.minimum(np.maximum(result, -clip), clip)
    result /= {None: 1.0, "clip": clip, "diagonal": diagonal, "max": np.abs(result).max() or 1.0}[normalize]
    return _balanced(_lesions_balanced(result, inside, balance_lesions), inside, outside, balance, balance_cap)


def _lesions_balanced(values: np.ndarray, inside: np.ndarray, gamma: float) -> np.ndarray:
    ids, count = ndimage.label(inside, np.ones((3,) * inside.ndim))
    masses = [np.abs(values[ids == one]).sum() for one in range(1, count + 1)]
    some = [mass for mass in masses if mass > 1e-4]
    values = values.copy()
    for one, mass in enumerate(masses, start=1):
        if mass > 1e-4:
            values[ids == one] *= (np.mean(some) / mass) ** gamma
    return values


def _balanced(values: np.ndarray, inside: np.ndarray, outside: np.ndarray, beta: float, cap: float) -> np.ndarray:
    inner, outer = np.abs(values[inside]).sum(), values[outside].sum()
    if beta and inner > 0 and outer > 0:
        values = values.copy()
        values[inside] *= min((outer / inner) ** beta, cap)
    return values


def softmax(logits: np.ndarray) -> np.ndarray:
    """Softmax over axis 1 in float64."""
    powers = np.exp(logits.astype(float) - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def boundary_loss(probs: np.ndarray, maps: np.ndarray) -> float:
    """Mean over samples and channels of the mean over voxels of probability times map."""
    samples, channels = probs.shape[:2]
    terms = [
        sum(p * m for p, m in zip(probs[b, c].ravel(), maps[b, c].ravel(), strict=True)) / maps[b, c].size
        for b, c in itertools.product(range(samples), range(channels))
    ]
    return sum(terms) / len(terms)


def generalized_dice_loss(probs: np.ndarray, onehot: np.ndarray, smooth: float = 1e-5) -> float:
    """Sudre et al. 2017, eq. 2, per sample, of shares; an absent class gets the largest weight of the present ones."""
    losses = []
    for p, g in zip(probs.reshape(*probs.shape[:2], -1), onehot.reshape(*onehot.shape[:2], -1), strict=True):
        volumes = g.mean(axis=1)
        present = [1 / v**2 for v in volumes if v > 0]
        weights = [1 / v**2 if v > 0 else max(present, default=0.0) for v in volumes]
        overlap = sum(w * (a * b).mean() for w, a, b in zip(weights, p, g, strict=True))
        total = sum(w * (a.mean() + b.mean()) for w, a, b in zip(weights, p, g, strict=True))
        losses.append(1 - (2 * overlap + smooth) / (total + smooth))
    return float(np.mean(losses))


def published_weights(epochs: int) -> list[tuple[float, float]]:
    """(region, boundary) of the published rule, applied epoch after epoch: steal 0.01 from the region, floor 0.1."""
    region, boundary, weights = 1.0, 0.01, []
    for _ in range(epochs):
        weights.append((region, boundary))
        region, boundary = max(0.1, region - 0.01), boundary + 0.01
    return weights


def barrier_by_states(values: np.ndarray, seeds: np.ndarray, connectivity: int = 1) -> np.ndarray:
    """Exact minimum-barrier distance of every voxel to each seed label, `(K, *S)`: every (voxel, low, high) reached."""
    distances = np.full((seeds.max(), *values.shape), np.inf)
    for label in range(1, seeds.max() + 1):
        front = [(voxel, values[voxel], values[voxel]) for voxel in zip(*np.nonzero(seeds == label), strict=True)]
        seen = set(front)
        while front:
            voxel, low, high = front.pop()
            distances[(label - 1, *voxel)] = min(distances[(label - 1, *voxel)], float(high) - float(low))
            for near in neighbours(voxel, values.shape, connectivity):
                state = (near, min(low, values[near]), max(high, values[near]))
                if state not in seen:
                    seen.add(state)
                    front.append(state)
    return distances


def barrier_by_thresholds(values: np.ndarray, seeds: np.ndarray, connectivity: int = 1) -> np.ndarray:
    """The same by sweeping the lowest value a path may have: least maximum over the paths from there up, less it."""
    distances = np.full((seeds.max(), *values.shape), np.inf)
    for label in range(1, seeds.max() + 1):
        starts = list(zip(*np.nonzero(seeds == label), strict=True))
        highest_seed = max((values[voxel] for voxel in starts), default=-np.inf)
        for low in np.unique(values[values <= highest_seed]):
            highs = _least_maximum(values, [voxel for voxel in starts if values[voxel] >= low], low, connectivity)
            distances[label - 1] = np.minimum(distances[label - 1], highs - float(low))
    return distances


def _least_maximum(values: np.ndarray, starts: list, low: float, connectivity: int) -> np.ndarray:
    highs = np.full(values.shape, np.inf)
    queue = [(float(values[voxel]), voxel) for voxel in starts]
    heapq.heapify(queue)
    while queue:
        high, voxel = heapq.heappop(queue)
        if high >= highs[voxel]:
            continue
        highs[voxel] = high
        for near in neighbours(voxel, values.shape, connectivity):
            if values[near] >= low:
                heapq.heappush(queue, (max(high, float(values[near])), near))
    return highs


def neighbours(voxel: tuple[int, ...], shape: tuple[int, ...], connectivity: int) -> list[tuple[int, ...]]:
    """Voxels of the array that differ by at most 1 along at most `connectivity` axes."""
    steps = [
        step for step in itertools.product((-1, 0, 1), repeat=len(shape)) if 0 < sum(map(abs, step)) <= connectivity
    ]
    moved = [tuple(int(place) + move for place, move in zip(voxel, step, strict=True)) for step in steps]
    return [near for near in moved if all(0 <= place < size for place, size in zip(near, shape, strict=True))]


def barrier_regions(distances: np.ndarray, seeds: np.ndarray, connectivity: int = 1) -> np.ndarray:
    """Regions from the distances `(K, *S)`: strictly nearest, and connected to the seed, which always belongs to it."""
    structure = ndimage.generate_binary_structure(seeds.ndim, connectivity)
    regions = seeds.copy()
    for label, distance in enumerate(distances, start=1):
        others = np.delete(distances, label - 1, axis=0)
        won = distance < (others.min(axis=0) if len(others) else np.inf)
        parts, _ = ndimage.label(won | (seeds == label), structure)
        regions[np.isin(parts, parts[seeds == label])] = label
    return regions


def outer_contours(regions: np.ndarray, connectivity: int = 1) -> dict[int, np.ndarray]:
    """Mask of the voxels outside each region that have a neighbour in it."""
    structure = ndimage.generate_binary_structure(regions.ndim, connectivity)
    labels = np.unique(regions[regions > 0]).tolist()
    return {label: ndimage.binary_dilation(regions == label, structure) & (regions != label) for label in labels}


def contour_weights(
    contours: dict[int, np.ndarray], membrane: np.ndarray, dilation: int | tuple[int, ...], weighting: str
) -> np.ndarray:
    """Weight of every voxel in the boundary-aware loss, region by region (Vu Ngoc et al. 2021, eq. 4 and its code)."""
    reach = (dilation,) * membrane.ndim if isinstance(dilation, int) else dilation
    box = np.ones([2 * width + 1 for width in reach], bool)
    masks = [ndimage.binary_dilation(mask, box) for mask in contours.values()]
    size, total = membrane.size, np.zeros(membrane.shape)
    for mask in masks:
        positive = (mask & membrane).sum()
        if weighting == "area":
            total += mask / mask.sum() / len(masks)
        elif weighting == "published":
            total += mask * np.where(membrane, (size - positive) / size, 1.1 * positive / size)
        else:
            total += mask
    return total / {"mean": total.sum(), "count": size, "area": 1, "published": len(masks) * size / 10}[weighting]
