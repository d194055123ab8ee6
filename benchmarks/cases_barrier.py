"""The minimum-barrier cut and the boundary-aware loss: one propagation for all regions, against a pair for each region.

Both forms are compiled by numba. The pairs are timed on some regions, from which the time of all follows. The seconds
of the published code are stored with its reference maps, and were taken on another machine.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from benchmark import Cases
from boundary_aware_accuracy import accuracy, load_reference
from boundary_aware_peers import RegionPairs, spin, voronoi_membranes
from measure import data_folder
from monai.networks.nets import UNet

from monai_boundary.kernels.barrier import minimum_barrier_cut
from monai_boundary.kernels.components import connected_components
from monai_boundary.kernels.regions import region_seeds
from monai_boundary.losses import BoundaryAwareLoss, CrossEntropyBoundaryAwareLoss

__all__ = ["fib_sem_cut", "reference_cut", "threads", "training_step", "voronoi_cut"]

PUBLISHED = "published C++, another machine"


def _cut(
    likelihood: np.ndarray, seeds: np.ndarray, elsewhere: dict[str, float], extra: Callable[[], dict[str, float]] | None
) -> Cases:
    """Propagation, cut and contours of all regions; the floor reads likelihood and seeds and writes the regions."""
    count = int((seeds > 0).sum())
    timed = min(count, 20 if likelihood.ndim == 2 else 6)
    pairs, floats = RegionPairs(likelihood, seeds), likelihood.astype(np.float32)
    calls = {
        "ours": lambda: minimum_barrier_cut(likelihood, seeds),
        "ours, float32 likelihood": lambda: minimum_barrier_cut(floats, seeds),
        "pairs per region, numba": lambda: pairs(timed),
    }
    return Cases(
        calls,
        bytes_touched=(1 + 4 + 4) * likelihood.size,
        voxels=likelihood.size,
        scale={"pairs per region, numba": count / timed},
        elsewhere=elsewhere,
        extra=extra or (lambda: {"regions": count}),
    )


def _corner(likelihood: np.ndarray, seeds: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """The first voxels along each axis, at most `side` of them, the seeds numbered anew."""
    box = (slice(side),) * likelihood.ndim
    _, numbers = np.unique(np.append(0, seeds[box].ravel()), return_inverse=True)
    return likelihood[box].copy(), numbers[1:].reshape(seeds[box].shape).astype(np.int32)


def reference_cut(name: str, side: int) -> Cases:
    """One of the stored maps of ISBI 2012, with the accuracy of the cut."""
    stored = load_reference(data_folder(), name)
    image = _corner(stored["likelihood_u8"], stored["seed_map"], side)
    return _cut(*image, {PUBLISHED: float(stored["published_seconds"])}, lambda: accuracy(stored))


def voronoi_cut(shape: tuple[int, ...], cells: int) -> Cases:
    """Synthetic cells."""
    return _cut(*voronoi_membranes(shape, cells)[:2], {}, None)


def fib_sem_cut(side: int) -> Cases:
    """The FIB-SEM volume."""
    import h5py

    arrays = {}
    for name in ("gt.lzf.h5", "p1.lzf.h5"):
        with h5py.File(data_folder() / "fibsem_gala" / name) as file:
            arrays[name] = file["stack"][...]
    seeds = region_seeds(connected_components(arrays["gt.lzf.h5"]), min_region_size=50)
    likelihood = (255 * arrays["p1.lzf.h5"].clip(0, 1)).astype(np.uint8)
    return _cut(*_corner(likelihood, seeds, side), {}, None)


def threads(side: int, cells: int, spins: int) -> Cases:
    """Forward and backward of the loss on a batch of 4, and a loop that touches no memory, each on one thread and two.

    The loop shows what two threads gain on the machine at all.
    """
    parts = [voronoi_membranes((side, side), cells, seed) for seed in range(4)]
    likelihood, seeds, membrane = (torch.from_numpy(np.stack(group))[:, None] for group in zip(*parts, strict=True))
    logits = torch.logit((likelihood.float() + 0.5) / 256).requires_grad_(True)

    def run(number: int) -> Callable[[], None]:
        loss = BoundaryAwareLoss()  # takes the threads of torch

        def call() -> None:
            torch.set_num_threads(number)
            try:
                loss(logits, membrane, seeds).backward()
            finally:
                torch.set_num_threads(1)

        return call

    def spin_in(number: int) -> Callable[[], None]:
        def call() -> None:
            with ThreadPoolExecutor(number) as pool:
                list(pool.map(spin, 4 * [spins]))

        return call

    calls = {"1 thread": run(1), "2 threads": run(2), "loop, 1 thread": spin_in(1), "loop, 2 threads": spin_in(2)}
    return Cases(calls)


def training_step(side: int, cells: int) -> Cases:
    """A training step of a small U-Net with and without the boundary term."""
    arrays = voronoi_membranes((side, side), cells)
    likelihood, seeds, membrane = (torch.from_numpy(array)[None, None] for array in arrays)
    network = UNet(2, 1, 1, (16, 32, 64, 128), (2, 2, 2), norm="instance")
    loss = CrossEntropyBoundaryAwareLoss(threads=1)
    image = likelihood.float() / 255

    def step(alpha: float) -> Callable[[], None]:
        def call() -> None:
            loss.alpha = alpha
            network.zero_grad()
            loss(network(image), membrane, seeds).backward()

        return call

    return Cases({"with the term": step(1.0), "cross-entropy alone": step(0.0)}, voxels=side**2)
