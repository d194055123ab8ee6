"""The torch engine: equal to the others, on one device from end to end, in little memory, compiled, under autocast."""

from __future__ import annotations

import weakref

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from monai_boundary import DistanceMapOptions, signed_distance
from monai_boundary.kernels.distance import ROBUST, DeviceMemoryWarning, batch_labels_map, batch_masks_map, torch_engine

ALL_SETTINGS = DistanceMapOptions(clip=4.0, absent="far", normalize="max", balance=0.5)


def random_labels(rng: np.random.Generator, shape, num_classes: int = 3, share: float = 0.1) -> np.ndarray:
    return np.where(rng.random(shape) < share, rng.integers(1, num_classes, shape), 0)


@pytest.mark.parametrize("tile", [7, 40, 300])
def test_tiles_of_any_size_give_the_same_map(rng, tile, monkeypatch):
    labels = torch.from_numpy(random_labels(rng, (2, 1, 6, 7, 9)))
    expected = batch_labels_map(labels, 3, (3.0, 1.0, 2.0), DistanceMapOptions(), backend="torch")
    monkeypatch.setattr(torch_engine, "_CPU_TILE", tile)
    assert torch.equal(batch_labels_map(labels, 3, (3.0, 1.0, 2.0), DistanceMapOptions(), backend="torch"), expected)


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


@pytest.mark.usefixtures("imitated_cuda")
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
    # No shape can depend on a value, either. The ops themselves would hide what they do.
    for name in ("signed_field", "seed_field"):
        monkeypatch.setattr(torch_engine, name, getattr(torch_engine, name)._init_fn)
    labels = torch.zeros(shape, dtype=torch.uint8, device="cuda")
    with PeakMemory() as memory:
        maps = batch_labels_map(labels, 3, (3.0, 1.0, 1.0)[: len(shape) - 2], options, True, ignore_index)
    assert maps.shape == (shape[0], 3, *shape[2:])
    assert memory.peak < 3 * maps.untyped_storage().nbytes()


@pytest.mark.usefixtures("imitated_cuda")
def test_the_device_is_taken_for_cuda_tensors_only():
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
        monkeypatch.setattr(torch_engine, name, out_of_memory)
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


@pytest.mark.usefixtures("imitated_cuda")
def test_small_unsigned_labels_do_not_meet_a_negative_ignore_label():
    there = torch.zeros(1, dtype=torch.uint8, device="cuda")
    assert torch_engine.labels_tensor(there, 2, -1).dtype == torch.int16


def test_another_default_type_changes_nothing():
    labels = torch.tensor([[[0, 0, 1, 1, 0, 2]]])
    expected = batch_labels_map(labels, 4, (1.0,), ROBUST, backend="torch")
    torch.set_default_dtype(torch.float64)
    try:
        found = batch_labels_map(labels, 4, (1.0,), ROBUST, backend="torch")
    finally:
        torch.set_default_dtype(torch.float32)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
