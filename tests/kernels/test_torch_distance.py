"""The torch engine: equal to the others, on one device from end to end, in little memory, compiled, under autocast."""

from __future__ import annotations

import weakref

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from monai_boundary import DistanceMapOptions, distance_transform, signed_distance, signed_distance_map
from monai_boundary.kernels.distance import ROBUST, DeviceMemoryWarning, batch_labels_map, batch_masks_map
from monai_boundary.kernels.distance import separable as _separable
from monai_boundary.kernels.distance import torch_signed as _torch_signed
from tests import oracles

GRIDS = [((31,), (2.0,)), ((24, 33), (0.47, 0.9)), ((20, 31, 26), (3.0, 1.0, 1.0)), ((13, 1, 26), (1.0, 0.47, 5.0))]
ALL_SETTINGS = DistanceMapOptions(clip=4.0, absent="far", normalize="max", balance=0.5)


def random_labels(rng: np.random.Generator, shape, num_classes: int = 3, share: float = 0.1) -> np.ndarray:
    return np.where(rng.random(shape) < share, rng.integers(1, num_classes, shape), 0)


@pytest.mark.parametrize(("shape", "spacing"), GRIDS)
def test_signed_distance_is_within_a_ten_thousandth_mm_of_scipy_float64(rng, shape, spacing):
    mask = random_labels(rng, shape, 2) == 1
    expected = oracles.signed_map(mask, spacing, "centre", distance=oracles.scipy_distance)
    assert np.abs(signed_distance(mask, spacing, "centre", backend="torch") - expected).max() <= 1e-4


@pytest.mark.parametrize(("shape", "spacing"), GRIDS)
def test_distance_to_seeds_is_within_a_ten_thousandth_mm_of_scipy_float64(rng, shape, spacing):
    mask = random_labels(rng, shape, 2) == 1
    found = distance_transform(torch.from_numpy(mask), spacing, backend="torch")
    assert np.abs(found.numpy() - oracles.scipy_distance(mask, spacing)).max() <= 1e-4
    np.testing.assert_array_equal(found == 0, mask)


def test_long_axes_and_large_distances_stay_within_a_ten_thousandth_mm(rng):
    mask = np.zeros((3, 300, 400), bool)
    mask[1, 7, 9] = True
    found = distance_transform(mask, (3.0, 0.7, 0.7), backend="torch")
    assert np.abs(found - oracles.scipy_distance(mask, (3.0, 0.7, 0.7))).max() <= 1e-4


@pytest.mark.parametrize("factor", [1e-9, 1e9])
def test_extreme_spacing_keeps_its_relative_precision(rng, factor):
    mask = random_labels(rng, (9, 10, 11), 2) == 1
    spacing = (3 * factor, factor, 2 * factor)
    expected = oracles.brute_force_distance(mask, spacing)
    np.testing.assert_allclose(distance_transform(mask, spacing, backend="torch"), expected, rtol=1e-6)


@pytest.mark.parametrize("tile", [7, 40, 300])
def test_tiles_of_any_size_give_the_same_map(rng, tile, monkeypatch):
    labels = torch.from_numpy(random_labels(rng, (2, 1, 6, 7, 9)))
    expected = batch_labels_map(labels, 3, (3.0, 1.0, 2.0), DistanceMapOptions(), backend="torch")
    monkeypatch.setattr(_separable, "_CPU_TILE", tile)
    assert torch.equal(batch_labels_map(labels, 3, (3.0, 1.0, 2.0), DistanceMapOptions(), backend="torch"), expected)


