"""Scores of ids and distances of masks against scikit-image, where it is installed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from monai_boundary.metrics import instance_scores, surface_distances

metrics = pytest.importorskip("skimage.metrics", reason="scikit-image is not installed")


def id_maps(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Prediction and target; in every second pair some voxels belong to no object."""
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(4, 20, 2 + seed % 2))
    low = (seed // 2) % 2
    target = ndimage.zoom(rng.integers(1 - low, 9, shape), 3, order=0)
    pred = np.where(rng.random(target.shape) < rng.uniform(0, 0.4), rng.integers(1 - low, 12, target.shape), 2 * target)
    return pred, target


@pytest.mark.parametrize("seed", range(60))
def test_variation_of_information(seed):
    pred, target = id_maps(seed)
    scores = instance_scores(pred, target)
    expected = metrics.variation_of_information(target, pred, ignore_labels=(0,))
    assert (scores.voi_split, scores.voi_merge) == pytest.approx(tuple(expected), abs=1e-9)


@pytest.mark.parametrize("seed", range(60))
def test_adapted_rand_error_from_the_contingency_table(seed):
    """CREMI counts every pair, that of a voxel with itself as well; scikit-image leaves these out."""
    pred, target = id_maps(seed)
    table = metrics.contingency_table(target, pred).toarray()[1:]  # voxels of a target
    voxels, lost = target.size, table[:, 0].sum()
    both = (table[:, 1:] ** 2).sum() + lost / voxels
    precision = both / ((table[:, 1:].sum(0) ** 2).sum() + lost / voxels)
    recall = both / (table.sum(1) ** 2).sum()
    scores = instance_scores(pred, target)
    found = scores.adapted_rand_precision, scores.adapted_rand_recall, scores.adapted_rand_error
    assert found == pytest.approx((precision, recall, 1 - 2 * precision * recall / (precision + recall)), rel=1e-9)
    if pred.min() > 0 and target.min() > 0:  # else it takes no object for one
        counted = table[:, 1:].astype(float)
        singles = counted.sum()
        off = [1 - ((counted**2).sum() - singles) / ((counted.sum(axis) ** 2).sum() - singles) for axis in (0, 1)]
        error, *shares = metrics.adapted_rand_error(target, pred)
        assert sorted(1 - share for share in shares) == pytest.approx(sorted(off), abs=1e-9)
        assert scores.adapted_rand_error == pytest.approx(error, abs=0.02)


@pytest.mark.parametrize("seed", range(30))
def test_hausdorff_distance(seed):
    rng = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(rng.standard_normal(tuple(rng.integers(6, 26, 2 + seed % 2))), 1)
    other = field + 0.5 * ndimage.gaussian_filter(rng.standard_normal(field.shape), 1)
    masks = [one > np.quantile(one, 0.7) for one in (field, other)]
    edges = [mask & ~ndimage.binary_erosion(mask) for mask in masks]
    found = surface_distances(*masks)
    assert found.hausdorff_mm() == pytest.approx(metrics.hausdorff_distance(*edges), rel=1e-5)
    averages = [side.mean() for side in (found.pred_to_target, found.target_to_pred)]
    assert max(averages) == pytest.approx(metrics.hausdorff_distance(*edges, method="modified"), rel=1e-5)
