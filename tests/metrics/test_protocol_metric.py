"""The MONAI metric and its Ignite twin, against MONAI's own metrics and the functional form."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from monai.data import MetaTensor
from monai.engines import SupervisedEvaluator
from monai.handlers import MetricsSaver, from_engine
from monai.metrics import DiceMetric, HausdorffDistanceMetric, SurfaceDiceMetric
from monai.metrics import SurfaceDistanceMetric as MonaiSurfaceDistanceMetric
from monai.networks.utils import one_hot
from scipy import ndimage

from monai_boundary.metrics import (
    PROTOCOLS,
    BoundaryF1Metric,
    LesionMetric,
    ProtocolMetric,
    SurfaceDistanceMetric,
    lesion_counts,
    score_pair,
    surface_distances,
)
from monai_boundary.metrics.ignite import ProtocolScores
from monai_boundary.transforms.spacing import MissingSpacingWarning

SPACING = (1.5, 1.0, 4.0)
DEPRECATED_INSIDE_MONAI = pytest.mark.filterwarnings("ignore:monai.metrics.utils get_mask_edges:FutureWarning")


def label_maps(seed: int, cases: int = 3, shape: tuple[int, ...] = (14, 13, 8), classes: int = 3) -> torch.Tensor:
    """Smooth random label maps `(B, 1, *S)`, every class in each."""
    noise = np.random.default_rng(seed).normal(size=(cases, *shape))
    smooth = np.stack([ndimage.gaussian_filter(case, 1.5) for case in noise])
    edges = np.quantile(smooth, np.linspace(0, 1, classes + 1)[1:-1])
    return torch.from_numpy(np.digitize(smooth, edges))[:, None]


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    return label_maps(0), label_maps(1)


@DEPRECATED_INSIDE_MONAI
@pytest.mark.parametrize("reduction", ["mean", "mean_batch", "mean_channel", "sum", "none"])
def test_equals_monais_metrics(reduction: str, pair: tuple[torch.Tensor, torch.Tensor]) -> None:
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


@DEPRECATED_INSIDE_MONAI
def test_the_average_distance_lies_between_those_of_the_two_sides(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    pred, target = (one_hot(labels, 3) for labels in pair)
    sides = []
    for first, second in ((pred, target), (target, pred)):
        metric = MonaiSurfaceDistanceMetric(include_background=False, reduction="none")
        metric(first, second, spacing=SPACING)
        sides.append(metric.aggregate())
    ours = ProtocolMetric("surface", "average_mm", reduction="none")
    ours(pred, target, spacing=SPACING)
    found = ours.aggregate()
    assert (found <= torch.maximum(*sides) + 1e-5).all()
    assert (found >= torch.minimum(*sides) - 1e-5).all()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_label_maps_give_the_functional_form_case_by_case(
    protocol: str, pair: tuple[torch.Tensor, torch.Tensor]
) -> None:
    metric = ProtocolMetric(protocol, num_classes=3, reduction="none")
    for pred, target in zip(*pair, strict=True):  # batches of one, and lists
        metric([pred], [target], spacing=SPACING)
    assert metric.scores == (*PROTOCOLS[protocol], "missed")
    found = torch.stack(metric.aggregate(), -1)
    assert found.shape == (3, 2, len(metric.scores))
    for case, label in np.ndindex(3, 2):
        pred, target = (labels[case, 0].numpy() for labels in pair)
        expected = score_pair(protocol, pred, target, SPACING, label + 1, slice_axis=2)
        assert found[case, label, :-1].tolist() == pytest.approx(list(expected.values()))


def test_wmh_slices_lie_along_the_last_axis_of_monais_arrays() -> None:
    pred, target = label_maps(2, cases=8, classes=9), label_maps(3, cases=8, classes=9)
    metric = ProtocolMetric("wmh", "hd95_mm", num_classes=9, reduction="none")
    metric(pred, target, spacing=SPACING)
    pairs = [[labels[case, 0].numpy() for labels in (pred, target)] for case in range(8)]
    upright = [[np.moveaxis(labels, 2, 0) for labels in pair] for pair in pairs]
    expected = [score_pair("wmh", *pair, (4.0, 1.5, 1.0))["hd95_mm"] for pair in upright]
    assert metric.aggregate()[:, 0].tolist() == pytest.approx(expected)
    assert [score_pair("wmh", *pair, SPACING)["hd95_mm"] for pair in pairs] != pytest.approx(expected)


def test_spacing_comes_from_the_target(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    pred, target = pair
    affine = torch.diag(torch.tensor([*SPACING, 1.0], dtype=torch.float64))
    expected = ProtocolMetric("surface", "hd95_mm", num_classes=3)
    expected(pred, target, spacing=SPACING)
    metric = ProtocolMetric("surface", "hd95_mm", num_classes=3)
    metric(list(pred), [MetaTensor(case, affine=affine) for case in target])
    assert metric.aggregate() == expected.aggregate()
    with pytest.warns(MissingSpacingWarning, match="distances are in voxels"):
        metric(pred, target)


def test_scores_without_unit_ask_for_no_spacing(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    metric = ProtocolMetric("wmh", ("dice", "lesion_f1", "missed"), num_classes=3)
    metric(*pair)  # a warning would be an error
    assert len(metric.aggregate()) == 3


def test_ignored_voxels_do_not_count() -> None:
    target = torch.zeros(1, 1, 6, 6, dtype=torch.int64)
    target[..., :2, :], target[..., 2:4, :] = 1, 2
    pred = (target > 0).long()
    metric = ProtocolMetric("wmh", ("dice", "false_alarm"), num_classes=2, ignore_index=2)
    metric(pred, target)
    assert [float(value) for value in metric.aggregate()] == [1.0, 0.0]
    metric.reset()
    metric(pred, torch.where(target == 1, 0, target))
    assert [float(value) for value in metric.aggregate()] == [0.0, 1.0]
    metric.reset()
    metric((target == 2).long(), torch.where(target == 1, 0, target))
    assert math.isnan(metric.aggregate()[0])
    assert float(metric.aggregate()[1]) == 0.0


def test_misses_keep_a_bad_score_and_nothing_is_no_zero() -> None:
    target = torch.zeros(3, 1, 3, 4, dtype=torch.int64)
    target[0, 0, 1, 1] = 1
    pred = torch.zeros_like(target)
    pred[1, 0, 2, 2] = 1
    metric = ProtocolMetric("surface", ("hd95_mm", "missed", "false_alarm"), num_classes=2, reduction="sum")
    metric(pred, target, spacing=(3.0, 3.0))
    assert [float(value) for value in metric.aggregate()] == [30.0, 1.0, 1.0]  # the diagonal, twice
    empty = ProtocolMetric("surface", "hd95_mm", num_classes=2, get_not_nans=True)
    empty(pred[2:], target[2:], spacing=(3.0, 3.0))
    value, count = empty.aggregate()
    assert math.isnan(value)
    assert float(count) == 0


@pytest.mark.parametrize("metric", [ProtocolMetric, SurfaceDistanceMetric, LesionMetric, BoundaryF1Metric])
def test_one_channel_is_a_mask_in_every_metric(metric) -> None:
    target = torch.zeros(1, 1, 9, 9)
    target[..., 2:5, 2:5] = 1
    spacing = {"spacing": (1.0, 1.0)}
    mask, labels = metric(), metric(num_classes=2)
    mask(target.roll(2, -1), target, **spacing)
    labels(target.roll(2, -1), target, **spacing)
    values = torch.stack(mask.aggregate())
    torch.testing.assert_close(values, torch.stack(labels.aggregate()))
    assert values.isfinite().all()
    for wrong in (255 * target, target * torch.nan, target / 2):
        with pytest.raises(ValueError, match="y must be one-hot, got other values than 0 and 1"):
            metric()(target, wrong, **spacing)


def test_surface_and_lesion_metric_are_the_functional_form(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    surface, lesions = SurfaceDistanceMetric(num_classes=3, reduction="none"), LesionMetric(num_classes=3)
    surface(*pair, spacing=SPACING)
    lesions(*pair)
    pred, target = (labels[1, 0].numpy() == 2 for labels in pair)
    distances = surface_distances(pred, target, SPACING)
    assert [float(value[1, 1]) for value in surface.aggregate()] == pytest.approx(
        [distances.hausdorff_mm(95), distances.hausdorff_mm(), distances.average_mm(), distances.surface_dice(1.0)]
    )
    counts = [
        lesion_counts(*(labels[case, 0].numpy() == label for labels in pair)) for case in range(3) for label in (1, 2)
    ]
    assert float(lesions.aggregate()[0]) == pytest.approx(np.mean([one.recall for one in counts]))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"protocol": "brats"}, "protocol must be one of"),
        ({"scores": ("dice", "f1")}, r"scores must be names of the protocol 'surface', dice, .*, got \('dice', 'f1'\)"),
        ({"num_classes": 1}, "num_classes must be an integer >= 2, got 1"),
        ({"ignore_index": 2}, "ignore_index must come with num_classes"),
        ({"empty": "far"}, "empty must be"),
        ({"tolerance_mm": -1.0}, "tolerance_mm must be"),
    ],
)
def test_wrong_settings_are_refused(options: dict, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        ProtocolMetric(**options)


def test_wrong_input_is_refused(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    pred, target = pair
    with pytest.raises(ValueError, match="y must be one-hot, got other values"):
        ProtocolMetric()(one_hot(pred, 3), target.expand(-1, 3, -1, -1, -1), spacing=SPACING)
    with pytest.raises(ValueError, match=r"of one shape, got \(3, 1, 14, 13, 8\) and \(2, 1, 14, 13, 8\)"):
        ProtocolMetric(num_classes=3)(pred, target[:2], spacing=SPACING)
    with pytest.raises(ValueError, match="one channel when num_classes is given, got 3"):
        ProtocolMetric(num_classes=3)(one_hot(pred, 3), one_hot(target, 3), spacing=SPACING)
    with pytest.raises(ValueError, match="labels must lie in"):
        ProtocolMetric(num_classes=2)(pred, target, spacing=SPACING)
    with pytest.raises(ValueError, match="must have been called before aggregate"):
        ProtocolMetric().aggregate()


# The Ignite twin


def test_the_handler_logs_every_score_and_the_cases(pair: tuple[torch.Tensor, torch.Tensor], tmp_path) -> None:
    settings = {"protocol": "wmh", "num_classes": 3}
    loader = [{"image": pred[None].float(), "label": target[None]} for pred, target in zip(*pair, strict=True)]
    affine = torch.diag(torch.tensor([*SPACING, 1.0], dtype=torch.float64))
    for batch in loader:
        batch["label"] = MetaTensor(batch["label"], affine=affine)
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"), val_data_loader=loader, network=torch.nn.Identity(), decollate=False,
        key_val_metric={"val_dice": ProtocolScores(from_engine(["pred", "label"]), **settings)},
        val_handlers=[MetricsSaver(str(tmp_path), metric_details="*")],
    )  # fmt: skip
    evaluator.run()
    expected = ProtocolMetric(**settings)
    expected(*pair, spacing=SPACING)
    names = ["val_dice", *(f"val_dice_{score}" for score in expected.scores[1:])]
    found = [evaluator.state.metrics[name] for name in names]
    assert found == pytest.approx([float(value) for value in expected.aggregate()], nan_ok=True)
    assert evaluator.state.best_metric == pytest.approx(found[0])
    assert (tmp_path / "val_dice_hd95_mm_raw.csv").is_file()
    details = evaluator.state.metric_details["val_dice_hd95_mm"]
    assert details.shape == (3, 2)


def test_the_handler_starts_anew_in_every_run(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    engine = Engine(lambda _, batch: batch)
    ProtocolScores(scores=("dice",), num_classes=3).attach(engine, "dice")
    engine.run([pair])
    engine.run([(pair[1], pair[1])])
    assert engine.state.metrics["dice"] == 1.0