@pytest.mark.parametrize("options", [DistanceMapOptions(), ALL_SETTINGS, ROBUST])
@pytest.mark.parametrize("ignore_index", [None, 2])
def test_a_batch_is_each_of_its_samples_by_edt(rng, options, ignore_index):
    labels = random_labels(rng, (3, 1, 6, 7, 9))
    labels[1] = 0  # no class but the background
    found = batch_labels_map(torch.from_numpy(labels), 3, (3.0, 1.0, 2.0), options, True, ignore_index, "torch")
    each = batch_labels_map(torch.from_numpy(labels), 3, (3.0, 1.0, 2.0), options, True, ignore_index, "edt")
    assert found.shape == (3, 3, 6, 7, 9)
    torch.testing.assert_close(found, each, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("ignored", [False, True])
def test_overlapping_masks_are_those_of_edt(rng, ignored):
    masks = torch.from_numpy(rng.random((2, 3, 8, 9)) < 0.2)
    masks[0, 1], masks[1, 2] = False, True
    valid = torch.from_numpy(rng.random((2, 1, 8, 9)) < 0.8) if ignored else None
    found, expected = (batch_masks_map(masks, (2.0, 0.5), ALL_SETTINGS, valid, backend) for backend in ("torch", "edt"))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_kind_and_type_follow_the_labels_and_the_input_is_left_as_it_was(rng):
    labels = random_labels(rng, (1, 6, 7))
    expected = signed_distance_map(labels, 3, (2.0, 1.0))
    for given in (labels, labels.astype(">i2"), np.asfortranarray(labels.astype(np.float32))):
        found = signed_distance_map(given, 3, (2.0, 1.0), backend="torch")
        assert isinstance(found, np.ndarray)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    for tensor in (torch.from_numpy(labels), MetaTensor(torch.from_numpy(labels)), torch.from_numpy(labels).float()):
        before = tensor.clone()
        found = signed_distance_map(tensor, 3, (2.0, 1.0), backend="torch")
        assert type(found) is torch.Tensor
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)
        assert torch.equal(tensor, before)


def test_bad_labels_are_named_as_with_the_other_engines():
    with pytest.raises(ValueError, match=r"labels must lie in \[0, 1\]"):
        signed_distance_map(torch.full((1, 3), 5), 2, backend="torch")
    with pytest.raises(ValueError, match=r"labels must have one channel"):
        signed_distance_map(torch.zeros(2, 3, 4), 2, backend="torch")
    with pytest.raises(ValueError, match=r"labels must hold values, got a tensor on the meta device"):
        signed_distance_map(torch.zeros(1, 3, device="meta"), 2, backend="torch")
    with pytest.raises(ValueError, match="mask must hold at least one True voxel"):
        distance_transform(torch.zeros(3, dtype=torch.bool), backend="torch")
    with pytest.raises(ValueError, match="mask must be bool"):
        signed_distance(np.array([0, 2]), backend="torch")
    for function in (distance_transform, signed_distance):
        with pytest.raises(
            ValueError, match="backend must be one of 'auto', 'edt', 'numba', 'scipy', 'torch', got 'cuda'"
        ):
            function(np.array([False, True]), backend="cuda")


def test_a_mask_without_a_surface_gives_zeros():
    for mask in (torch.zeros(3, 4, dtype=torch.bool), torch.ones(3, 4, dtype=torch.bool)):
        assert not signed_distance(mask, backend="torch").any()


# One device from end to end, in little memory


