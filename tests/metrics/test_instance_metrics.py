"""Objects from likelihood maps, the threshold sweep, and the MONAI metrics around them."""

from __future__ import annotations

import math
import pickle
import sys

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from monai.data import MetaTensor
from scipy import ndimage

from monai_boundary.datasets import membrane_phantom
from monai_boundary.metrics import (
    INSTANCE_SCORES,
    AdaptedRandMetric,
    CremiScoreMetric,
    InstanceMetric,
    LikelihoodSegmentation,
    ThresholdSweepMetric,
    VariationOfInformationMetric,
    cremi_target,
    instance_scores,
    threshold_sweep,
)
from monai_boundary.metrics.ignite import ThresholdSweepScores


@pytest.fixture(scope="module")
def phantom():
    return membrane_phantom(4, (96, 96), gaps=0.3, noise=0.0)


@pytest.fixture(scope="module")
def likelihood(phantom):
    return 1 - phantom.image


@pytest.mark.parametrize("kind", ["membrane", "ids", "border", "reserved"])
def test_what_nobody_labelled_is_as_what_lies_outside_the_image(phantom, likelihood, kind):
    """No score changes with what is predicted there, and none counts it."""
    shape = likelihood.shape
    noise = [torch.rand(shape, generator=torch.Generator().manual_seed(seed)).numpy() for seed in (0, 1)]
    wide = [np.concatenate([likelihood, part, 0 * part]).astype(np.float32) for part in noise]
    wide[1][-1] = np.nan
    truth = (phantom.ids == 0).astype(np.uint8) if kind == "membrane" else phantom.ids.astype(np.uint64)
    settings = {"segmentation": LikelihoodSegmentation(0.4), "target_is_membrane": kind == "membrane"}
    settings |= {"scores": ("voi_split", "voi_merge")}  # the others divide by the voxels of the whole array
    if kind == "border":
        settings |= {"border": 1.0, "spacing": (1.0, 1.0)}
    number = {"membrane": 255, "reserved": 2**64 - 3}.get(kind, 2**31 - 1)
    target = np.pad(truth, ((0, 2 * shape[0]), (0, 0)), constant_values=number)
    metric = InstanceMetric(**settings, ignore_index=None if kind == "reserved" else number)
    alone = InstanceMetric(**settings)
    tensors = [torch.from_numpy(one)[None, None] for one in (*wide, target, likelihood.astype(np.float32), truth)]
    scores = [metric(one, tensors[2])[0].tolist() for one in tensors[:2]]
    assert scores[0] == scores[1]
    if kind != "border":  # one lies along the labelled part
        assert scores[0] == alone(*tensors[3:])[0].tolist()
    if kind == "reserved":
        (swept,) = threshold_sweep(wide[1], target, (0.4,), progress=False).values()
        assert [swept.voi_split, swept.voi_merge] == pytest.approx(scores[0][0])


@pytest.mark.parametrize("connectivity", [1, 2])
@pytest.mark.parametrize("shape", [(20, 30), (6, 9, 8)])
def test_objects_are_scipys_components_up_to_the_threshold(rng, shape, connectivity):
    likelihood = rng.integers(0, 5, shape).astype(np.float32) / 4
    found = LikelihoodSegmentation(0.5, connectivity)(likelihood)
    structure = ndimage.generate_binary_structure(len(shape), connectivity)
    expected = ndimage.label(likelihood <= 0.5, structure)[0]
    pairs = np.unique(np.stack([found.ravel(), expected.ravel()]), axis=1)
    assert pairs.shape[1] == found.max() + 1 == expected.max() + 1  # one to one
    assert found.dtype == np.int32


