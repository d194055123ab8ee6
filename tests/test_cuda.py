"""What only a CUDA device can show; every test here skips without one. `python -m benchmarks.gpu` measures there."""

from __future__ import annotations

import pytest
import torch

from monai_boundary import BoundaryLoss, DistanceMapOptions, distance_transform, signed_distance
from monai_boundary.kernels.distance import ROBUST, batch_labels_map

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")

SPACING = (3.0, 1.0, 0.7)
OPTIONS = [DistanceMapOptions(), ROBUST, DistanceMapOptions(convention="kervadec", normalize="max")]


@pytest.fixture
def labels() -> torch.Tensor:
    """Labels `(2, 1, 40, 70, 50)` with few foreground voxels."""
    return torch.randint(1, 4, (2, 1, 40, 70, 50)) * (torch.rand(2, 1, 40, 70, 50) < 0.01)


def device_maps(labels: torch.Tensor, options: DistanceMapOptions, ignore_index: int | None = None) -> torch.Tensor:
    return batch_labels_map(labels.cuda(), 4, SPACING, options, False, ignore_index)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("ignore_index", [None, 2])
def test_maps_on_the_device_equal_edt(labels, options, ignore_index):
    found = device_maps(labels, options, ignore_index)
    assert found.is_cuda
    expected = batch_labels_map(labels, 4, SPACING, options, False, ignore_index, "edt")
    assert float((found.cpu() - expected).abs().max()) <= 1e-4


@pytest.mark.parametrize("ignore_index", [None, 2])
def test_the_host_waits_for_nothing(labels, ignore_index):
    loss = BoundaryLoss(softmax=True, to_onehot_y=True, options=ROBUST, spacing=SPACING, ignore_index=ignore_index)
    logits = torch.randn(2, 4, 40, 70, 50, device="cuda", requires_grad=True)
    there = labels.cuda()
    loss(logits, there).backward()  # compiles
    torch.cuda.set_sync_debug_mode("error")
    try:
        loss(logits, there).backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("ignore_index", [None, 2])
def test_peak_memory_is_below_three_times_the_maps(options, ignore_index):
    labels = torch.randint(0, 4, (2, 1, 96, 96, 96), device="cuda")
    device_maps(labels, options, ignore_index)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    maps = device_maps(labels, options, ignore_index)
    assert torch.cuda.max_memory_allocated() - before < 3 * maps.untyped_storage().nbytes()


def test_a_graph_replays_the_maps_of_new_labels(labels):
    there = labels.cuda()
    device_maps(there, ROBUST)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        maps = device_maps(there, ROBUST)
    there.copy_(labels.flip(2))
    graph.replay()
    torch.testing.assert_close(maps, device_maps(labels.flip(2), ROBUST), rtol=0, atol=0)


def test_single_masks_stay_on_the_device(labels):
    mask = labels[0, 0] > 0
    for function in (signed_distance, distance_transform):
        found = function(mask.cuda(), SPACING)
        assert found.is_cuda
        torch.testing.assert_close(found.cpu(), function(mask, SPACING), rtol=0, atol=1e-4)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("shape", [(2, 4, 40, 70, 50), (1, 16, 33, 41), (3, 2, 5)])
def test_boundary_term_on_the_device_equals_the_plain_one_in_float64(shape, dtype, activation):
    logits = torch.randn(shape, device="cuda").to(dtype).requires_grad_()
    maps = (10 * torch.randn(shape, device="cuda")).half()
    settings = {activation: True, "include_background": False, "reduction": "sum"}
    value = BoundaryLoss(**settings)(logits, None, maps)
    slope = torch.autograd.grad(value, logits)[0]
    exact = logits.detach().double().requires_grad_()
    expected = BoundaryLoss(**settings, fused=False)(exact, None, maps.double())
    scale, precision = float(maps.abs().double().sum()) / logits[0, 0].numel(), max(1e-6, 2 * torch.finfo(dtype).eps)
    assert abs(float(value.detach()) - float(expected)) <= 1e-6 * scale
    wanted = torch.autograd.grad(expected, exact)[0]
    largest = float(wanted.abs().max())
    torch.testing.assert_close(slope.double(), wanted, rtol=precision, atol=precision * largest)


def test_the_host_waits_for_nothing_in_the_boundary_term_with_maps():
    logits = torch.randn(2, 4, 40, 70, 50, device="cuda", requires_grad=True)
    maps = torch.randn(2, 4, 40, 70, 50, device="cuda")
    for activation in ("softmax", "sigmoid"):
        loss = BoundaryLoss(**{activation: True})
        loss(logits, None, maps).backward()  # compiles
        torch.cuda.set_sync_debug_mode("error")
        try:
            loss(logits, None, maps).backward()
        finally:
            torch.cuda.set_sync_debug_mode("default")
