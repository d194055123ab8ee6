"""Gradients, compilation, mixed precision and non-finite values of all losses."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_boundary import BoundaryLoss, GeneralizedDiceBoundaryLoss
from monai_boundary.losses import _fused
from tests.losses.samples import labels_like, value_and_gradient

close = torch.testing.assert_close
SHAPES = pytest.mark.parametrize("shape", [(2, 3, 3), (2, 2, 2, 3)], ids=["2d", "3d"])
REDUCTIONS = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
IGNORE = pytest.mark.parametrize("ignore", [None, 2])


def case(shape, channels: int = 2, ignore: int | None = None, dtype=torch.float64):
    logits = torch.randn(shape[0], channels, *shape[1:], dtype=dtype, requires_grad=True)
    labels = labels_like(shape, channels)
    if ignore is not None:
        labels[:, :, 0, :2] = ignore
    return logits, labels


@SHAPES
@REDUCTIONS
@IGNORE
@pytest.mark.parametrize("fused", [True, False])
def test_boundary_loss_passes_gradcheck(shape, reduction, ignore, fused, monkeypatch):
    monkeypatch.setattr(_fused, "_CPU_CHUNK", 5)
    logits, labels = case(shape, ignore=ignore)
    loss = BoundaryLoss(softmax=True, to_onehot_y=True, reduction=reduction, ignore_index=ignore, fused=fused)
    maps = loss.compute_distance_map(labels, logits)
    close(loss(logits, labels), loss(logits, None, maps))
    assert maps.any()
    assert torch.autograd.gradcheck(lambda z: loss(z, None, maps), logits)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("include_background", [True, False])
@pytest.mark.parametrize("fused", [True, False])
def test_boundary_loss_has_second_derivatives(activation, include_background, fused, monkeypatch):
    monkeypatch.setattr(_fused, "_CPU_CHUNK", 5)
    logits, maps = case((2, 2, 3), 3)[0], torch.randn(2, 3, 2, 3, dtype=torch.float64)
    loss = BoundaryLoss(include_background, fused=fused, **{activation: True})
    # squared, so that the gradient of what is above the loss depends on the logits too
    assert torch.autograd.gradcheck(lambda z: loss(z, None, maps) ** 2, logits)
    assert torch.autograd.gradgradcheck(lambda z: loss(z, None, maps) ** 2, logits)


def test_gradient_penalty_of_half_precision_logits_is_the_plain_one():
    logits, maps = torch.randn(2, 3, 4, 5).half().requires_grad_(), torch.randn(2, 2, 4, 5)
    found = []
    for fused in (True, False):
        loss = BoundaryLoss(softmax=True, include_background=False, reduction="sum", fused=fused)
        (gradient,) = torch.autograd.grad(loss(logits, None, maps), logits, create_graph=True)
        assert gradient.dtype == torch.float16
        found.append(torch.autograd.grad(gradient.float().square().sum(), logits)[0])
    assert found[0].any()
    close(found[0], found[1], rtol=1e-2, atol=1e-3)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:FutureWarning")  # torch's own rules of forward mode
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_functional_and_forward_mode_derivatives_are_the_plain_ones(activation):
    logits, maps = case((2, 2, 3), 3)[0].detach(), torch.randn(2, 3, 2, 3, dtype=torch.float64)
    fused, plain = (
        lambda z, form=form: BoundaryLoss(fused=form, **{activation: True})(z, None, maps) for form in (True, False)
    )
    gradient = value_and_gradient(plain, logits)[1]
    close(torch.func.grad(fused)(logits), gradient)
    close(torch.func.hessian(fused)(logits), torch.func.hessian(plain)(logits))
    per_sample = torch.func.vmap(lambda z, m: BoundaryLoss(**{activation: True})(z[None], None, m[None]))(logits, maps)
    close(per_sample.mean(), plain(logits))
    tangent = torch.randn_like(logits)
    for loss in (fused, plain):
        close(torch.func.jvp(loss, (logits,), (tangent,))[1], (gradient * tangent).sum())
        with torch.autograd.forward_ad.dual_level():
            dual = torch.autograd.forward_ad.make_dual(logits, tangent)
            close(torch.autograd.forward_ad.unpack_dual(loss(dual)).tangent, (gradient * tangent).sum())


def compiled(loss):
    torch._dynamo.reset()
    return torch.compile(loss, fullgraph=True, backend="eager")


def test_alpha_set_after_compilation_is_seen_without_another_graph():
    loss = GeneralizedDiceBoundaryLoss(check_map=False)
    logits, labels = case((2, 6, 7), 3, dtype=torch.float32)
    maps, graph = torch.randn(2, 2, 6, 7), compiled(loss)
    graph(logits, labels, maps)
    with torch._dynamo.config.patch(error_on_recompile=True):
        for alpha in (0.3, 0.0, 1.0):
            loss.alpha = alpha
            close(graph(logits, labels, maps), loss(logits, labels, maps))
            region, boundary = loss.region_term, loss.boundary_term
            close(graph(logits, labels, maps).detach(), loss.term_weights[0] * region + loss.term_weights[1] * boundary)


@pytest.fixture(scope="module")
def large() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits, labels and a map of 300 mm at 128^3."""
    labels = torch.zeros(1, 1, 128, 128, 128, dtype=torch.uint8)
    labels[:, :, 60:70, 60:70, 60:70] = 1
    return torch.zeros(1, 2, 128, 128, 128), labels, torch.full((1, 2, 128, 128, 128), 300.0)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize(("kind", "of_map"), [(torch.bfloat16, torch.float32), (torch.float16, torch.float16)])
def test_half_precision_is_finite_and_exact_enough_at_128_cubed(large, fused, kind, of_map):
    logits, labels, maps = large
    loss = GeneralizedDiceBoundaryLoss(alpha=1.0, fused=fused, check_map=False)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=kind == torch.bfloat16):
        value, gradient = value_and_gradient(loss, logits.to(kind), labels, maps.to(of_map))
    assert float(loss.boundary_term) == pytest.approx(150.0, rel=1e-5)
    assert value.isfinite()
    assert gradient.isfinite().all()


def test_gradient_of_half_precision_logits_survives_a_small_weight():
    maps, logits = torch.full((1, 2, 8, 8), 100.0), torch.zeros(1, 2, 8, 8).half()
    maps[:, 0] = 0
    for fused in (True, False):
        loss = BoundaryLoss(softmax=True, fused=fused)
        gradient = value_and_gradient(lambda z, loss=loss: 1e-6 * loss(z, None, maps), logits)[1]
        np.testing.assert_allclose(gradient[0, 1].float(), 25e-6 / 128, rtol=0.3)


@pytest.mark.parametrize("fused", [True, False])
def test_nan_in_the_map_gives_nan(fused):
    maps = torch.ones(1, 2, 4, 4)
    maps[0, 1, 2, 3] = float("nan")
    assert BoundaryLoss(softmax=True, fused=fused)(torch.zeros(1, 2, 4, 4), None, maps).isnan()
