"""Merging: MONAI's result, the identity to the bit, symmetric predictions, and memory that does not grow."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from monai.inferers import SlidingWindowInferer

from monai_boundary.inference import AUGMENTATIONS, TileInferer, predict_augmented


class Source:
    """A tile in memory that counts what is asked of it."""

    def __init__(self, values: np.ndarray) -> None:
        self.values, self.shape = values, values.shape[1:]
        self.largest = self.calls = 0

    def read(self, rows: slice, columns: slice) -> np.ndarray:
        assert 0 <= rows.start < rows.stop <= self.shape[0]
        assert 0 <= columns.start < columns.stop <= self.shape[1]
        self.largest = max(self.largest, rows.stop - rows.start)
        self.calls += 1
        return self.values[:, rows, columns]


def merged(inferer: TileInferer, source: Source, network) -> np.ndarray:
    return np.concatenate(list(inferer.rows(source, network)), axis=1)


def uneven(batch: torch.Tensor) -> torch.Tensor:
    """Two classes that depend on the place in the window, so that windows disagree where they overlap."""
    ramp = torch.linspace(0, 1, batch.shape[-1]) + torch.linspace(0, 2, batch.shape[-2])[:, None]
    return torch.cat([batch[:, :1] * ramp, batch[:, 1:2] - ramp], 1)


@pytest.mark.parametrize("mode", ["constant", "gaussian"])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.7])
@pytest.mark.parametrize("shape", [(41, 67), (16, 16), (48, 32), (9, 40), (40, 5)])
def test_merging_the_identity_gives_the_tile_back_to_the_bit(shape, overlap: float, mode, rng) -> None:
    source = Source(rng.normal(size=(3, *shape)).astype(np.float32))
    result = merged(TileInferer(16, 3, overlap, mode), source, lambda batch: batch)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, source.values)


@pytest.mark.parametrize("mode", ["constant", "gaussian"])
@pytest.mark.parametrize(("roi_size", "overlap"), [(16, 0.25), ((16, 24), 0.5), (20, 0.0)])
def test_the_result_is_that_of_monai(roi_size, overlap: float, mode, rng) -> None:
    source = Source(rng.normal(size=(2, 41, 67)).astype(np.float32))
    whole = torch.from_numpy(source.values)[None]
    truth = SlidingWindowInferer(roi_size, 1, overlap, mode)(whole, uneven)[0].numpy()
    np.testing.assert_allclose(merged(TileInferer(roi_size, 3, overlap, mode), source, uneven), truth, atol=1e-5)


def test_a_tile_smaller_than_a_window_is_mirrored_at_its_ends(rng) -> None:
    seen = []
    source = Source(rng.normal(size=(1, 5, 7)).astype(np.float32))
    merged(TileInferer(8), source, lambda batch: seen.append(batch) or batch)
    window = seen[0][0, 0].numpy()
    np.testing.assert_array_equal(window[:5, :7], source.values[0])
    np.testing.assert_array_equal(window[5:, :7], source.values[0, [3, 2, 1]])
    np.testing.assert_array_equal(window[:5, 7], source.values[0, :, 5])


def equivariant(batch: torch.Tensor) -> torch.Tensor:
    """Commutes with mirroring and turning: a maximum over 3 x 3 pixels, and the image itself."""
    return torch.cat([torch.nn.functional.max_pool2d(batch, 3, 1, 1), batch], 1)


@pytest.mark.parametrize("augment", ["flips", "dihedral"])
def test_augmentation_leaves_an_equivariant_prediction_as_it_is(augment, rng) -> None:
    source = Source(rng.normal(size=(2, 37, 50)).astype(np.float32))
    plain = merged(TileInferer(16), source, equivariant)
    np.testing.assert_array_equal(merged(TileInferer(16, augment=augment), source, equivariant), plain)


@pytest.mark.parametrize("augment", AUGMENTATIONS)
def test_augmentation_is_the_mean_over_the_symmetries(augment: str) -> None:
    """Of a network that returns a fixed pattern: the mean of the pattern turned by each inverse symmetry."""
    pattern = torch.arange(16.0).reshape(4, 4)
    quarter = [pattern.rot90(turns) for turns in range(4)]
    flips = [pattern, pattern.flip(0), pattern.flip(1), pattern.flip(0, 1)]
    copies = {"none": [pattern], "flips": flips, "dihedral": quarter + [one.T for one in quarter]}[augment]
    result = predict_augmented(lambda batch: pattern.expand(len(batch), 1, 4, 4), torch.zeros(2, 3, 4, 4), augment)
    torch.testing.assert_close(result[1, 0], torch.stack(copies).double().mean(0), rtol=0, atol=1e-12)


def test_memory_does_not_grow_with_the_height_of_the_tile() -> None:
    peaks, sources = [], [Source(np.zeros((1, rows, 256), np.uint8)) for rows in (512, 4096)]
    for source in sources:
        merged_rows = 0
        tracemalloc.start()
        for part in TileInferer(64, 8).rows(source, lambda batch: batch):
            merged_rows += part.shape[1]
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert merged_rows == source.shape[0]
        assert source.largest == 64
        assert source.calls <= source.shape[0] // 48 + 1
    held_whole = 4 * 256 * (4096 - 512)  # by how much the tiles differ as float32
    assert peaks[1] - peaks[0] < 0.1 * held_whole  # the list of windows grows


def test_batches_hold_no_more_windows_than_asked_and_need_no_gradient() -> None:
    sizes = []

    def network(batch: torch.Tensor) -> torch.Tensor:
        assert not torch.is_grad_enabled()
        sizes.append(len(batch))
        return batch

    merged(TileInferer(16, 3, 0.0), Source(np.zeros((1, 16, 80), np.uint8)), network)
    assert sizes == [3, 2]


class Changing:
    """One class in the first batch, two in the next."""

    classes = 0

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        self.classes += 1
        return batch[:, :1].repeat(1, self.classes, 1, 1)


@pytest.mark.parametrize(
    ("network", "kind", "message"),
    [
        (lambda batch: [batch], TypeError, "network must return one tensor, got list; wrap it"),
        (lambda batch: batch[..., ::2], ValueError, r"must return \(B, K, h, w\) .* got \(4, 3, 16, 8\) for \(4, 3"),
        (lambda batch: batch[:1], ValueError, r"network must return .* got \(1, 3, 16, 16\) for \(4, 3, 16, 16\)"),
        (lambda batch: batch[:, 0], ValueError, r"network must return .* got \(4, 16, 16\) for \(4, 3, 16, 16\)"),
        (lambda batch: batch / 0, ValueError, "network must return finite values, got NaN or infinity"),
        (Changing(), ValueError, "network must return one number of classes, got 1 and 2"),
    ],
)  # fmt: skip
def test_a_network_that_returns_something_else_is_refused(network, kind, message: str) -> None:
    with pytest.raises(kind, match=message):
        merged(TileInferer(16), Source(np.zeros((3, 64, 64), np.uint8)), network)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"roi_size": 0}, "size must be one integer >= 1 or two .* got 0"),
        ({"overlap": 1.0}, r"overlap must lie in \[0, 1\), got 1.0"),
        ({"mode": "linear"}, "mode must be one of 'constant', 'gaussian', got 'linear'"),
        ({"augment": "all"}, "augment must be one of 'none', 'flips', 'dihedral', got 'all'"),
        ({"sw_batch_size": 0}, "sw_batch_size must be >= 1, got 0"),
        ({"roi_size": (8, 16), "augment": "dihedral"}, r"windows must be square .* got \(8, 16\) pixels; choose a"),
    ],
)  # fmt: skip
def test_unusable_settings_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        merged(TileInferer(**options), Source(np.zeros((1, 32, 32), np.uint8)), lambda batch: batch)
