"""The cut of real likelihood maps, against the published code's contours and gradient and the exact distance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from monai_boundary.kernels.barrier import barrier_weights, minimum_barrier_cut
from monai_boundary.kernels.regions import connected_components, region_seeds
from tests.oracles import barrier_regions

pytestmark = pytest.mark.real_data
MAPS = pytest.mark.parametrize("name", ["mid_02", "mid_05", "early_02", "early_05"])
IS_MID = {"mid_02": True, "mid_05": True, "early_02": False, "early_05": False}


@pytest.fixture
def reference(data_dir: Path, name: str) -> dict[str, np.ndarray]:
    file = data_dir / "isbi2012" / "reference" / f"{name}.npz"
    if not file.is_file():
        pytest.skip(f"no reference at {file}; set MONAI_BOUNDARY_DATA")
    with np.load(file) as stored:
        found = dict(stored)
    found["seed_map"] = np.zeros(found["membrane"].shape, np.int32)
    found["seed_map"][tuple(found["seeds"].T)] = np.arange(1, len(found["seeds"]) + 1)
    return found


@MAPS
def test_distances_are_never_below_the_exact_ones(reference):
    cut = minimum_barrier_cut(reference["likelihood_u8"], reference["seed_map"])
    assert (cut.distance >= reference["exact_d1"]).all()
    assert (cut.second_distance >= reference["exact_d2"]).all()


@MAPS
def test_regions_are_mostly_the_exact_ones(reference, name):
    cut = minimum_barrier_cut(reference["likelihood_u8"], reference["seed_map"])
    won = np.where(reference["exact_d1"] < reference["exact_d2"], reference["exact_label"], 0)
    exact = reference["seed_map"].copy()
    for label, part in enumerate(ndimage.find_objects(won), start=1):
        if part is not None:
            seeds = (reference["seed_map"][part] == label).astype(np.int32)
            kept = barrier_regions(np.where(won[part] == label, 0.0, np.inf)[None], seeds) if seeds.any() else seeds
            exact[part][kept == 1] = label
    assert (cut.regions == exact).mean() > (0.92 if IS_MID[name] else 0.7)


@MAPS
def test_dilated_contours_are_those_of_the_published_code(reference, name):
    settings = {"membrane": reference["membrane"], "weighting": "count"}
    weights = barrier_weights(reference["likelihood_u8"], reference["seed_map"], **settings)
    counts, published = np.rint(weights * weights.size), reference["dilated7_count"].astype(float)
    assert np.minimum(counts, published).sum() / np.maximum(counts, published).sum() > (0.93 if IS_MID[name] else 0.58)


@MAPS
def test_gradient_points_where_that_of_the_published_code_does(reference, name):
    settings = {"membrane": reference["membrane"], "weighting": "published"}
    weights = barrier_weights(reference["likelihood_u8"], reference["seed_map"], **settings)
    probs = (reference["likelihood_u8"] + 0.5) / 256  # of which the published code takes the sigmoid again
    gradient = weights * (1 / (1 + np.exp(-probs)) - reference["membrane"]) * probs * (1 - probs)
    published = reference["published_grad"].astype(float)
    cosine = (gradient * published).sum() / np.linalg.norm(gradient) / np.linalg.norm(published)
    assert cosine > (0.97 if IS_MID[name] else 0.86)


@pytest.mark.parametrize("name", ["mid_02"])
def test_seeds_of_real_cells_are_as_far_from_the_membrane_as_the_stored_ones(reference):
    regions = connected_components(~reference["membrane"])
    seeds = region_seeds(regions)
    assert seeds.max() == len(reference["seeds"]) == (seeds > 0).sum()
    depth = ndimage.distance_transform_edt(np.pad(~reference["membrane"], 1))[1:-1, 1:-1]
    ours, stored = np.argwhere(seeds), reference["seeds"]
    ours = {regions[tuple(place)]: depth[tuple(place)] for place in ours}
    for place in stored:
        assert ours[regions[tuple(place)]] >= depth[tuple(place)]
