"""How near the one-pass cut comes to the published code and to the exact distance, on the stored reference maps."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from scipy import ndimage

from experiments.shared.commands import FILE
from experiments.shared.real_data import data_folder
from experiments.shared.tables import markdown
from monai_boundary.kernels.barrier import barrier_weights, minimum_barrier_cut
from monai_boundary.kernels.regions import connected_components

NAMES = ("mid_02", "mid_05", "early_02", "early_05")
CROSS = ndimage.generate_binary_structure(2, 1)


def load_reference(data: Path, name: str) -> dict[str, np.ndarray]:
    """Return the arrays of one map, and its seeds as a label map under ``seed_map``."""
    with np.load(data / "isbi2012" / "reference" / f"{name}.npz") as stored:
        found = dict(stored)
    found["seed_map"] = np.zeros(found["membrane"].shape, np.int32)
    found["seed_map"][tuple(found["seeds"].T)] = np.arange(1, len(found["seeds"]) + 1)
    return found


def accuracy(reference: dict[str, np.ndarray]) -> dict[str, float]:
    """Return the measures of one map, ``exact ...`` being those of the cut by the exact distance."""
    likelihood, seeds, membrane = (reference[name] for name in ("likelihood_u8", "seed_map", "membrane"))
    cut = minimum_barrier_cut(likelihood, seeds)
    counts = {
        f"{dilation}": barrier_weights(likelihood, seeds, membrane, dilation=dilation, weighting="count")
        * membrane.size
        for dilation in (0, 3)
    }
    weights = barrier_weights(likelihood, seeds, membrane, weighting="published")
    exact = exact_regions(reference)
    exact_counts, exact_weights = contour_maps(exact, membrane)
    published = reference["dilated7_count"]
    excess = cut.distance - reference["exact_d1"]
    return {
        "regions": len(reference["seeds"]),
        "contour IoU": overlap(counts["0"], reference["contour_count"]),
        "contour IoU, dilated": overlap(counts["3"], published),
        "exact contour IoU, dilated": overlap(exact_counts, published),
        "gradient cosine": cosine(gradient(weights, likelihood, membrane), reference["published_grad"]),
        "exact gradient cosine": cosine(gradient(exact_weights, likelihood, membrane), reference["published_grad"]),
        "gradient cosine to exact": cosine(
            gradient(weights, likelihood, membrane), gradient(exact_weights, likelihood, membrane)
        ),
        "voxels below exact": int((excess < 0).sum() + (cut.second_distance < reference["exact_d2"]).sum()),
        "voxels at exact": float((excess == 0).mean()),
        "mean excess, levels": float(excess.mean()),
        "kept labels as exact": float((cut.regions == exact).mean()),
    }


def exact_regions(reference: dict[str, np.ndarray]) -> np.ndarray:
    """Strictly nearest label by the exact distance, connected to its seed."""
    won = np.where(reference["exact_d1"] < reference["exact_d2"], reference["exact_label"], 0)
    parts = connected_components(won)
    kept = [part for part in parts[tuple(reference["seeds"].T)] if part]
    return np.where(np.isin(parts, kept), won, reference["seed_map"])


def contour_maps(regions: np.ndarray, membrane: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number of dilated contours on every voxel, and the published weights, region by region."""
    counts, weights = np.zeros(regions.shape), np.zeros(regions.shape)
    for label, box in enumerate(ndimage.find_objects(regions), start=1):
        wide = tuple(slice(max(0, side.start - 4), side.stop + 4) for side in box)
        own = regions[wide] == label
        near = ndimage.binary_dilation(ndimage.binary_dilation(own, CROSS) & ~own, np.ones((7, 7), bool))
        share = (near & membrane[wide]).sum() / membrane.size
        counts[wide] += near
        weights[wide] += near * np.where(membrane[wide], 1 - share, 1.1 * share)
    return counts, weights


def gradient(weights: np.ndarray, likelihood: np.ndarray, membrane: np.ndarray) -> np.ndarray:
    """Gradient up to a factor; the published code takes the sigmoid of the probability again."""
    probs = (likelihood + 0.5) / 256
    slope: np.ndarray = weights * (1 / (1 + np.exp(-probs)) - membrane) * probs * (1 - probs)
    return slope


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Sum of the smaller over sum of the larger counts: overlap of (region, voxel) pairs as far as counts show it."""
    first, second = np.rint(first).astype(float), second.astype(float)
    return float(np.minimum(first, second).sum() / np.maximum(first, second).sum())


def cosine(first: np.ndarray, second: np.ndarray) -> float:
    """Cosine of two maps taken for vectors."""
    first, second = first.astype(float), second.astype(float)
    return float((first * second).sum() / np.linalg.norm(first) / np.linalg.norm(second))


@click.command()
@click.option("--data", type=FILE, default=data_folder())
def cut_accuracy(data: Path) -> None:
    """Print how near the one-pass cut comes to the published code and to the exact distance, map by map."""
    columns = [accuracy(load_reference(data, name)) for name in NAMES]
    cells = [[key, *(f"{column[key]:.3g}" for column in columns)] for key in columns[0]]
    click.echo(markdown(("figure", *NAMES), cells))
