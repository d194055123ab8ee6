"""Networks with several heads in MONAI's trainer, against a loop and a loss written by hand."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from monai.data import DataLoader
from monai.networks.nets import DynUNet, SegResNetDS
from torch import nn

from monai_boundary import DeepSupervisionLoss, GeneralizedDiceBoundaryLoss, Increase
from tests.engines.test_engines import Run, samples
from tests.losses.test_deep_supervision_heads import DEFAULT, by_hand

# MONAI and Ignite, not this package
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


def dyn_unet() -> DynUNet:
    kernels, strides = [3, 3, 3, 3], [1, 2, 2, 2]
    return DynUNet(2, 1, 2, kernels, strides, strides[1:], filters=[4, 4, 8, 8], deep_supervision=True, deep_supr_num=2)


def seg_res_net() -> SegResNetDS:
    return SegResNetDS(2, init_filters=4, in_channels=1, out_channels=2, blocks_down=(1, 1, 1, 1), dsdepth=3)


def run_with(network: nn.Module, loss: DeepSupervisionLoss, watched: nn.Module, **options) -> Run:
    sgd = torch.optim.SGD(network.parameters(), 0.1)
    schedule = Increase(start=0.3, end=0.3)
    run = Run(schedule, max_epochs=1, net=network, loss=loss, watched=watched, optimizer=sgd, **options)
    run.trainer.run()
    return run


def plain(batch: dict) -> list[torch.Tensor]:
    return [batch[key].as_subclass(torch.Tensor) for key in ("image", "label", "distance_map")]


def heads_of(network: nn.Module, image: torch.Tensor) -> list[torch.Tensor]:
    output = network.train()(image)
    heads = list(output.unbind(1) if isinstance(output, torch.Tensor) else output)
    assert len(heads) == 3
    return heads


@pytest.mark.parametrize("schedule_sets", ["outer", "inner"])
@pytest.mark.parametrize("make", [dyn_unet, seg_res_net])
def test_networks_with_heads_train_in_the_engine_as_in_a_loop_by_hand(make, schedule_sets: str):
    network, inner = make(), GeneralizedDiceBoundaryLoss()
    loss, copied = DeepSupervisionLoss(inner), copy.deepcopy(network)
    run = run_with(network, loss, loss if schedule_sets == "outer" else inner)
    optimizer, terms = torch.optim.SGD(copied.parameters(), 0.1), []
    for image, label, maps in map(plain, DataLoader(samples(), batch_size=2)):
        optimizer.zero_grad()
        heads = heads_of(copied, image)
        dice = by_hand(DEFAULT, heads, label, maps, alpha=0.0)
        boundary = by_hand(DEFAULT, heads, label, maps, alpha=1.0) - 0.1 * dice  # region weight never below 0.1
        terms.append((dice.item(), boundary.item()))
        (dice + 0.3 * boundary).backward()
        optimizer.step()
    assert len(run.losses) == 2
    for trained, expected in zip(network.parameters(), copied.parameters(), strict=True):
        torch.testing.assert_close(trained, expected, rtol=1e-4, atol=1e-5)
    metrics = run.metrics[0]
    assert (metrics["region_weight"], metrics["alpha"]) == (1.0, 0.3)
    assert (metrics["region_term"], metrics["boundary_term"]) == pytest.approx(np.mean(terms, axis=0), rel=1e-4)
    assert loss(network.eval()(image), label, maps).isfinite()


@pytest.mark.parametrize("weights", [None, (0.7, 0.3, 0.0)])
@pytest.mark.parametrize("make", [dyn_unet, seg_res_net])
def test_the_share_of_the_gradient_is_that_at_the_first_head(make, weights):
    network = make()
    loss, copied = DeepSupervisionLoss(GeneralizedDiceBoundaryLoss(), weights), copy.deepcopy(network)
    run = run_with(network, loss, loss, gradient_share=True)
    image, label, maps = plain(next(iter(DataLoader(samples(), batch_size=2))))
    heads = [head.detach().requires_grad_() for head in heads_of(copied, image)]
    norms = []
    for alpha in (0.0, 1.0):
        value = by_hand(weights or DEFAULT, heads, label, maps, alpha)
        if alpha:
            value = 0.3 * (value - 0.1 * by_hand(weights or DEFAULT, heads, label, maps, 0.0))
        norms.append(float(torch.autograd.grad(value, heads[0])[0].norm()))
    assert run.metrics[0]["boundary_gradient_share"] == pytest.approx(norms[1] / sum(norms), rel=1e-4)
