"""Surface elements against DeepMind's ``surface-distance``, where that is installed; nothing needs it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from monai_boundary.metrics import surface_distances
from monai_boundary.metrics.surface_elements import element_areas


@pytest.fixture
def peer(monkeypatch):
    """The package; it was written for NumPy 1 and an older SciPy, whose names these are."""
    monkeypatch.setattr(np, "Inf", np.inf, raising=False)
    monkeypatch.setattr(np, "NaN", np.nan, raising=False)
    for name in ("filters", "morphology"):
        monkeypatch.setattr(ndimage, name, ndimage, raising=False)
    return pytest.importorskip("surface_distance")


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (3.0, 0.4), (1.0, 1.0, 1.0), (3.0, 2.0, 0.5)])
def test_each_neighbourhood_has_the_same_area(peer, spacing):
    tables = peer.lookup_tables
    make = (tables.create_table_neighbour_code_to_contour_length, tables.create_table_neighbour_code_to_surface_area)
    np.testing.assert_allclose(
        element_areas(spacing), make[len(spacing) - 2](np.array(spacing)), rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("seed", range(12))
def test_all_figures_are_the_same(peer, seed):
    rng, ndim = np.random.default_rng(seed), 2 + seed % 2
    shape, spacing = tuple(rng.integers(12, 30, ndim)), tuple(rng.uniform(0.3, 4, ndim))
    field = ndimage.gaussian_filter(rng.standard_normal(shape), 1.0)
    target, pred = field > 0.1, field + 0.3 * ndimage.gaussian_filter(rng.standard_normal(shape), 1.0) > 0.1
    theirs = peer.compute_surface_distances(target, pred, spacing)
    ours = surface_distances(pred, target, spacing, definition="surface_elements")
    sides = zip((ours.pred_to_target, ours.target_to_pred), ours.areas, strict=True)
    for (distances, areas), their, its in zip(sides, ("pred_to_gt", "gt_to_pred"), ("pred", "gt"), strict=True):
        np.testing.assert_allclose(np.sort(distances), theirs[f"distances_{their}"], rtol=1e-5)
        np.testing.assert_allclose(np.sort(areas), np.sort(theirs[f"surfel_areas_{its}"]), rtol=1e-9)
    for tolerance in (0.0, 0.5, 1.7):
        expected = peer.compute_surface_dice_at_tolerance(theirs, tolerance * (1 + 1e-5))
        assert ours.surface_dice(tolerance) == pytest.approx(expected, rel=1e-6)
    for rank in (50, 95, 100):
        assert ours.hausdorff_mm(rank) == pytest.approx(peer.compute_robust_hausdorff(theirs, rank), rel=1e-5)
    averages = peer.compute_average_surface_distance(theirs)
    totals = [areas.sum() for areas in ours.areas][::-1]
    assert ours.average_mm() == pytest.approx(np.average(averages, weights=totals), rel=1e-5)