@pytest.mark.parametrize(
    ("settings", "values", "expected"),
    [
        *(({"threshold": at}, np.array([at, 0.99], np.float32), [1, 0]) for at in (0.1, 0.3, 0.7)),
        ({"threshold": 0.3}, torch.tensor([0.3, 0.99]), [1, 0]),
        ({"min_size": 2}, np.array([0, 0, 1, 0, 1, 0, 0, 0.0]), [1, 1, 0, 0, 0, 3, 3, 3]),
        ({"min_size": 3}, np.array([0, 0, 1, 0, 1, 0, 0, 0.0]), [0, 0, 0, 0, 0, 3, 3, 3]),
        ({"membrane": "nearest"}, np.array([0.1, 0.6, 0.7, 0.8, 0.85, 0.9, 0.1]), [1, 1, 1, None, 2, 2, 2]),
        ({"membrane": "watershed"}, np.array([0.1, 0.6, 0.7, 0.8, 0.85, 0.9, 0.1]), [1, 1, 1, 1, 1, None, 2]),
    ],
    ids=str,
)
def test_objects_by_hand(settings, values, expected):
    if "watershed" in settings.values():
        pytest.importorskip("skimage", reason="scikit-image is not installed")
    found = LikelihoodSegmentation(**settings)(values).tolist()
    assert [one if two is not None else None for one, two in zip(found, expected, strict=True)] == expected


def test_the_membrane_goes_to_the_nearest_object_in_mm():
    values = np.ones((5, 3))
    values[0, 0] = values[4, 2] = 0
    found = LikelihoodSegmentation(membrane="nearest")(values, spacing=(1.0, 10.0))
    assert found.tolist() == [[1, 1, 2], [1, 1, 2], [1, 1, 2], [1, 2, 2], [1, 2, 2]]  # ties go to either


@pytest.mark.parametrize("membrane", ["keep", "nearest", "watershed"])
def test_membrane_everywhere_holds_no_object(membrane):
    assert not LikelihoodSegmentation(membrane=membrane)(np.ones((4, 4))).any()


def test_the_watershed_without_scikit_image_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.segmentation", None)
    with pytest.raises(ImportError, match=r"scikit-image, which is not installed; pip install .monai-boundary\[em\]"):
        LikelihoodSegmentation(membrane="watershed")(np.array([0.0, 1.0]))


