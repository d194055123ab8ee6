"""Box pooling against torch's, bit by bit, and the soft boundary against its definition."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from monai_boundary.kernels import boundary_band, box_max_pool, box_min_pool, soft_boundary
from tests.strategies import any_masks

TORCH = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
SHAPES = pytest.mark.parametrize("shape", [(2, 3, 9), (2, 2, 6, 11), (2, 2, 5, 6, 7), (1, 1, 1, 4, 1)], ids=str)
WINDOWS = pytest.mark.parametrize("window", [1, 3, 5, 7, 9, 31])


def naive(values: torch.Tensor, window: int) -> torch.Tensor:
    return TORCH[values.ndim - 2](values, window, stride=1, padding=window // 2)


def gradients(pool, values: torch.Tensor, window, weights: torch.Tensor) -> torch.Tensor:
    leaf = values.clone().requires_grad_(True)
    return torch.autograd.grad(pool(leaf, window), leaf, weights)[0]


@SHAPES
@WINDOWS
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("ties", [False, True])
def test_value_and_gradient_are_bit_identical_to_torch(shape, window, dtype, ties):
    values, weights = torch.randn(shape).to(dtype), torch.randn(shape).to(dtype)
    values = values.round() if ties else values
    assert torch.equal(box_max_pool(values, window), naive(values, window))
    assert torch.equal(box_max_pool(values.requires_grad_(True), window), naive(values, window))
    ours, theirs = (gradients(pool, values.detach(), window, weights) for pool in (box_max_pool, naive))
    assert torch.equal(ours, theirs)


def test_one_width_per_axis_equals_torch():
    values = torch.randn(1, 2, 5, 6, 7)
    assert torch.equal(box_max_pool(values, (1, 5, 3)), F.max_pool3d(values, (1, 5, 3), 1, (0, 2, 1)))


@WINDOWS
def test_min_pool_is_max_pool_upside_down(window):
    values = torch.randn(2, 2, 6, 7)
    assert torch.equal(box_min_pool(values, window), -naive(-values, window))


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64])
def test_integers_and_masks_pool_as_scipy_filters(dtype, rng):
    array = rng.integers(0, 2 if dtype == torch.bool else 250, (5, 6, 7))
    values = torch.from_numpy(array).to(dtype)[None, None]
    for pool, filtered in ((box_max_pool, ndimage.maximum_filter), (box_min_pool, ndimage.minimum_filter)):
        assert pool(values, 3).dtype == dtype
        np.testing.assert_array_equal(pool(values, 3)[0, 0].int(), filtered(array, 3, mode="nearest"))


def test_border_is_that_of_minus_infinity():
    values = torch.full((1, 1, 4, 4), -3.0)
    values[0, 0, 0, 0] = -torch.inf
    assert torch.equal(box_max_pool(values, 3), naive(values, 3))
    padded = F.max_pool2d(F.pad(values, (1, 1, 1, 1), value=0.0), 3, 1)
    assert not torch.equal(box_max_pool(values, 3), padded)


def test_gradient_of_ties_goes_to_the_first_in_memory_order():
    values, weights = torch.zeros(1, 1, 3, 3), torch.zeros(1, 1, 3, 3)
    weights[0, 0, 1, 1] = 1
    assert gradients(box_max_pool, values, 3, weights).flatten().nonzero().tolist() == [[0]]


def test_nan_wins_and_stays_in_its_windows():
    values = torch.zeros(1, 1, 7)
    values[0, 0, 3] = torch.nan
    expected = [False, False, True, True, True, False, False]
    assert box_max_pool(values, 3)[0, 0].isnan().tolist() == expected
    assert box_max_pool(values.requires_grad_(True), 3)[0, 0].isnan().tolist() == expected


@pytest.mark.parametrize("shape", [(1, 2, 9), (1, 2, 4, 5), (1, 1, 3, 4, 5)], ids=str)
def test_first_and_second_derivative_pass_gradcheck(shape):
    values = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z: soft_boundary(z, 3), values)
    assert torch.autograd.gradgradcheck(lambda z: box_max_pool(z, 3) ** 2, values)


def test_strides_do_not_matter():
    values = torch.randn(2, 3, 6, 7)
    views = [values.to(memory_format=torch.channels_last), values.flip(2), values.mT, values[:1].expand(2, -1, -1, -1)]
    for view in views:
        weights = torch.randn(view.shape)
        assert torch.equal(box_max_pool(view, 5), naive(view.contiguous(), 5))
        assert torch.equal(gradients(box_max_pool, view, 5, weights), gradients(naive, view.contiguous(), 5, weights))


def test_compiled_without_a_graph_break():
    def loss(z):
        return (soft_boundary(z, 3) ** 2).sum()

    torch._dynamo.reset()
    values = torch.rand(1, 2, 6, 7, requires_grad=True)
    compiled = torch.compile(loss, fullgraph=True, backend="eager")
    (expected,), (found,) = (torch.autograd.grad(form(values), values) for form in (loss, compiled))
    assert torch.equal(found, expected)


def test_graph_keeps_half_the_bytes_of_torch():
    def kept(pool) -> int:
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.nbytes) or t, lambda t: t):
            pool(torch.rand(1, 1, 8, 8, 8, requires_grad=True), 5)
        return sum(sizes)

    assert kept(box_max_pool) * 2 < kept(naive)


@pytest.mark.parametrize("window", [3, 5, 7])
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_soft_boundary_is_equation_1(window, ndim):
    probs = torch.rand((2, 2, 5, 6, 7)[: ndim + 2])
    assert torch.equal(soft_boundary(probs, window), naive(1 - probs, window) - (1 - probs))


@given(any_masks, st.sampled_from([3, 5]))
def test_boundary_of_a_mask_is_mask_minus_erosion(mask, window):
    eroded = ndimage.binary_erosion(mask, np.ones((window,) * mask.ndim), border_value=1)
    boundary = soft_boundary(torch.from_numpy(mask)[None, None].float(), window)
    np.testing.assert_array_equal(boundary[0, 0].numpy(), mask & ~eroded)


@given(any_masks, st.sampled_from([1, 3, 5]), st.sampled_from([1, 3, 7]))
def test_band_holds_the_boundary_and_its_dilation(mask, theta0, theta):
    eroded = ndimage.binary_erosion(mask, np.ones((theta0,) * mask.ndim), border_value=1)
    boundary = mask & ~eroded
    near = ndimage.binary_dilation(boundary, np.ones((theta,) * mask.ndim))
    band = boundary_band(torch.from_numpy(mask)[None, None], theta0, theta)
    np.testing.assert_array_equal(band[0, 0].numpy(), near.astype(int) + boundary)


@given(any_masks, st.integers(0, 2**31))
def test_ignored_voxels_act_as_the_edge_of_the_array(mask, seed):
    valid = np.random.default_rng(seed).random(mask.shape) < 0.7
    masks, counted = torch.from_numpy(mask)[None, None], torch.from_numpy(valid)[None, None]
    band = boundary_band(masks, 3, 3, counted)
    assert torch.equal(band, boundary_band(masks ^ ~counted, 3, 3, counted))
    assert torch.equal(band == 255, ~counted)
    boundary = soft_boundary(masks.float(), 3, counted)
    assert torch.equal(band == 2, boundary == 1)
    assert torch.equal((band > 0) & counted, (box_max_pool(boundary, 3) == 1) & counted)


def test_object_cut_by_the_edge_has_no_boundary_there():
    probs = torch.zeros(1, 1, 6, 6)
    probs[:, :, :3, 2:5] = 1
    expected = torch.zeros(6, 6)
    expected[:3, [2, 4]] = expected[2, 2:5] = 1
    assert torch.equal(soft_boundary(probs)[0, 0], expected)


def test_full_and_empty_masks_have_no_boundary():
    for value in (0.0, 1.0):
        assert not soft_boundary(torch.full((1, 1, 4, 5), value)).any()
        assert not boundary_band(torch.full((1, 1, 4, 5), value) > 0).any()


def test_volume_of_equal_slices_has_the_boundary_of_the_slice():
    probs = torch.rand(1, 1, 8, 9)
    volume = probs[:, :, None].expand(-1, -1, 5, -1, -1)
    assert torch.equal(soft_boundary(volume, 3), soft_boundary(probs, 3)[:, :, None].expand_as(volume))


@pytest.mark.parametrize(
    ("window", "error", "text"),
    [
        (4, ValueError, r"window must be odd and >= 1, .* per spatial axis \(2\), got 4; an even window has no centre"),
        (-1, ValueError, r"window must be odd and >= 1, .* got -1"),
        ((3, 3, 3), ValueError, r"one per spatial axis \(2\), got \(3, 3, 3\)"),
        (3.0, TypeError, r"window must be an odd integer or one per spatial axis \(2\), got 3.0"),
        (True, TypeError, "window must be an odd integer .* got True"),
    ],
)
def test_wrong_windows_are_refused(window, error, text):
    for pool in (box_max_pool, box_min_pool):
        with pytest.raises(error, match=text):
            pool(torch.zeros(1, 1, 4, 4), window)


@pytest.mark.parametrize("shape", [(4, 4), (1, 1, 2, 2, 2, 2), (1, 1, 0, 4)])
def test_wrong_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r"values must (be \(B, C, \*S\)|not be empty)"):
        box_max_pool(torch.zeros(shape), 3)


def test_wrong_kinds_are_refused():
    with pytest.raises(TypeError, match=r"masks must be bool, got torch.float32; compare"):
        boundary_band(torch.zeros(1, 1, 4))
    with pytest.raises(TypeError, match=r"probs must be floating point in \[0, 1\], got torch.int64"):
        soft_boundary(torch.zeros(1, 1, 4, dtype=torch.int64))
    for name, windows in (("theta0", (2, 5)), ("theta", (3, 4))):
        with pytest.raises(ValueError, match=f"^{name} must be odd"):
            boundary_band(torch.zeros(1, 1, 4) > 0, *windows)


def test_axes_can_be_permuted():
    values = torch.randn(1, 1, 4, 5, 6)
    for order in itertools.permutations((2, 3, 4)):
        axes = (0, 1, *order)
        assert torch.equal(box_max_pool(values.permute(axes), 3), box_max_pool(values, 3).permute(axes))
