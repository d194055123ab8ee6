"""MONAI's own cases of the losses and metrics that this package has, too, and many generated ones.

Inputs and expected values are those of the tests of Project-MONAI/MONAI (Apache-2.0; its wheel does not hold them):
test_generalized_dice_loss.py and test_boundary_loss.py of tests/losses; test_hausdorff_distance.py,
test_surface_distance.py and test_surface_dice.py of tests/metrics.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance, compute_surface_dice
from scipy import ndimage

from monai_boundary import BoundaryLoss, GeneralizedDiceLoss
from monai_boundary.metrics import surface_distances

monai_losses = pytest.importorskip("monai.losses")
INF = math.inf
SPACING = (0.85, 1.2, 0.9)

# Generalized Dice: 10 of the 13 values. Not here: soft_label=True and w_type="simple", which this loss has not, and the
# target without any counted class, where MONAI's value is 0 whatever is predicted.

CROSS, L_SHAPE = [[1.0, -1.0], [-1.0, 1.0]], [[1.0, 0.0], [1.0, 1.0]]
ONES, COLUMN = [[1.0, 1.0], [1.0, 1.0]], [[1.0, 0.0], [1.0, 0.0]]
SOFT = [[[[0.3, 0.4], [0.7, 0.9]]], [[[1.0, 0.1], [0.5, 0.3]]]]
HARD = [[[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]], [[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]]
RAMP = [[[-1.0, 0.0, 1.0], [1.0, 0.0, -1.0]], [[0.0] * 3, [0.0] * 3]]
LABELS = [[[1.0, 0.0, 0.0]], [[1.0, 1.0, 0.0]]]
GENERALIZED_DICE = [
    ({"sigmoid": True, "smooth": 1e-6}, [[CROSS]], [[L_SHAPE]], 0.307576),
    ({"sigmoid": True}, [[CROSS], [CROSS]], [[ONES], [COLUMN]], 0.416597),
    ({}, SOFT, SOFT, 0.307748),
    ({"include_background": False, "to_onehot_y": True, "smooth": 0}, HARD, [[[0, 0, 1.0]], [[0, 1.0, 0]]], 0.0),
    ({"to_onehot_y": True, "sigmoid": True}, RAMP, LABELS, 0.469964),
    ({"to_onehot_y": True, "softmax": True}, RAMP, LABELS, 0.414507),
    ({"to_onehot_y": True, "softmax": True, "reduction": "sum"}, RAMP, LABELS, 0.829015),
    ({"to_onehot_y": True, "softmax": True, "reduction": "none"}, RAMP, LABELS, [0.273476, 0.555539]),
    ({"other_act": torch.tanh}, [[CROSS], [CROSS]], [[ONES], [COLUMN]], 0.99970),
    ({"to_onehot_y": True, "other_act": lambda x: torch.log_softmax(x, 1)}, RAMP, LABELS, -0.097833),
]


@pytest.mark.parametrize(("settings", "pred", "target", "expected"), GENERALIZED_DICE)
def test_generalized_dice(settings, pred, target, expected):
    loss = GeneralizedDiceLoss(**{"smooth": 1e-4, "scale_free": False, **settings})
    found = loss(torch.tensor(pred), torch.tensor(target))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-7)


# Boundary loss: all 23 tests, and the values of MONAI itself where its tests look at the kind of value alone

SQUARE, DIAGONAL = [[2.0, -2.0], [-2.0, 2.0]], [[1.0, 0.0], [0.0, 1.0]]
TWO = [[[2.0, 0.0], [0.0, 2.0]], [[-2.0, 0.0], [0.0, -2.0]]]
BOUNDARY = [
    ({"sigmoid": True}, [[SQUARE]], [[DIAGONAL]]),
    ({"sigmoid": True}, [[[SQUARE] * 2]], [[[DIAGONAL] * 2]]),
    ({"softmax": True}, [TWO], [[DIAGONAL, [[0.0, 1.0], [1.0, 0.0]]]]),
    ({"softmax": True, "to_onehot_y": True}, [TWO], [[[[0, 0], [0, 1]]]]),
    ({"sigmoid": True, "reduction": "none"}, [[SQUARE]], [[DIAGONAL]]),
    ({"sigmoid": True, "reduction": "sum"}, [[SQUARE]], [[DIAGONAL]]),
    ({"sigmoid": True, "include_background": False}, [[SQUARE, SQUARE]], [[DIAGONAL, [[0.0, 1.0], [1.0, 0.0]]]]),
    ({"other_act": torch.tanh}, [[CROSS]], [[DIAGONAL]]),
]


def boundary_loss(**settings) -> BoundaryLoss:
    return BoundaryLoss(preset="published", **settings)


@pytest.fixture
def peer():
    if not hasattr(monai_losses, "BoundaryLoss"):
        pytest.skip("MONAI has had BoundaryLoss since 1.6")
    return monai_losses.BoundaryLoss


@pytest.mark.parametrize(("settings", "pred", "target"), BOUNDARY)
def test_boundary_loss(peer, settings, pred, target):
    given = torch.tensor(pred), torch.tensor(target)
    torch.testing.assert_close(boundary_loss(**settings)(*given), peer(**settings)(*given))


def test_boundary_loss_prefers_the_perfect_prediction(peer):
    corner = torch.zeros(1, 2, 3, 3)
    corner[0, 0, :2, :2] = 1
    moved = corner.roll(1, 3)
    assert boundary_loss()(corner, corner) < boundary_loss()(corner, moved)
    for target in (corner, moved):
        torch.testing.assert_close(boundary_loss()(corner, target), peer()(corner, target))


@pytest.mark.parametrize(("channels", "counted"), [(2, True), (3, False)])
def test_boundary_loss_has_the_shape_of_its_reduction(channels, counted):
    ones = torch.ones(4, channels, 8, 8)
    shapes = {kind: boundary_loss(reduction=kind, include_background=counted)(ones, ones).shape
              for kind in ("mean", "sum", "none")}  # fmt: skip
    assert shapes == {"mean": (), "sum": (), "none": (4, 2)}


@pytest.mark.parametrize("option", [{"softmax": True}, {"include_background": False}, {"to_onehot_y": True}])
def test_boundary_loss_warns_of_options_that_one_channel_has_not(option):
    logits, target = torch.randn(1, 1, 4, 4, requires_grad=True), torch.zeros(1, 1, 4, 4)
    target[..., 1:3, 1:3] = 1
    with pytest.warns(UserWarning, match="single channel"):
        loss = boundary_loss(**option)(logits, target)
    loss.backward()
    assert logits.grad.abs().sum() > 0


def test_boundary_loss_takes_labels_without_a_channel():
    given = torch.randn(2, 3, 4, 4), torch.randint(0, 3, (2, 4, 4))
    loss = boundary_loss(to_onehot_y=True, softmax=True)
    assert loss(*given) == loss(given[0], given[1][:, None])


def test_boundary_loss_has_the_maps_of_empty_full_and_single_voxels():
    loss, one = boundary_loss(), torch.zeros(1, 1, 3, 3)
    for full in (0.0, 1.0):
        assert not loss.compute_distance_map(torch.full((1, 1, 4, 4), full)).any()
    one[0, 0, 1, 1] = 1
    expected = torch.tensor([[2**0.5, 1, 2**0.5], [1, 0, 1], [2**0.5, 1, 2**0.5]])
    torch.testing.assert_close(loss.compute_distance_map(one)[0, 0], expected)


def test_boundary_loss_of_a_batch_is_the_mean_over_it():
    pred = torch.tensor([[DIAGONAL], [[[0.0, 1.0], [1.0, 0.0]]]])
    target = torch.tensor([[ONES], [COLUMN]])
    single, batch = (boundary_loss(reduction="none", batch=kind)(pred, target) for kind in (False, True))
    assert (single.shape, batch.shape) == ((2, 1), (1,))
    torch.testing.assert_close(batch, single.mean(0))


@pytest.mark.parametrize(
    ("settings", "shapes", "error"),
    [
        ({}, ((1, 1, 2, 3), (1, 4, 5, 6)), ValueError),  # MONAI: AssertionError
        ({"sigmoid": True, "softmax": True}, None, ValueError),
        ({"sigmoid": True, "other_act": torch.tanh}, None, ValueError),
        ({"softmax": True, "other_act": torch.tanh}, None, ValueError),
        ({"sigmoid": True, "softmax": True, "other_act": torch.tanh}, None, ValueError),
        ({"reduction": "unknown"}, None, ValueError),
        ({"other_act": "invalid"}, None, TypeError),
        ({}, ((1, 1, 2, 2, 2, 2),) * 2, ValueError),
    ],
)
def test_boundary_loss_refuses(settings, shapes, error):
    with pytest.raises(error):
        boundary_loss(**settings)(*(torch.ones(shape) for shape in shapes or ((1, 1, 3, 3),) * 2))


def test_boundary_loss_takes_one_axis_which_monai_refuses(peer):
    given = torch.ones(1, 1, 10), torch.ones(1, 1, 10)
    assert boundary_loss()(*given).isfinite()
    with pytest.raises(ValueError, match=r"2D .* and 3D"):
        peer()(*given)


def test_boundary_loss_of_an_absent_class_is_finite_and_has_a_gradient(peer):
    pred, target = (torch.tensor([first, second])[None, :, None, None].expand(1, 2, 3, 3)
                    for first, second in ((0.9, 0.1), (1.0, 0.0)))  # fmt: skip
    torch.testing.assert_close(boundary_loss()(pred, target), peer()(pred, target))
    logits = torch.randn(2, 2, 8, 8, requires_grad=True)
    boundary_loss(sigmoid=True)(logits, torch.ones(2, 2, 8, 8)).backward()
    assert logits.grad.isfinite().all()


def test_boundary_loss_is_not_the_hausdorff_loss():
    given, peer = (torch.tensor([[SQUARE]]), torch.tensor([[DIAGONAL]])), monai_losses.HausdorffDTLoss(sigmoid=True)
    with pytest.warns(UserWarning, match="single channel"):  # by MONAI's default
        theirs = peer(*given)
    assert float(boundary_loss(sigmoid=True)(*given)) != pytest.approx(float(theirs), abs=1e-3)


# Surface metrics: every Euclidean case of MONAI's tests; this package has no other distance


def ball(radius: float = 20, centre: tuple = (49, 49, 49), spacing: tuple = (1.0, 1.0, 1.0)) -> np.ndarray:
    """Voxels of 99^3 within `radius` of `centre`, both in mm; without voxels for radius 0."""
    axes = (np.arange(99) * size - at for size, at in zip(spacing, centre, strict=True))
    squares = [axis**2 for axis in np.ix_(*axes)]
    return (squares[0] + squares[1] + squares[2] <= radius**2) & (radius > 0)


NEAR, FAR = (20, (20, 33, 22)), (40, (20, 33, 22))
#: Balls of prediction and target, spacing, percentile; from the prediction alone, both ways
HAUSDORFF = [
    ((20,), (20,), None, 1, 0, 0),
    ((20, (20, 20, 20)), (20, (19, 19, 19)), None, None, math.sqrt(3), math.sqrt(3)),
    ((33, (19, 33, 22)), (33, (20, 33, 22)), None, None, 1, 1),
    (NEAR, FAR, None, None, 20.09975124224178, 20.223748416156685),
    ((0,), FAR, None, None, INF, INF),
    ((20,), (0,), None, None, INF, INF),
    (NEAR, FAR, None, 95, 19.924858845171276, 20.09975124224178),
    ((20, (20, 20, 20)), (20, (19, 19, 19)), SPACING, None, 2.0808651447296143, 2.2671568),
    ((15, (20, 33, 22)), (30, (20, 33, 22)), SPACING, None, 15.439640998840332, 15.62594),
]
#: The same; mean of both ways, and from the prediction alone
AVERAGE = [
    ((20,), (20,), None, 0, 0),
    ((33, (19, 33, 22)), (33, (20, 33, 22)), None, 0.350217, 0.3483278807706289),
    (NEAR, FAR, None, 15.117741, 12.040033513150455),
    ((0,), FAR, None, INF, INF),
    ((33, (42, 45, 52)), (33, (43, 45, 52)), SPACING, 0.4951, 0.4951),
]


def measured(distance: float) -> float:
    """What MONAI says of a distance that there is not."""
    return INF if math.isnan(distance) else distance


@pytest.mark.parametrize(("pred", "target", "spacing", "percentile", "directed", "both"), HAUSDORFF)
def test_hausdorff_distance(pred, target, spacing, percentile, directed, both):
    size = spacing or (1.0, 1.0, 1.0)
    found = surface_distances(*(ball(*one, **({"spacing": size})) for one in (pred, target)), size)
    assert measured(found.hausdorff_mm(percentile, empty="nan")) == pytest.approx(both, rel=1e-6)
    if both < INF:
        one_way = np.percentile(found.pred_to_target, 100 if percentile is None else percentile)
        assert one_way == pytest.approx(directed, rel=1e-6)


@pytest.mark.parametrize(("pred", "target", "spacing", "both", "directed"), AVERAGE)
def test_average_surface_distance(pred, target, spacing, both, directed):
    size = spacing or (1.0, 1.0, 1.0)
    found = surface_distances(*(ball(*one, **({"spacing": size})) for one in (pred, target)), size)
    assert measured(found.average_mm(empty="nan")) == pytest.approx(both, rel=2e-5)
    if both < INF:
        assert found.pred_to_target.mean() == pytest.approx(directed, rel=2e-5)


def half(shape: tuple[int, ...], start: int) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[..., start:] = True
    return mask


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.85, 1.2)])
def test_surface_dice_of_halves_of_an_image(spacing):
    masks = half((480, 640), 50), half((480, 640), 60)
    missed, rims = 478 + 480 + 9 * 2, ((588, 578), (48, 58))
    for pair, sides in zip((masks, [~mask for mask in masks]), rims, strict=True):
        found = surface_distances(*pair, spacing)
        scores = [found.surface_dice(tolerance) for tolerance in (0, 1, 9, 10, 11, 12, 13)]
        assert scores[0] == pytest.approx(1 - missed / (480 * 4 + 2 * sum(sides)))
        wide = spacing == (0.85, 1.2)
        assert scores == sorted(scores)
        assert len(set(scores)) == (6 if wide else 4)  # all of it lies within 12 mm, and within 10
        assert scores[5 if wide else 3 :] == [1] * (2 if wide else 4)


def test_surface_dice_of_halves_of_a_volume():
    masks = half((200, 110, 80), 20), half((200, 110, 80), 30)
    missed = 200 * 110 + 198 * 108 + 9 * 200 * 2 + 9 * 108 * 2
    for pair, sides in zip((masks, [~mask for mask in masks]), (58 + 48, 28 + 18), strict=True):
        found = surface_distances(*pair)
        whole = 200 * 110 * 4 + sides * 200 * 2 + sides * 108 * 2
        assert found.surface_dice(0) == pytest.approx(1 - missed / whole)
        assert found.surface_dice(0) < found.surface_dice(1) < found.surface_dice(10) == found.surface_dice(11) == 1


@pytest.mark.parametrize(("tolerances", "beyond"), [((0, 0), (12, 6)), ((2.8, 5.5), (3, 4)), ((3, 6), (1, 2))])
def test_surface_dice_of_two_short_lines(tolerances, beyond):
    pred, target = np.zeros((2, 10, 10), bool)
    pred[1:4, 1], target[5:8, 6] = True, True
    for pair, tolerance, count, whole in zip(
        ((~pred, ~target), (pred, target)), tolerances, beyond, (84, 6), strict=True
    ):
        assert surface_distances(*pair).surface_dice(tolerance) == pytest.approx(1 - count / whole)


def test_surface_dice_of_a_class_on_no_side_is_nan():
    assert math.isnan(surface_distances(*np.zeros((2, 8, 8), bool)).surface_dice(1))


# Generated


@pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")
@pytest.mark.parametrize("seed", range(40))
def test_surface_metrics_of_random_masks(seed):
    rng, ndim = np.random.default_rng(seed), 2 + seed % 2
    shape, spacing = tuple(rng.integers(6, 28, ndim)), tuple(rng.uniform(0.3, 4, ndim))
    field = ndimage.gaussian_filter(rng.standard_normal(shape), rng.uniform(0.4, 2))
    other = field + rng.uniform(0.2, 2) * ndimage.gaussian_filter(rng.standard_normal(shape), 1)
    masks = [
        one > np.quantile(one, share) for one, share in zip((field, other), rng.uniform(0.3, 0.95, 2), strict=True)
    ]
    found = surface_distances(*masks, spacing)
    given = [torch.from_numpy(mask[None, None].astype(np.float32)) for mask in masks]
    common = {"include_background": True, "spacing": spacing}
    for percentile in (None, 50, 95):
        expected = float(compute_hausdorff_distance(*given, percentile=percentile, **common))
        assert found.hausdorff_mm(percentile) == pytest.approx(expected, rel=1e-5)
    expected = float(compute_average_surface_distance(*given, symmetric=True, **common))
    assert found.average_mm() == pytest.approx(expected, rel=1e-5)
    # at a distance itself this package has a slack of 1e-5
    steps = np.unique(np.concatenate([found.pred_to_target, found.target_to_pred]).round(3))
    for tolerance in rng.permutation((steps[1:] + steps[:-1]) / 2)[:3]:
        expected = float(compute_surface_dice(*given, [tolerance], **common))
        assert found.surface_dice(tolerance) == pytest.approx(expected, rel=1e-6)
