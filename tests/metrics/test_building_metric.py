"""IoU and boundary F1 of building maps: by counting, over windows, in MONAI's engines."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from monai.engines import SupervisedEvaluator
from monai.handlers import from_engine

from monai_boundary.metrics import BuildingMetric, boundary_f1, score_buildings
from monai_boundary.metrics.ignite import BuildingScores


def maps(seed: int = 0, shape: tuple[int, int] = (20, 24)) -> tuple[np.ndarray, np.ndarray]:
    """Prediction and target with ignored pixels."""
    rng = np.random.default_rng(seed)
    pred, target = np.zeros((2, *shape), np.int64)
    pred[4:12, 3:15], target[5:13, 3:18] = 1, 1
    pred[14:17, 20:] = 1
    target[rng.random(shape) < 0.1] = 255
    return pred, target


def test_iou_is_that_of_counted_pixels() -> None:
    pred, target = maps()
    both = either = 0
    for found, true in zip(pred.flat, target.flat, strict=True):
        if true != 255:
            both += found == 1 and true == 1
            either += found == 1 or true == 1
    score = score_buildings(pred, target)
    assert (score.intersection, score.union) == (both, either)
    assert score.iou == pytest.approx(both / either)


@pytest.mark.parametrize("spacing", [None, (0.3, 0.5)])
@pytest.mark.parametrize("image_edge", [False, True])
def test_boundary_scores_are_those_of_boundary_f1(spacing, image_edge: bool) -> None:
    pred, target = maps()
    valid = target != 255
    expected = boundary_f1((pred == 1) & valid, target == 1, 0.9, spacing, valid=valid, image_edge=image_edge)
    assert score_buildings(pred, target, 0.9, spacing, image_edge=image_edge).boundary == expected
    assert expected != boundary_f1(pred == 1, target == 1, 0.9, spacing, image_edge=image_edge)


def test_iou_of_windows_is_that_of_their_pixels_together_and_the_boundary_a_mean() -> None:
    pairs = [maps(0), maps(1), (np.zeros((20, 24), np.int64),) * 2]
    for array in pairs[1]:
        array[:, :14] = 0
    metric = BuildingMetric(theta=2)
    for pred, target in pairs:
        metric(torch.tensor(pred)[None, None], torch.tensor(target)[None, None])
    scores = [score_buildings(pred, target, 2) for pred, target in pairs]
    iou, f1, precision, recall = (float(value) for value in metric.aggregate())
    assert iou == pytest.approx(sum(s.intersection for s in scores) / sum(s.union for s in scores))
    assert abs(iou - np.nanmean([s.iou for s in scores])) > 0.01
    assert f1 == pytest.approx(np.mean([s.boundary.f1 for s in scores[:2]]))
    assert precision == pytest.approx(np.mean([s.boundary.precision for s in scores[:2]]))
    assert recall == pytest.approx(np.mean([s.boundary.recall for s in scores[:2]]))
    assert precision != recall


def test_the_spacing_of_a_call_comes_first() -> None:
    pred, target = (torch.from_numpy(one)[None, None] for one in maps())
    metric = BuildingMetric(theta=1.2, spacing=(5.0, 5.0))
    metric(pred, target, spacing=(0.3, 0.5))
    expected = score_buildings(*maps(), 1.2, (0.3, 0.5)).boundary
    assert [float(value) for value in metric.aggregate()[1:]] == pytest.approx(
        [expected.f1, expected.precision, expected.recall]
    )
    assert expected.f1 != score_buildings(*maps(), 1.2, (5.0, 5.0)).boundary.f1


def test_what_was_not_measured_is_nan_and_a_false_alarm_is_0() -> None:
    nothing, something = np.zeros((2, 8, 8), np.int64)
    something[2:5, 2:5] = 1
    assert math.isnan(score_buildings(nothing, nothing).iou)
    assert score_buildings(something, nothing).iou == score_buildings(something, nothing).boundary.f1 == 0
    metric = BuildingMetric()
    metric(torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8))
    assert all(math.isnan(value) for value in metric.aggregate())


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_an_evaluator_gets_every_score_under_its_name() -> None:
    pairs = [maps(0), maps(1)]
    batch = {key: torch.tensor(np.stack(values))[:, None].float() for key, values in
             zip(("image", "label"), zip(*pairs, strict=True), strict=True)}  # fmt: skip
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"), val_data_loader=[batch], network=torch.nn.Identity(), amp=False,
        key_val_metric={"val_iou": BuildingScores(from_engine(["pred", "label"]), theta=2)},
    )  # fmt: skip
    evaluator.run()
    metric = BuildingMetric(theta=2)
    metric(batch["image"], batch["label"])
    names = ["val_iou", "val_iou_boundary_f1", "val_iou_boundary_precision", "val_iou_boundary_recall"]
    assert [evaluator.state.metrics[name] for name in names] == [float(value) for value in metric.aggregate()]
    details = evaluator.state.metric_details["val_iou_boundary_f1"]
    assert details.flatten().tolist() == [score_buildings(*pair, 2).boundary.f1 for pair in pairs]


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: score_buildings(np.zeros((4, 4), int), np.zeros((4, 5), int)), ValueError, "the same shape, got"),
        (lambda: score_buildings(np.full((4, 4), 255), np.zeros((4, 4), int)), ValueError, "255"),
        (lambda: BuildingMetric(theta=0), ValueError, "theta must"),
        (lambda: BuildingMetric()(torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 4, 4)), ValueError, r"\(B, 1, \*S\)"),
    ],
)
def test_unusable_input_is_refused(call, kind, message: str) -> None:
    with pytest.raises(kind, match=message):
        call()
