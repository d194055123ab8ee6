"""The gradient of every public loss against finite differences in float64; a new loss joins by its name."""

from __future__ import annotations

import pytest
import torch

from monai_boundary.losses import Share
from tests.losses.public import IGNORE, NAMES, Case, make

SHAPES = {"1d": (2, 9), "2d": (2, 4, 5), "3d": (1, 4, 4, 4)}
#: Settings beside mean, by what they are; a loss that has not all of them is left out.
SETTINGS = {
    "sum": {"reduction": "sum"},
    "none, batch": {"reduction": "none", "batch": True},
    "without background": {"include_background": False},
    "share of one term": {"alpha": 0.9},
    "balanced": {"balance": 1.1},
    "squares": {"scale_free": False},
    "specificity": {"lam": 0.8},
    "contour voxels alike": {"dilation": 0, "weighting": "count"},
    "published cut": {"weighting": "published", "double_sigmoid": True},
    "published map": {"preset": "published"},
    "wide windows": {"theta0": 3, "theta": 7, "batch": True},
}


def check(case: Case, **tolerances: float) -> bool:
    return torch.autograd.gradcheck(case, case.logits.requires_grad_(), **tolerances)


@pytest.mark.parametrize("ignore", [None, IGNORE])
@pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("name", sorted(set(NAMES) - {"TopologyLoss"}))
def test_gradcheck(name, shape, kind, ignore):
    assert check(make(name, shape, kind, ignore_index=ignore))


@pytest.mark.parametrize("ignore", [None, IGNORE])
@pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
def test_gradcheck_of_features_in_float32(kind, ignore):
    pytest.importorskip("torchvision", exc_type=ImportError)
    assert check(make("TopologyLoss", (1, 4, 4), kind, ignore_index=ignore), eps=1e-2, atol=1e-2, rtol=2e-2)


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_gradcheck_of_other_settings(settings):
    cases = {name: made(name, settings) for name in sorted(set(NAMES) - {"TopologyLoss"})}
    checked = [name for name, case in cases.items() if case is not None and check(case)]
    assert checked, "no loss takes these settings"


def made(name: str, settings: dict) -> Case | None:
    try:
        return make(name, **settings)
    except (TypeError, ValueError):  # no such argument, or another loss's preset
        return None


def test_a_share_has_no_second_derivative_and_says_so():
    case = make("GeneralizedDiceBoundaryLoss", alpha=Share(0.2))
    (gradient,) = torch.autograd.grad(case(case.logits.requires_grad_()) ** 2, case.logits, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.square().sum().backward()