def test_the_sweep_is_a_segmentation_per_threshold_and_its_bar_can_be_turned_off(phantom, likelihood, capsys):
    curve = threshold_sweep(likelihood, phantom.ids, (0.6, 0.4), LikelihoodSegmentation(min_size=4), progress=False)
    assert list(curve) == [0.6, 0.4]
    for threshold, scores in curve.items():
        found = ndimage.label(likelihood <= np.float32(threshold))[0]
        found[(np.bincount(found.ravel()) < 4)[found]] = 0
        assert scores.voi == pytest.approx(instance_scores(found, phantom.ids).voi)
    assert curve[0.6].voi_merge > curve[0.4].voi_merge > 0
    assert curve[0.6].voi_split < curve[0.4].voi_split
    assert not capsys.readouterr().err
    threshold_sweep(likelihood, phantom.ids, (0.5,))
    assert "thresholds" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("metric", "names"),
    [
        (VariationOfInformationMetric(), ["voi_split", "voi_merge", "voi"]),
        (AdaptedRandMetric(), ["adapted_rand_error", "adapted_rand_precision", "adapted_rand_recall"]),
        (InstanceMetric(), list(INSTANCE_SCORES)),
        (InstanceMetric(scores="voi"), ["voi"]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_metrics_average_the_scores_of_the_volumes(rng, metric, names):
    pred, target = (torch.from_numpy(rng.integers(0, 5, (3, 1, 4, 5, 6))) for _ in range(2))
    metric(pred[:2], target[:2])
    metric([pred[2]], [target[2]])
    expected = [instance_scores(p[0], t[0]) for p, t in zip(pred, target, strict=True)]
    values = metric.aggregate()
    values = values if len(names) > 1 else [values]
    for name, value in zip(names, values, strict=True):
        assert float(value) == pytest.approx(np.mean([getattr(scores, name) for scores in expected]))
    metric.reset()


def test_volumes_without_truth_are_no_part_of_the_mean(rng):
    pred, target = (torch.from_numpy(rng.integers(1, 5, (2, 1, 6, 6))) for _ in range(2))
    target[1] = 0
    metric = CremiScoreMetric(get_not_nans=True)
    metric(pred, target)
    value, count = metric.aggregate()
    assert float(value) == pytest.approx(instance_scores(pred[0, 0], target[0, 0]).cremi_score)
    assert float(count) == 1
    metric.reset()
    metric(pred, torch.zeros_like(target))
    assert math.isnan(float(metric.aggregate()[0]))


def test_likelihoods_and_membranes_are_segmented_alike(phantom, likelihood):
    segmentation = LikelihoodSegmentation(0.55, connectivity=2)
    metric = InstanceMetric("voi", segmentation, target_is_membrane=True)
    metric(torch.from_numpy(likelihood)[None, None], torch.from_numpy(phantom.membrane)[None, None])
    eight = np.ones((3, 3))
    pred, target = (ndimage.label(inside, eight)[0] for inside in (likelihood <= 0.55, phantom.membrane == 0))
    assert float(metric.aggregate()) == pytest.approx(instance_scores(pred, target).voi)


@pytest.mark.parametrize(("connectivity", "objects"), [(1, 2), (2, 1)])
def test_objects_of_the_target_have_the_connectivity_of_the_prediction(connectivity, objects):
    membrane = torch.eye(4)[None, None]  # corners of the other side touch across the diagonal
    metric = InstanceMetric(("voi_split", "voi_merge"), LikelihoodSegmentation(0.5, connectivity), True)
    metric(membrane, membrane)
    assert [float(value) for value in metric.aggregate()] == [0, 0]
    metric.reset()
    metric(torch.zeros_like(membrane), membrane)  # one object all over
    assert float(metric.aggregate()[1]) == objects - 1


@pytest.mark.parametrize("dtype", [torch.uint64, torch.int64])
def test_metrics_take_ids_beyond_31_bits(dtype):
    target = (torch.tensor([[[1, 1, 2, 2, 3]]]) * 2**60).to(dtype)
    metric = VariationOfInformationMetric()
    metric(MetaTensor(torch.tensor([[[5, 5, 6, 6, 7]]])), target)
    assert [float(value) for value in metric.aggregate()] == [0, 0, 0]


def test_the_border_of_cremi_is_taken_out(rng):
    target = torch.from_numpy(np.kron(rng.integers(0, 9, (2, 4, 4)), np.ones((1, 9, 9), int)))[None, None]
    pred = torch.roll(target, 2, -1)
    scores = []
    for metric, settings in ((CremiScoreMetric(border=3, spacing=(40, 1, 1)), {}), (CremiScoreMetric(border=3), {
        "spacing": (40, 1, 1)
    })):  # fmt: skip
        metric(pred, target, **settings)
        scores.append(float(metric.aggregate()))
    expected = instance_scores(pred[0, 0], cremi_target(target[0, 0], 3, (40, 1, 1))).cremi_score
    assert scores == pytest.approx([expected, expected])
    with pytest.raises(ValueError, match="spacing must be given with border, got None"):
        CremiScoreMetric(border=3)(pred, target)


def test_the_sweep_metric_averages_curves_and_finds_the_best_threshold(phantom, likelihood):
    thresholds = (0.3, 0.5, 0.6, 0.7)
    metric = ThresholdSweepMetric(thresholds, scores=("cremi_score", "adapted_rand_index"))
    pair = torch.from_numpy(np.stack([likelihood, likelihood.T]))[:, None]
    ids = torch.from_numpy(np.stack([phantom.ids, phantom.ids[::-1].copy()]))[:, None]
    metric(pair, ids)
    curves = [threshold_sweep(p[0], t[0], thresholds, progress=False).values() for p, t in zip(pair, ids, strict=True)]
    expected = np.mean([[scores.cremi_score for scores in curve] for curve in curves], axis=0)
    values, index = metric.aggregate()
    assert values.tolist() == pytest.approx(expected.tolist())
    assert metric.best() == thresholds[int(np.argmin(expected))]
    assert metric.best("adapted_rand_index") == thresholds[int(index.argmax())]
    with pytest.raises(ValueError, match="score must be one of cremi_score, adapted_rand_index, got 'voi'"):
        metric.best("voi")
    metric.reset()
    metric(pair, torch.zeros_like(ids))
    with pytest.raises(ValueError, match="targets must hold objects to choose a threshold, got cremi_score NaN"):
        metric.best()


def test_the_handler_of_the_sweep_scores_at_the_best_threshold_and_keeps_it(phantom, likelihood):
    pair = [torch.from_numpy(array)[None, None] for array in (likelihood, phantom.ids)]
    settings = {"thresholds": (0.6, 0.3, 0.5), "scores": ("cremi_score", "voi")}
    engine, handler, metric = (
        Engine(lambda _, batch: batch), ThresholdSweepScores(**settings), ThresholdSweepMetric(**settings)
    )  # fmt: skip
    handler.attach(engine, "cremi")
    engine.run([pair])
    metric(*pair)
    best = metric.thresholds.index(metric.best())
    assert best > 0
    cremi, voi = (float(curve[best]) for curve in metric.aggregate())
    assert engine.state.metrics == {"cremi": cremi, "cremi_voi": voi, "cremi_threshold": metric.best()}
    later = ThresholdSweepScores(**settings)
    later.load_state_dict(handler.state_dict())
    assert later.threshold == metric.best()


def test_metrics_are_made_from_json_and_can_be_pickled_for_workers(phantom, likelihood):
    bundle = pytest.importorskip("monai.bundle", reason="MONAI's bundle package is not installed")
    parser = bundle.ConfigParser({"metric": {
        "_target_": "monai_boundary.metrics.CremiScoreMetric",
        "segmentation": {"_target_": "monai_boundary.metrics.LikelihoodSegmentation", "threshold": 0.4},
    }})  # fmt: skip
    metric = pickle.loads(pickle.dumps(parser.get_parsed_content("metric")))  # noqa: S301
    metric(torch.from_numpy(likelihood)[None, None], torch.from_numpy(phantom.ids)[None, None])
    expected = threshold_sweep(likelihood, phantom.ids, (0.4,), progress=False)[0.4]
    assert float(metric.aggregate()) == pytest.approx(expected.cremi_score)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: LikelihoodSegmentation(1.5), ValueError, r"threshold must lie in \[0, 1\], got 1.5"),
        (lambda: LikelihoodSegmentation("half"), TypeError, "threshold must be a number, got str"),
        (lambda: LikelihoodSegmentation(connectivity=4), ValueError, "connectivity must .*got 4"),
        (lambda: LikelihoodSegmentation(min_size=-1), ValueError, "min_size must be an integer >= 0, got -1"),
        (lambda: LikelihoodSegmentation(membrane="fill"), ValueError, "membrane must be one of .*got 'fill'"),
        (lambda: LikelihoodSegmentation()(np.array([0.2, 3.0])), ValueError, r"in \[0, 1\], got values in \[0.2, 3\]"),
        (lambda: LikelihoodSegmentation()(np.array([0.2, np.nan])), ValueError, r"got values in \[nan, nan\]"),
        (lambda: LikelihoodSegmentation()(np.array([0, 255], np.uint8)), ValueError, "divide bytes by 255"),
        (lambda: LikelihoodSegmentation()(np.array([1j])), TypeError, "must hold floats .*got dtype complex"),
        (lambda: LikelihoodSegmentation()(np.zeros((2, 0))), ValueError, "likelihood must not be empty"),
        (lambda: threshold_sweep(np.zeros(2), np.ones(2, int), ()), ValueError, r"at least one number.*, got \(\)"),
        (lambda: threshold_sweep(np.zeros(2), np.ones(2, int), (0.1, 0.1)), ValueError, r"each once, got \(0.1, 0.1\)"),
        (lambda: InstanceMetric(scores="rand"), ValueError, "scores must be names among voi_split, .*got 'rand'"),
        (lambda: InstanceMetric(segmentation=0.5), TypeError, "segmentation must be a LikelihoodSegmentation or None"),
        (lambda: InstanceMetric(border=-1), ValueError, "border must be finite and >= 0, got -1"),
        (lambda: InstanceMetric(border=1, target_is_membrane=True), ValueError, "border must be None with target_is"),
        (lambda: InstanceMetric()(torch.ones(1, 2, 4), torch.ones(1, 2, 4)), ValueError, r"\(B, 1, \*S\) of one shape"),
        (lambda: InstanceMetric()(torch.ones(1, 1, 4), torch.ones(1, 1, 5)), ValueError, r"4\) and \(1, 1, 5\)"),
        (lambda: InstanceMetric().aggregate(), ValueError, "must have been called before aggregate"),
    ],
)  # fmt: skip
def test_wrong_settings_and_input_are_refused(call, error, text):
    with pytest.raises(error, match=text):
        call()
