"""CrossEntropyBoundaryAwareLoss: presets, schedules, engines, several heads; and the cross-entropy in it."""

from __future__ import annotations

import pytest
import torch
from monai.engines import SupervisedTrainer
from torch.nn import functional as F

from monai_boundary import (
    BoundaryAwareLoss,
    Constant,
    CrossEntropyBoundaryAwareLoss,
    DeepSupervisionLoss,
    Warmup,
    suggest_alpha,
)
from monai_boundary.engines import AlphaScheduleHandler, LossTermsHandler, PrepareBatchTarget, RestoreLabelHandler
from monai_boundary.losses import BinaryCrossEntropyLoss
from tests.losses.samples import cells

close = torch.testing.assert_close


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return cells((8, 12))


def test_plain_cross_entropy_is_torchs(batch):
    close(BinaryCrossEntropyLoss()(*batch[:2]), F.binary_cross_entropy_with_logits(*batch[:2]))
    close(BinaryCrossEntropyLoss()(batch[0], batch[1].bool()), F.binary_cross_entropy_with_logits(*batch[:2]))


def test_balanced_cross_entropy_weighs_each_class_by_the_share_of_the_other_per_sample():
    logits, target = torch.randn(3, 1, 5, 6), (torch.rand(3, 1, 5, 6) < 0.3).float()
    target[2] = 0
    total = 0.0
    for z, y in zip(logits.double(), target.double(), strict=True):
        share = float(y.mean())
        weights = y * (1 - share) + (1 - y) * 1.1 * share
        total += float((weights * (torch.log1p(z.exp()) - y * z)).mean())
    close(float(BinaryCrossEntropyLoss(1.1)(logits, target)), total / 3, rtol=1e-5, atol=0)


@pytest.mark.parametrize("balance", [0, -1.0, float("nan")])
def test_balance_must_be_above_zero(balance):
    with pytest.raises(ValueError, match="balance must be finite and > 0"):
        BinaryCrossEntropyLoss(balance)


PRESETS = {
    "robust": (1.0, None, {"weighting": "mean", "dilation": 3}),
    "paper": (0.1, None, {"weighting": "count", "dilation": 0}),
    "published": (0.1, 1.1, {"weighting": "published", "dilation": 3, "double_sigmoid": True}),
}


@pytest.mark.parametrize("preset", PRESETS)
def test_preset_is_the_sum_it_promises_and_arguments_take_its_place(batch, preset):
    alpha, balance, settings = PRESETS[preset]
    loss = CrossEntropyBoundaryAwareLoss(preset)
    region, boundary = BinaryCrossEntropyLoss(balance)(*batch[:2]), BoundaryAwareLoss(**settings)(*batch)
    close(loss(*batch), region + alpha * boundary)
    close((loss.region_term, loss.boundary_term), (region, boundary))
    assert loss.term_weights == (1.0, alpha)
    own = CrossEntropyBoundaryAwareLoss(preset, alpha=2.0, balanced=False, weighting="mean", dilation=1)
    boundary = BoundaryAwareLoss(**{**settings, "dilation": 1, "weighting": "mean"})(*batch)
    close(own(*batch), BinaryCrossEntropyLoss()(*batch[:2]) + 2 * boundary)


def test_target_of_an_engine_holds_membrane_and_seeds(batch):
    loss = CrossEntropyBoundaryAwareLoss()
    logits, membrane, seeds = batch
    assert loss(logits, {"label": membrane, "seeds": seeds}) == loss(*batch)
    with pytest.raises(ValueError, match=r"target must hold .*, got no seeds among .*put RegionSeedsd into the transf"):
        loss(logits, {"label": membrane, "distance_map": seeds})


