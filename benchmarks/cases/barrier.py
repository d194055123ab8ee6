"""The minimum-barrier cut and the boundary-aware loss: one propagation for all regions, against a pair for each region.

Both forms are compiled by numba. The pairs are timed on some regions, from which the time of all follows. The seconds
of the published code are stored with its reference maps, and were taken on another machine.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from benchmarks.case import Against, Calls, Case, data_folder
from benchmarks.phantoms import voronoi_membranes
from monai_boundary.kernels.barrier import minimum_barrier_cut
from monai_boundary.kernels.regions import connected_components, region_seeds
from monai_boundary.losses import BoundaryAwareLoss, CrossEntropyBoundaryAwareLoss

__all__ = ["CASES"]

PAIRS, PUBLISHED = "pairs per region, numba", "published C++, another machine"


def _cut(likelihood: np.ndarray, seeds: np.ndarray, elsewhere: dict[str, float] | None = None) -> Calls:
    """Propagation, cut and contours of all regions."""
    from benchmarks.region_pairs import RegionPairs

    count = int((seeds > 0).sum())
    timed = min(count, 20 if likelihood.ndim == 2 else 6)
    pairs = RegionPairs(likelihood, seeds)
    calls = {"ours": lambda: minimum_barrier_cut(likelihood, seeds), PAIRS: lambda: pairs(timed)}
    return Calls(calls, scale={PAIRS: count / timed}, elsewhere=elsewhere or {})


def _corner(likelihood: np.ndarray, seeds: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """The first voxels along each axis, at most `side` of them, the seeds numbered anew."""
    box = (slice(side),) * likelihood.ndim
    _, numbers = np.unique(np.append(0, seeds[box].ravel()), return_inverse=True)
    return likelihood[box].copy(), numbers[1:].reshape(seeds[box].shape).astype(np.int32)


def reference_cut(name: str, side: int) -> Calls:
    """One of the stored maps of ISBI 2012."""
    with np.load(data_folder() / "isbi2012" / "reference" / f"{name}.npz") as stored:
        likelihood, places, seconds = stored["likelihood_u8"], stored["seeds"], float(stored["published_seconds"])
    seeds = np.zeros(likelihood.shape, np.int32)
    seeds[tuple(places.T)] = np.arange(1, len(places) + 1)
    return _cut(*_corner(likelihood, seeds, side), {PUBLISHED: seconds})


def voronoi_cut(shape: tuple[int, ...], cells: int) -> Calls:
    """Synthetic cells."""
    return _cut(*voronoi_membranes(shape, cells)[:2])


def fib_sem_cut(side: int) -> Calls:
    """The FIB-SEM volume."""
    import h5py

    folder = data_folder() / "fibsem_gala"
    with h5py.File(folder / "gt.lzf.h5") as ids, h5py.File(folder / "p1.lzf.h5") as given:
        seeds = region_seeds(connected_components(ids["stack"][...]), min_region_size=50)
        likelihood = (255 * given["stack"][...].clip(0, 1)).astype(np.uint8)
    return _cut(*_corner(likelihood, seeds, side))


def threads(side: int, cells: int) -> Calls:
    """Forward and backward of the loss on a batch of 4."""
    parts = [voronoi_membranes((side, side), cells, seed) for seed in range(4)]
    likelihood, seeds, membrane = (torch.from_numpy(np.stack(group))[:, None] for group in zip(*parts, strict=True))
    logits = torch.logit((likelihood.float() + 0.5) / 256).requires_grad_(True)
    loss = BoundaryAwareLoss()  # takes the threads of torch

    def run(number: int) -> None:
        torch.set_num_threads(number)
        try:
            loss(logits, membrane, seeds).backward()
        finally:
            torch.set_num_threads(1)

    return Calls({"2 threads": lambda: run(2), "1 thread": lambda: run(1)})


def training_step(side: int, cells: int) -> Calls:
    """A training step of a small U-Net with and without the boundary term."""
    from monai.networks.nets import UNet

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

    return Calls({"with the term": step(1.0), "cross-entropy alone": step(0.0)})


_NEEDS = ("numba", "cc3d")
_PLANE, _VOLUME = (Against(PAIRS, 60.0), Against(PUBLISHED, 90.0)), (Against(PAIRS, 20.0, rounds=2),)
CASES = [
    *(Case(f"cut_{name}", "barrier", f"cut, ISBI 2012 {name}, 512x512", reference_cut, (name, 512), (name, 64), _PLANE,
           (*_NEEDS, f"data/isbi2012/reference/{name}.npz"), headline=name == "mid_02")
      for name in ("mid_02", "mid_05", "early_02", "early_05")),
    Case("cut_voronoi_2d", "barrier", "cut, Voronoi cells, 512x512", voronoi_cut, ((512, 512), 100), ((48, 48), 6),
         _PLANE[:1], _NEEDS),
    Case("cut_fib_sem", "barrier", "cut, FIB-SEM, 50x100x200", fib_sem_cut, (1000,), (32,), _VOLUME,
         (*_NEEDS, "h5py", "data/fibsem_gala"), headline=True),
    Case("cut_voronoi_3d", "barrier", "cut, Voronoi cells, 50x100x200", voronoi_cut, ((50, 100, 200), 50),
         ((12, 24, 24), 6), _VOLUME, _NEEDS),
    Case("threads", "barrier", "boundary-aware loss, 4x512x512, 2 threads, wall time", threads, (512, 100),
         (48, 6), (Against("1 thread", 1.7, ours="2 threads"),), _NEEDS, rounds=10, wall=True),
    Case("training_step", "barrier", "training step of a small U-Net, 512x512", training_step, (512, 100), (64, 6),
         (Against("cross-entropy alone", ours="with the term", cost=True),), _NEEDS),
]  # fmt: skip
