"""Scores of single lesions against CC-Metrics and panoptica, where they are installed; nothing needs them.

``pip install --no-deps ccmetrics``, and ``--no-deps panoptica ruamel.yaml plotly``, which asks for older versions of
others than it needs.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from monai_boundary.metrics import LesionSettings, lesion_scores


@pytest.fixture(autouse=True)
def gradients_stay_on():
    """CCMetrics turns them off for the whole process when it is imported."""
    with torch.enable_grad():
        yield


def blobs(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng, shape = np.random.default_rng(seed), (20, 36, 32)
    field = ndimage.gaussian_filter(rng.standard_normal(shape), 1.3)
    other = field + 0.5 * ndimage.gaussian_filter(rng.standard_normal(shape), 1.3)
    return other > np.quantile(other, 0.96), field > np.quantile(field, 0.97)


@pytest.mark.parametrize("seed", range(4))
def test_cc_dice_is_that_of_cc_metrics(seed: int) -> None:
    peer = pytest.importorskip("CCMetrics")
    pred, target = blobs(seed)
    ids, count = ndimage.label(target, np.ones((3, 3, 3)))
    distances = np.sort([ndimage.distance_transform_edt(ids != one) for one in range(1, count + 1)], axis=0)
    pred &= distances[1] > distances[0]  # it gives voxels that are as near to two components to either
    metric = peer.CCDiceMetric(use_caching=False)
    metric(*(torch.from_numpy(np.stack([~mask, mask])[None].astype(np.uint8)) for mask in (pred, target)))
    assert lesion_scores(pred, target).cc_dice == pytest.approx(float(metric.cc_aggregate()[0]), rel=1e-6)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("iou", [0.23, 0.51])
@pytest.mark.parametrize("seed", range(4))
def test_panoptic_quality_is_that_of_panoptica(seed: int, iou: float) -> None:
    peer = pytest.importorskip("panoptica")
    peer.disable_citation_reminder()
    pred, target = blobs(seed)
    evaluator = peer.Panoptica_Evaluator(
        expected_input=peer.InputType.SEMANTIC,
        instance_approximator=peer.ConnectedComponentsInstanceApproximator(),
        instance_matcher=peer.NaiveThresholdMatching(matching_metric=peer.Metric.IOU, matching_threshold=iou),
        instance_metrics=[peer.Metric.IOU],
    )
    (theirs,) = evaluator.evaluate(pred.astype(np.uint8), target.astype(np.uint8)).values()
    ours = lesion_scores(pred, target, settings=LesionSettings(iou=iou))
    assert ours.matches.size == theirs.tp > 0
    found = ours.panoptic_quality, ours.segmentation_quality, ours.recognition_quality
    assert found == pytest.approx((theirs.pq, theirs.sq, theirs.rq))