def test_nothing_is_cut_while_alpha_is_zero_but_seeds_are_asked_for(batch, monkeypatch):
    loss = CrossEntropyBoundaryAwareLoss()
    loss.term_weights = Warmup(3, Constant(1.0)).weights(2, 10)
    with monkeypatch.context() as patch:
        patch.setattr(BoundaryAwareLoss, "compute_weights", lambda *_: pytest.fail("cut"))
        value = loss(*batch)
    assert value == loss.region(*batch[:2])
    assert loss.boundary_term == 0
    with pytest.raises(ValueError, match="seeds must be given"):
        loss(*batch[:2])
    with pytest.raises(TypeError, match="seeds must hold integers"):
        loss(*batch[:2], batch[2].float())
    loss.term_weights = Warmup(3, Constant(1.0)).weights(3, 10)
    assert loss(*batch) > value


def test_unknown_preset_is_refused():
    with pytest.raises(ValueError, match="preset must be one of 'robust', 'paper', 'published'"):
        CrossEntropyBoundaryAwareLoss("best")


@pytest.mark.parametrize("reduction", ["sum", "none"])
def test_a_reduction_that_the_cross_entropy_lacks_is_refused(reduction):
    with pytest.raises(ValueError, match=f"reduction must be 'mean', as that of the cross-entropy, got '{reduction}'"):
        CrossEntropyBoundaryAwareLoss(reduction=reduction)


def test_alpha_is_suggested_from_the_gradients(batch):
    alpha = suggest_alpha(CrossEntropyBoundaryAwareLoss(), lambda image: image, [batch], 0.5)
    loss = CrossEntropyBoundaryAwareLoss(alpha=alpha)
    leaf = batch[0].clone().requires_grad_(True)
    region, boundary = loss.region(leaf, batch[1]), loss.boundary(leaf, *batch[1:])
    norms = [torch.autograd.grad(term, leaf)[0].norm() for term in (region, boundary)]
    close(norms[0], alpha * norms[1])


def test_engine_trains_with_a_warm_up_and_logs_both_terms(batch):
    events = pytest.importorskip("ignite.engine", reason="pytorch-ignite is not installed").Events
    logits, membrane, seeds = batch
    network = torch.nn.Conv2d(1, 1, 3, padding=1)
    loss, seen = CrossEntropyBoundaryAwareLoss(alpha=0.5), []
    terms = LossTermsHandler(loss, gradient_share=True)
    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=4,
        train_data_loader=[{"image": logits, "label": membrane, "seeds": seeds}] * 2,
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), 0.1),
        loss_function=loss,
        prepare_batch=PrepareBatchTarget("seeds"),
        train_handlers=[RestoreLabelHandler(), AlphaScheduleHandler(loss, Warmup(2, Constant(1.0))), terms],
    )
    trainer.add_event_handler(events.EPOCH_COMPLETED, lambda engine: seen.append(dict(engine.state.metrics)))
    trainer.run()
    assert [row["alpha"] for row in seen] == [0.0, 0.0, 1.0, 1.0]
    assert [row["boundary_term"] > 0 for row in seen] == [False, False, True, True]
    assert [row["boundary_gradient_share"] > 0 for row in seen] == [False, False, True, True]


@pytest.mark.parametrize("shape", [(12,), (8, 12), (4, 8, 12)])
def test_heads_are_enlarged_and_summed(shape):
    logits, membrane, seeds = cells(shape)
    small = logits[(..., *[slice(None, None, 2)] * len(shape))]
    loss = CrossEntropyBoundaryAwareLoss(alpha=0.7)
    mode = {1: "linear", 2: "bilinear", 3: "trilinear"}[len(shape)]
    large = F.interpolate(small, size=shape, mode=mode)
    expected = (2 * loss(logits, membrane, seeds) + loss(large, membrane, seeds)) / 3
    deep = DeepSupervisionLoss(loss)
    close(deep([logits, small], membrane, seeds), expected)
    close(deep([logits, small], {"label": membrane, "seeds": seeds}), expected)
    close(deep(torch.stack([logits, large], 1), membrane, seeds), expected)
    close(deep(logits, membrane, seeds), loss(logits, membrane, seeds))