class PeakMemory(TorchDispatchMode):
    """Bytes in living storages at their peak, and a check that all of them are on one device."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.seen: set[int] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if not isinstance(tensor, torch.Tensor):
                continue
            assert tensor.device.type == "cuda", f"{func} leaves the device"
            storage = tensor.untyped_storage()
            if id(storage) not in self.seen:
                self.seen.add(id(storage))
                self.now += storage.nbytes()
                self.peak = max(self.peak, self.now)
                weakref.finalize(storage, self._free, id(storage), storage.nbytes())
        return result

    def _free(self, key: int, size: int) -> None:
        self.seen.discard(key)
        self.now -= size


@pytest.mark.parametrize(
    ("shape", "options", "ignore_index"),
    [
        ((1, 1, 20, 20, 20), ALL_SETTINGS.replace(clip=0.5), None),
        ((1, 1, 20, 20, 20), ALL_SETTINGS.replace(clip=0.5), 9),
        ((1, 1, 20, 20, 20), DistanceMapOptions(), None),
        ((2, 1, 16, 16), DistanceMapOptions(), None),
    ],
)
def test_maps_stay_on_the_device_below_three_times_their_size(shape, options, ignore_index, monkeypatch):
    # Tensors without values stand for CUDA tensors: what reads a value on the host, or has a shape that depends on one,
    # cannot be done with them. The ops themselves would hide what they do.
    for name in ("signed_field", "seed_field"):
        monkeypatch.setattr(_torch_signed, name, getattr(_separable, name)._init_fn)
    with FakeTensorMode():
        labels = torch.zeros(shape, dtype=torch.uint8, device="cuda")
        with PeakMemory() as memory:
            maps = batch_labels_map(labels, 3, (3.0, 1.0, 1.0)[: len(shape) - 2], options, True, ignore_index)
    assert maps.shape == (shape[0], 3, *shape[2:])
    assert memory.peak < 3 * maps.untyped_storage().nbytes()


def test_the_device_is_taken_for_cuda_tensors_only():
    with FakeTensorMode():
        mask = torch.zeros(4, 5, dtype=torch.bool, device="cuda")
        assert signed_distance(mask).device.type == "cuda"
        with pytest.raises(TypeError, match="mask must be bool"):
            signed_distance(mask.float())


def out_of_memory(*_: object) -> torch.Tensor:
    raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of")


@pytest.mark.parametrize("ignore_index", [None, 2])
def test_out_of_memory_falls_back_to_the_cpu_and_names_the_size(rng, ignore_index, monkeypatch):
    labels = torch.from_numpy(random_labels(rng, (2, 1, 16, 32, 64)))
    expected = batch_labels_map(labels, 3, (1.0,) * 3, ROBUST, False, ignore_index)
    for name in ("signed_field", "seed_field"):
        monkeypatch.setattr(_torch_signed, name, out_of_memory)
    text = r"distance maps of shape \(2, 2, 16, 32, 64\) \(0 MiB.*did not fit on cpu.*\(CUDA out of memory\)"
    with pytest.warns(DeviceMemoryWarning, match=text):
        found = batch_labels_map(labels, 3, (1.0,) * 3, ROBUST, False, ignore_index, "torch")
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    masks, valid = labels == 1, None if ignore_index is None else labels != 2
    with pytest.warns(DeviceMemoryWarning, match=r"\(2, 1, 16, 32, 64\)"):
        found = batch_masks_map(masks, (1.0,) * 3, ROBUST, valid, "torch")
    torch.testing.assert_close(found, expected[:, :1], rtol=0, atol=0)


# Compiled, under autocast, without gradient


@pytest.mark.filterwarnings("ignore")  # of torch's compiler
@pytest.mark.parametrize("ignore_index", [None, 2])
@pytest.mark.parametrize("options", [DistanceMapOptions(), ALL_SETTINGS])
def test_the_whole_map_compiles_into_one_graph(rng, options, ignore_index):
    def maps(labels: torch.Tensor) -> torch.Tensor:
        return 2 * batch_labels_map(labels, 3, (3.0, 1.0), options, True, ignore_index, "torch")

    torch._dynamo.reset()
    compiled = torch.compile(maps, fullgraph=True, backend="aot_eager")
    for shape in ((2, 1, 8, 9), (2, 1, 11, 12)):  # the second time with sizes that are no constants any more
        labels = torch.from_numpy(random_labels(rng, shape))
        torch.testing.assert_close(compiled(labels), maps(labels), rtol=1e-6, atol=1e-6)


def test_autocast_leaves_the_map_in_float32(rng):
    labels = torch.from_numpy(random_labels(rng, (2, 1, 8, 9)))
    expected = batch_labels_map(labels, 3, (3.0, 1.0), ALL_SETTINGS, backend="torch")
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.inference_mode():
        found = batch_labels_map(labels, 3, (3.0, 1.0), ALL_SETTINGS, backend="torch")
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)


def test_no_gradient_flows(rng):
    labels = torch.from_numpy(random_labels(rng, (1, 1, 8, 9))).float().requires_grad_()
    assert not batch_labels_map(labels, 3, (3.0, 1.0), ALL_SETTINGS, backend="torch").requires_grad


def test_small_unsigned_labels_do_not_meet_a_negative_ignore_label():
    with FakeTensorMode():
        there = torch.zeros(1, dtype=torch.uint8, device="cuda")
        assert _torch_signed.labels_tensor(there, 2, -1).dtype == torch.int16


def test_another_default_type_changes_nothing():
    labels = torch.tensor([[[0, 0, 1, 1, 0, 2]]])
    expected = batch_labels_map(labels, 4, (1.0,), ROBUST, backend="torch")
    torch.set_default_dtype(torch.float64)
    try:
        found = batch_labels_map(labels, 4, (1.0,), ROBUST, backend="torch")
    finally:
        torch.set_default_dtype(torch.float32)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
