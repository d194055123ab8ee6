"""The MONAI metrics of masks and their Ignite twins, against MONAI's own metrics and the functional forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from monai.data import MetaTensor, list_data_collate
from monai.engines import SupervisedEvaluator
from monai.handlers import MetricsSaver, from_engine
from monai.metrics import DiceMetric, HausdorffDistanceMetric, SurfaceDiceMetric
from monai.networks.utils import one_hot
from scipy import ndimage

from monai_boundary._geometry import MissingSpacingWarning
from monai_boundary.metrics import (
    PROTOCOLS,
    BoundaryF1Metric,
    BuildingMetric,
    LesionMetric,
    ProtocolMetric,
    SurfaceDistanceMetric,
    boundary_f1,
    lesion_counts,
    score_buildings,
    score_pair,
    surface_distances,
)
from monai_boundary.metrics.ignite import BuildingScores, ProtocolScores

SPACING = (1.5, 1.0, 4.0)
AFFINE = torch.diag(torch.tensor([*SPACING, 1.0], dtype=torch.float64))
DEPRECATED_INSIDE_MONAI = pytest.mark.filterwarnings("ignore:monai.metrics.utils get_mask_edges:FutureWarning")
METRICS = [ProtocolMetric, SurfaceDistanceMetric, LesionMetric, BoundaryF1Metric]

Pair = tuple[torch.Tensor, torch.Tensor]


def label_maps(seed: int, cases: int = 3, shape: tuple[int, ...] = (14, 13, 8), classes: int = 3) -> torch.Tensor:
    """Smooth random label maps `(B, 1, *S)`, every class in each."""
    noise = np.random.default_rng(seed).normal(size=(cases, *shape))
    smooth = np.stack([ndimage.gaussian_filter(case, 1.5) for case in noise])
    edges = np.quantile(smooth, np.linspace(0, 1, classes + 1)[1:-1])
    return torch.from_numpy(np.digitize(smooth, edges))[:, None]


@pytest.fixture
def pair() -> Pair:
    return label_maps(0), label_maps(1)


def numbers(values) -> list[float]:
    return [float(value) for value in values]


# Against MONAI


@DEPRECATED_INSIDE_MONAI
@pytest.mark.parametrize("reduction", ["mean", "mean_batch", "mean_channel", "sum", "none"])
def test_equals_monais_metrics(reduction: str, pair: Pair) -> None:
    pred, target = (one_hot(labels, 3) for labels in pair)
    options = {"include_background": False, "reduction": reduction}
    # the distances from both sides together, which MONAI averages per side
    ours = ProtocolMetric("surface", ("dice", "hd95_mm", "hausdorff_mm", "surface_dice"), tolerance_mm=2.0, **options)
    peers = (
        DiceMetric(**options), HausdorffDistanceMetric(percentile=95, **options), HausdorffDistanceMetric(**options),
        SurfaceDiceMetric(class_thresholds=[2.0, 2.0], **options),
    )  # fmt: skip
    ours(pred, target, spacing=SPACING)
    for found, (number, peer) in zip(ours.aggregate(), enumerate(peers), strict=True):
        peer(pred, target, **({} if number == 0 else {"spacing": SPACING}))
        torch.testing.assert_close(found.float(), peer.aggregate().float().reshape(found.shape), rtol=1e-5, atol=1e-5)


# Against the functional forms


def surface(pred: np.ndarray, target: np.ndarray) -> dict[str, float]:
    found = surface_distances(pred, target, SPACING)
    return {
        "hd95_mm": found.hausdorff_mm(95), "hausdorff_mm": found.hausdorff_mm(), "average_mm": found.average_mm(),
        "surface_dice": found.surface_dice(1.0),
    }  # fmt: skip


FORMS = {
    "surface distances": (SurfaceDistanceMetric, {}, surface),
    "lesions": (LesionMetric, {}, lesion_counts),
    "boundary f1": (BoundaryF1Metric, {"theta": 1.2}, lambda *masks: boundary_f1(*masks, 1.2, SPACING)),
    **{name: (ProtocolMetric, {"protocol": name, "scores": tuple(PROTOCOLS[name])},
              lambda *masks, name=name: score_pair(name, *masks, SPACING, slice_axis=2)) for name in PROTOCOLS},
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("background", [False, True])
def test_label_maps_one_hot_and_lists_give_the_functional_form_case_by_case(
    name: str, background: bool, pair: Pair
) -> None:
    metric, settings, function = FORMS[name]
    settings = {**settings, "reduction": "none", "include_background": background}
    labels, onehot = metric(num_classes=3, **settings), metric(**settings)
    for pred, target in zip(*pair, strict=True):  # batches of one, and lists
        labels([pred], [target], spacing=SPACING)
    onehot(*(list(one_hot(maps, 3)) for maps in pair), spacing=SPACING)
    found, first = torch.stack(labels.aggregate(), -1), 0 if background else 1
    torch.testing.assert_close(torch.stack(onehot.aggregate(), -1), found, equal_nan=True)
    assert found.shape == (3, 3 - first, len(labels.scores))
    for case, label in np.ndindex(3, 3 - first):
        one = function(*(maps[case, 0].numpy() == label + first for maps in pair))
        expected = [one[score] if isinstance(one, dict) else getattr(one, score) for score in labels.scores]
        assert found[case, label].tolist() == pytest.approx(expected, nan_ok=True)


def test_wmh_slices_lie_along_the_last_axis_of_monais_arrays() -> None:
    pred, target = label_maps(2, cases=8, classes=9), label_maps(3, cases=8, classes=9)
    metric = ProtocolMetric("wmh", "hd95_mm", num_classes=9, reduction="none")
    metric(pred, target, spacing=SPACING)
    pairs = [[labels[case, 0].numpy() for labels in (pred, target)] for case in range(8)]
    upright = [[np.moveaxis(labels, 2, 0) for labels in pair] for pair in pairs]
    expected = [score_pair("wmh", *pair, (4.0, 1.5, 1.0))["hd95_mm"] for pair in upright]
    assert metric.aggregate()[:, 0].tolist() == pytest.approx(expected)
    assert [score_pair("wmh", *pair, SPACING)["hd95_mm"] for pair in pairs] != pytest.approx(expected)


# What all share


@pytest.mark.parametrize("metric", METRICS)
def test_one_channel_is_a_mask_in_every_metric(metric) -> None:
    target = torch.zeros(1, 1, 9, 9)
    target[..., 2:5, 2:5] = 1
    mask, labels = metric(), metric(num_classes=2)
    for one in (mask, labels):
        one(target.roll(2, -1), target, spacing=(1.0, 1.0))
    values = torch.stack(mask.aggregate())
    torch.testing.assert_close(values, torch.stack(labels.aggregate()))
    assert values.isfinite().all()
    for wrong in (255 * target, target * torch.nan, target / 2):
        with pytest.raises(ValueError, match="y must be one-hot, got other values than 0 and 1"):
            metric()(target, wrong, spacing=(1.0, 1.0))


@pytest.mark.parametrize(
    "score", [("surface", "hd95_mm"), ("surface", "surface_dice"), ("isles", "dice"), ("lesions", "cc_dice")]
)
def test_spacing_comes_from_the_call_the_constructor_or_the_target(score: tuple[str, str], pair: Pair) -> None:
    pred, target = pair
    metas = [MetaTensor(case, affine=AFFINE) for case in target]
    found = []
    for constructor, call, truth in (
        (None, SPACING, target), (SPACING, None, target), (None, None, metas), ((9.0, 9.0, 9.0), SPACING, metas)
    ):  # fmt: skip
        metric = ProtocolMetric(*score, num_classes=3, spacing=constructor)
        metric(list(pred), list(truth), spacing=call)
        found.append(float(metric.aggregate()))
    assert len(set(found)) == 1
    if score[1] == "dice":
        ProtocolMetric(*score, num_classes=3)(pred, target)  # without a unit; a warning would be an error
    else:
        with pytest.warns(MissingSpacingWarning, match="distances are in voxels"):
            ProtocolMetric(*score, num_classes=3)(pred, target)


def test_every_case_of_a_batch_has_the_spacing_of_its_affine(pair: Pair) -> None:
    metas = [MetaTensor(case, affine=affine) for case, affine in zip(pair[1], (AFFINE, 2 * AFFINE), strict=False)]
    metric = BoundaryF1Metric(3.0, "f1", num_classes=3, spacing="affine", reduction="none")
    for found, true in ((pair[0][:2], list_data_collate(metas)), (list(pair[0][:2]), metas)):
        metric(found, true)
    together, apart = metric.aggregate().chunk(2)
    assert together.tolist() == apart.tolist()
    assert not torch.equal(together[0], together[1])


@pytest.mark.parametrize("metric", [BoundaryF1Metric, BuildingMetric])
def test_theta_is_in_voxels_unless_asked_for(metric) -> None:
    mask = torch.zeros(1, 1, 12, 12)
    mask[..., 3:6, 3:6] = 1
    moved = mask.roll(2, -1)
    target = MetaTensor(moved, affine=torch.diag(torch.tensor([0.3, 0.3, 1.0, 1.0])))

    def score(target, *call, **settings) -> float:
        one = metric(1.0, **settings)
        one(list(mask), list(target), **dict(call))
        return float(one.aggregate()[one.scores.index("f1" if "f1" in one.scores else "boundary_f1")])

    assert score(target) < 1
    assert score(target, spacing="affine") == 1
    assert score(moved, spacing=(0.3, 0.3)) == 1
    assert score(target, ("spacing", (1.0, 1.0)), spacing="affine") < 1
    with pytest.raises(ValueError, match="must be 'affine' with a MetaTensor target, got 'affine' and a Tensor"):
        score(moved, spacing="affine")


def test_ignored_voxels_do_not_count(rng: np.random.Generator) -> None:
    target = torch.zeros(1, 1, 6, 6, dtype=torch.int64)
    target[..., :2, :], target[..., 2:4, :] = 1, 2
    pred = (target > 0).long()
    gone = torch.where(target == 1, 0, target)
    for found, true, expected in ((pred, target, [1.0, 0.0]), (pred, gone, [0.0, 1.0]),
                                  ((target == 2).long(), gone, [math.nan, 0.0])):  # fmt: skip
        metric = ProtocolMetric("wmh", ("dice", "false_alarm"), num_classes=2, ignore_index=2)
        metric(found, true)
        assert numbers(metric.aggregate()) == pytest.approx(expected, nan_ok=True)
    target = torch.zeros(1, 1, 10, 10, dtype=torch.int64)
    target[..., 2:8, 2:8], target[..., :, 6:] = 1, 255
    pred = (target == 1).long()
    pred[..., 6:] = torch.from_numpy(rng.integers(0, 2, (10, 4)))
    for metric in (BoundaryF1Metric(0.5, num_classes=2, ignore_index=255), BuildingMetric(0.5)):
        metric(pred, target)
        assert numbers(metric.aggregate())[-3:] == [1, 1, 1]


def test_misses_keep_a_bad_score_and_nothing_is_no_zero() -> None:
    target = torch.zeros(3, 1, 3, 4, dtype=torch.int64)
    target[0, 0, 1, 1] = 1
    pred = torch.zeros_like(target)
    pred[1, 0, 2, 2] = 1
    metric = ProtocolMetric("surface", ("hd95_mm", "missed", "false_alarm"), num_classes=2, reduction="sum")
    metric(pred, target, spacing=(3.0, 3.0))
    assert numbers(metric.aggregate()) == [30.0, 1.0, 1.0]  # the diagonal, twice
    for empty in (
        ProtocolMetric("surface", "hd95_mm", get_not_nans=True),
        BoundaryF1Metric(scores="f1", get_not_nans=True),
    ):
        empty(pred[2:], target[2:], spacing=(3.0, 3.0))
        value, count = empty.aggregate()
        assert math.isnan(value)
        assert float(count) == 0
    f1 = BoundaryF1Metric(scores=("f1", "recall"), get_not_nans=True)
    f1(torch.stack([target[0], pred[1], pred[2]]), target)  # right, false alarm, nothing
    values, counts = f1.aggregate()
    assert (numbers(values), numbers(counts)) == ([0.5, 0.5], [2, 2])


def test_iou_of_windows_is_that_of_their_pixels_together_and_the_boundary_a_mean() -> None:
    pred, target = np.zeros((2, 3, 20, 24), np.int64)
    pred[:2, 4:12, 3:15], target[:2, 5:13, 3:18], pred[0, 14:17, 20:], target[0, :3] = 1, 1, 1, 255
    pred[1, :, :14], target[1, :, :14] = 0, 0
    metric = BuildingMetric(theta=2)
    for found, true in zip(pred, target, strict=True):
        metric(torch.tensor(found)[None, None], torch.tensor(true)[None, None])
    scores = [score_buildings(*maps, 2) for maps in zip(pred, target, strict=True)]
    iou, f1, precision, recall = numbers(metric.aggregate())
    assert iou == pytest.approx(sum(s.intersection for s in scores) / sum(s.union for s in scores))
    assert abs(iou - np.nanmean([s.iou for s in scores])) > 0.01
    for value, name in ((f1, "f1"), (precision, "precision"), (recall, "recall")):
        assert value == pytest.approx(np.mean([getattr(s.boundary, name) for s in scores[:2]]))
    assert precision != recall
    metric.reset()
    metric(torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8))
    assert all(map(math.isnan, metric.aggregate()))


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: ProtocolMetric("brats"), ValueError, "protocol must be one of"),
        (lambda: ProtocolMetric(scores=("dice", "f1")), ValueError,
         r"scores must be names of the protocol 'surface', dice, .*, got \('dice', 'f1'\)"),
        (lambda: BoundaryF1Metric(scores=("f1", "dice")), ValueError, r"among f1, .*, got \('f1', 'dice'\)"),
        (lambda: ProtocolMetric(empty="far"), ValueError, "empty must be"),
        (lambda: ProtocolMetric(tolerance_mm=-1.0), ValueError, "tolerance_mm must be"),
        (lambda: BoundaryF1Metric(0), ValueError, "theta must be finite and > 0, got 0"),
        (lambda: BoundaryF1Metric("3"), TypeError, "theta must be a number, got str"),
        *((lambda wrong=wrong: BoundaryF1Metric(num_classes=2, ignore_index=wrong), TypeError, "must be None or")
          for wrong in (1.5, True, math.nan, "255", [255])),
        *((lambda metric=metric: metric(num_classes=1), ValueError, "num_classes must be an integer >= 2, got 1")
          for metric in METRICS),
        *((lambda metric=metric: metric(ignore_index=2), ValueError, "ignore_index must come with num_classes .* got 2")
          for metric in METRICS),
    ],
)  # fmt: skip
def test_wrong_settings_are_refused(make, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        make()


@pytest.mark.parametrize("metric", METRICS)
def test_wrong_input_is_refused(metric, pair: Pair) -> None:
    pred, target = pair
    for call, text in (
        (lambda: metric()(one_hot(pred, 3), target.expand(-1, 3, -1, -1, -1), spacing=SPACING), "y must be one-hot"),
        (lambda: metric(num_classes=3)(pred, target[:2]), r"of one shape, got \(3, 1, 14, 13, 8\) and \(2, 1, 14, 13"),
        (lambda: metric(num_classes=3)(one_hot(pred, 3), one_hot(target, 3), spacing=SPACING), "num_classes .* got 3"),
        (lambda: metric(num_classes=2)(pred, target, spacing=SPACING), "y_pred must lie in"),
        (lambda: metric(num_classes=3)(list(pred), [target[0]]), "y_pred and y must hold as many cases, got 3 and 1"),
        (lambda: metric(num_classes=3)(pred, list(target[:2])), "y_pred and y must hold as many cases, got 3 and 2"),
        (lambda: metric(num_classes=3)(list(pred[:1]), target), "y_pred and y must hold as many cases, got 1 and 3"),
    ):
        with pytest.raises(ValueError, match=text):
            call()


# The Ignite twins


@pytest.mark.parametrize(
    ("handler", "metric", "settings", "first"),
    [
        (ProtocolScores, ProtocolMetric, {"protocol": "wmh", "num_classes": 3}, "dice"),
        (ProtocolScores, ProtocolMetric, {"protocol": "lesions", "num_classes": 3}, "dice"),
        (BuildingScores, BuildingMetric, {}, "iou"),
    ],
)
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore:Mean of empty slice")
def test_an_evaluator_gets_every_score_under_its_name(handler, metric, settings, first, pair: Pair, tmp_path) -> None:
    pred, target = pair if metric is ProtocolMetric else (maps.clamp(max=1)[..., 0] for maps in pair)
    truths = [MetaTensor(case[None], affine=AFFINE) for case in target]
    loader = [{"image": found[None].float(), "label": true} for found, true in zip(pred, truths, strict=True)]
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"), val_data_loader=loader, network=torch.nn.Identity(), decollate=False, amp=False,
        key_val_metric={"val": handler(from_engine(["pred", "label"]), **settings)},
        val_handlers=[MetricsSaver(str(tmp_path), metric_details="*")],
    )  # fmt: skip
    evaluator.run()
    expected = metric(**settings)
    expected(list(pred), [true[0] for true in truths])
    assert expected.scores[0] == first
    names = ["val", *(f"val_{score}" for score in expected.scores[1:])]
    found = [evaluator.state.metrics[name] for name in names]
    assert found == pytest.approx(numbers(expected.aggregate()), nan_ok=True)
    assert evaluator.state.best_metric == evaluator.state.metrics["val"]
    assert (tmp_path / f"{names[1]}_raw.csv").is_file()
    assert torch.equal(evaluator.state.metric_details[names[1]], expected.get_buffer()[..., 1])


def test_the_handler_starts_anew_in_every_run(pair: Pair) -> None:
    engine = Engine(lambda _, batch: batch)
    ProtocolScores(scores=("dice",), num_classes=3).attach(engine, "dice")
    engine.run([pair])
    engine.run([(pair[1], pair[1])])
    assert engine.state.metrics["dice"] == 1.0


def test_class_that_is_ignored_is_in_neither_mask() -> None:
    labels = torch.arange(3).repeat(1, 1, 6, 6)
    metric = ProtocolMetric("surface", ("dice", "hd95_mm"), num_classes=3, ignore_index=2, spacing=(1.0, 1.0))
    metric(labels, labels)
    np.testing.assert_array_equal(metric.get_buffer()[0], [[1, 0], [math.nan, math.nan]])
    assert math.isnan(score_pair("surface", labels[0, 0].numpy(), labels[0, 0].numpy(), None, 2, 2)["dice"])
    background = BoundaryF1Metric(1.0, num_classes=3, ignore_index=0, include_background=True)
    background(labels, labels)
    assert math.isnan(background.get_buffer()[0, 0, 0])
