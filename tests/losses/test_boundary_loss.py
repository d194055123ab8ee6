"""BoundaryLoss against MONAI's, against the definition, and its two forms against each other."""

from __future__ import annotations

import itertools

import pytest
import torch
from monai.data import MetaTensor
from monai.networks import one_hot
from torch.utils._python_dispatch import TorchDispatchMode

from monai_boundary import BoundaryF1IoULoss, BoundaryLoss, DistanceMapOptions, RegionBoundaryLoss, signed_distance_map
from monai_boundary.kernels.distance import PUBLISHED, ROBUST, finish
from monai_boundary.kernels.distance.finish import sum_dtype
from monai_boundary.losses import _fused
from tests.losses.samples import labels_like, value_and_gradient
from tests.oracles import monai_boundary_loss

close = torch.testing.assert_close


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and a map `(2, 3, 4, 5, 6)`; the samples differ."""
    return torch.randn(2, 3, 4, 5, 6), 5 * torch.randn(2, 3, 4, 5, 6)


MONAI_ARGUMENTS = [
    pytest.param(
        dict(zip(("include_background", "reduction", "batch"), values, strict=True)), id="-".join(map(str, values))
    )
    for values in itertools.product([True, False], ["mean", "sum", "none"], [False, True])
]
ACTIVATIONS = [{"sigmoid": True}, {"softmax": True}, {"other_act": torch.tanh}, {}]


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=["sigmoid", "softmax", "other_act", "none"])
@pytest.mark.parametrize("arguments", MONAI_ARGUMENTS)
@pytest.mark.parametrize("to_onehot_y", [True, False])
@pytest.mark.parametrize("shape", [(2, 9, 10), (2, 6, 7, 8)], ids=["2d", "3d"])
def test_value_and_gradient_equal_monai(shape, to_onehot_y, arguments, activation):
    logits, target = torch.randn(shape[0], 3, *shape[1:]), labels_like(shape, 3)
    target = target if to_onehot_y else one_hot(target, 3)
    settings = {**arguments, **activation, "to_onehot_y": to_onehot_y}
    ours = value_and_gradient(BoundaryLoss(**settings, options=PUBLISHED), logits, target)
    theirs = value_and_gradient(monai_boundary_loss()(**settings), logits, target)
    close(ours[0], theirs[0], rtol=1e-5, atol=1e-6)
    close(ours[1], theirs[1], rtol=1e-5, atol=1e-5 * float(theirs[1].abs().max()))


def test_maps_of_masks_alone_equal_monai():
    masks = one_hot(labels_like((2, 9, 10), 3), 3)
    masks[0, 0], masks[0, 1], masks[1] = 0, 1, 0  # empty, full, and one voxel
    masks[1, 2, 4, 4] = 1
    ours = BoundaryLoss(include_background=False, options=PUBLISHED).compute_distance_map(masks)
    close(ours, monai_boundary_loss()().compute_distance_map(masks))
    assert ours[1, 2, 4, 4] == 0


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_map_made_by_the_loss_equals_the_map_of_the_kernel(ndim):
    options, spacing = DistanceMapOptions(clip=3.0, balance=0.5), (3.0, 1.0, 0.5)[:ndim]
    logits, labels = torch.randn(2, 3, *(6, 7, 8)[:ndim]), labels_like((2, *(6, 7, 8)[:ndim]), 3)
    loss = BoundaryLoss(softmax=True, to_onehot_y=True, options=options, spacing=spacing)
    maps = torch.stack([signed_distance_map(sample, 3, spacing, clip=3.0, balance=0.5) for sample in labels])
    close(loss(logits, labels), loss(logits, None, maps), rtol=0, atol=0)


def test_chunks_of_several_threads_are_large(monkeypatch):
    # Small ones are several times slower than the plain form where threads wait for each other.
    sizes = {}
    for threads in (1, 2, 8):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        sizes[threads] = _fused.chunk_size()
    assert sizes == {1: 1 << 16, 2: 1 << 20, 8: 1 << 22}


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_buffers_of_the_pass_are_of_the_size_of_a_chunk(activation, monkeypatch):
    monkeypatch.setattr(_fused, "_CPU_CHUNK", 64)
    logits, maps = torch.randn(2, 3, 20, 30, requires_grad=True), torch.randn(2, 3, 20, 30).half()

    class Sizes(TorchDispatchMode):
        largest = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            result = func(*args, **(kwargs or {}))
            if func is torch.ops.aten.empty_like.default:  # the gradient
                known.add(result.untyped_storage().data_ptr())
            elif isinstance(result, torch.Tensor) and result.untyped_storage().data_ptr() not in known:
                self.largest = max(self.largest, result.untyped_storage().nbytes())
            return result

    known = {tensor.untyped_storage().data_ptr() for tensor in (logits, maps)}
    with Sizes() as sizes:
        torch.autograd.grad(_fused.map_sum(logits, maps, sigmoid=activation == "sigmoid"), logits)
    assert sizes.largest <= 64 * 3 * 8


def test_one_pass_is_taken_where_it_applies(batch, monkeypatch):
    def refuse(*_):
        raise AssertionError("fused")

    monkeypatch.setattr("monai_boundary.losses.boundary.map_sum", refuse)
    for activation in ("softmax", "sigmoid"):
        with pytest.raises(AssertionError, match="fused"):
            BoundaryLoss(**{activation: True})(batch[0], None, batch[1])
        for settings in ({"reduction": "none"}, {"fused": False}):
            BoundaryLoss(**{activation: True}, **settings)(batch[0], None, batch[1])
    BoundaryLoss(other_act=torch.tanh)(batch[0], None, batch[1])
    with pytest.warns(UserWarning, match="single channel"):
        BoundaryLoss(softmax=True)(batch[0][:, :1], None, batch[1][:, :1])


def test_one_pass_reads_strided_and_half_precision_maps(batch):
    logits, maps = batch
    expected = BoundaryLoss(softmax=True, fused=False)(logits, None, maps)
    strided = maps.transpose(2, 4).contiguous().transpose(2, 4)
    close(BoundaryLoss(softmax=True)(logits.transpose(1, 2).contiguous().transpose(1, 2), None, strided), expected)
    close(BoundaryLoss(softmax=True)(logits, None, maps.half()), expected, rtol=1e-3, atol=1e-4)
    close(BoundaryLoss(softmax=True)(logits, None, MetaTensor(maps)).as_subclass(torch.Tensor), expected)


@pytest.mark.parametrize("softmax", [True, False])
def test_given_map_spares_the_target(batch, softmax):
    loss = BoundaryLoss(softmax=softmax, to_onehot_y=True)
    expected = loss(batch[0], None, batch[1])
    for target in (torch.full((1,), float("nan")), "not even a tensor"):
        close(loss(batch[0], target, batch[1]), expected, rtol=0, atol=0)


@pytest.mark.parametrize("settings", [{"softmax": True}, {"softmax": True, "include_background": False},
                                      {"softmax": True, "reduction": "none"}, {"sigmoid": True, "reduction": "sum"},
                                      {"sigmoid": True, "batch": True, "reduction": "none"}])  # fmt: skip
def test_offset_makes_the_perfect_prediction_zero(settings):
    labels = labels_like((2, 6, 7), 3)
    maps = torch.stack([signed_distance_map(sample, 3) for sample in labels])
    loss = BoundaryLoss(**settings, offset="zero_at_target")
    perfect = 200.0 * (one_hot(labels, 3) - 0.5)
    close(loss(perfect, None, maps), torch.zeros_like(loss(perfect, None, maps)), rtol=0, atol=1e-6)
    assert (loss(torch.randn(2, 3, 6, 7), None, maps) > 0).all()


def test_absent_class_costs_when_it_is_far():
    labels = torch.zeros(1, 1, 6, 7, dtype=torch.long)
    loss = BoundaryLoss(to_onehot_y=True, include_background=False, options=DistanceMapOptions(absent="far", clip=4.0))
    assert float(loss(torch.full((1, 2, 6, 7), 0.25), labels)) == pytest.approx(1.0)


def test_soft_one_hot_target_is_cut_at_one_half():
    masks = labels_like((2, 6, 7), 2).float()
    loss = BoundaryLoss(sigmoid=True)
    logits = torch.randn(2, 1, 6, 7)
    close(loss(logits, 0.2 + 0.5 * masks), loss(logits, masks))


@pytest.mark.parametrize("fused", [True, False])
def test_maps_get_no_gradient(batch, fused):
    maps = batch[1].requires_grad_(True)
    loss = BoundaryLoss(softmax=True, fused=fused)(batch[0].requires_grad_(True), None, maps)
    assert torch.autograd.grad(loss, maps, allow_unused=True)[0] is None


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_second_backward_through_a_retained_graph_gives_the_same_gradient(activation):
    logits, maps = torch.randn(2, 3, 6, 7, requires_grad=True), torch.randn(2, 3, 6, 7)
    value = 3 * BoundaryLoss(**{activation: True})(logits, None, maps)
    first = torch.autograd.grad(value, logits, retain_graph=True)[0].clone()
    second = torch.autograd.grad(value, logits)[0]
    plain = torch.autograd.grad(3 * BoundaryLoss(fused=False, **{activation: True})(logits, None, maps), logits)[0]
    torch.testing.assert_close(first, plain)
    torch.testing.assert_close(second, plain)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_no_float64_on_devices_without_it(activation, monkeypatch):
    # Without such a device: on the CPU, told that it is one.
    assert sum_dtype(torch.device("mps")) == torch.float32
    for module in (_fused, finish):
        monkeypatch.setattr(module, "sum_dtype", lambda _: torch.float32)

    class NoFloat64(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            result = func(*args, **(kwargs or {}))
            if func.overloadpacket in (torch.ops.aten.sum, torch.ops.aten.zeros):  # not in numbers of Python
                assert result.dtype != torch.float64
            return result

    labels = labels_like((2, 6, 7, 4), 3)
    loss = BoundaryLoss(**{activation: True}, to_onehot_y=activation == "softmax", options=ROBUST, backend="torch")
    target = labels if activation == "softmax" else one_hot(labels, 3)
    logits = torch.zeros(2, 3, 6, 7, 4, requires_grad=True)
    with NoFloat64():
        loss(logits, target).backward()
    for module in (RegionBoundaryLoss(torch.nn.Identity(), loss), BoundaryF1IoULoss()):
        assert [buffer.dtype for buffer in module.buffers()] == [torch.float32]


@pytest.mark.parametrize("settings", [{"ignore_index": 2}, {"include_background": False}, {}])
def test_map_of_the_torch_engine_gives_the_same_loss(settings):
    options = DistanceMapOptions(clip=3.0, balance=0.5)
    logits, labels = torch.randn(2, 3, 6, 7, 8), labels_like((2, 6, 7, 8), 3)
    shared = {"softmax": True, "to_onehot_y": True, "options": options, "spacing": (3.0, 1.0, 0.5), **settings}
    close(*(BoundaryLoss(**shared, backend=name)(logits, labels) for name in ("torch", "edt")))
    masks = one_hot(labels, 3)
    close(*(BoundaryLoss(sigmoid=True, options=options, backend=name)(logits, masks) for name in ("torch", "edt")))


@pytest.mark.usefixtures("imitated_cuda")
def test_map_of_a_cuda_target_stays_on_the_device():
    labels = torch.zeros(2, 1, 6, 7, device="cuda")
    logits = torch.zeros(2, 3, 6, 7, device="cuda")
    for settings, target in (({"to_onehot_y": True}, labels), ({"sigmoid": True}, logits)):
        maps = BoundaryLoss(**settings).compute_distance_map(target, logits)
        assert (maps.device.type, tuple(maps.shape)) == ("cuda", (2, 3, 6, 7))
