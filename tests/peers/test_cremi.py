"""Scores of ids against the evaluation of CREMI, where it is installed: pip install git+https://github.com/cremi/cremi_python.

Without it tests/metrics/test_instances.py compares with its formulas: every voxel against every voxel, and entropies.
"""

from __future__ import annotations

import numpy as np
import pytest

from monai_boundary.metrics import instance_scores
from tests.peers.test_skimage import id_maps


@pytest.fixture
def peer(monkeypatch):
    """Its modules, which were written for NumPy 1."""
    monkeypatch.setattr(np, "bool", np.bool_, raising=False)
    rand = pytest.importorskip("cremi.evaluation.rand", reason="CREMI's evaluation is not installed")
    return rand, pytest.importorskip("cremi.evaluation.voi")


@pytest.mark.parametrize("seed", range(60))
def test_scores_of_random_ids(peer, seed):
    (rand, voi), (pred, target) = peer, id_maps(seed)
    scores = instance_scores(pred, target)
    error, precision, recall = rand.adapted_rand_error(pred, target, all_stats=True)
    found = scores.adapted_rand_error, scores.adapted_rand_precision, scores.adapted_rand_recall
    assert found == pytest.approx((error, precision, recall), rel=1e-9)
    assert (scores.voi_split, scores.voi_merge) == pytest.approx(voi.voi(pred, target), abs=1e-9)
