"""Cases of a series, and random patches of them that are the same in every arm."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from monai.data import Dataset

from experiments.evidence.arms import Beside
from experiments.shared.training import Budget
from monai_boundary.kernels.distance import DistanceMapOptions
from monai_boundary.transforms import RegionSeeds, SignedDistanceMap

_KINDS = {"seeds": np.int32}


@dataclass(frozen=True)
class EvidenceSettings(Budget):
    """What all runs of a series share.

    Args:
        steps: Per epoch.
        edge: Pixels of a patch along each axis.
        features: Channels of the network, one per resolution.
        contrast: Patches are stretched by up to this factor, or its inverse, about the value 0.
    """

    epochs: int = 48
    batch: int = 8
    lr: float = 2e-3
    score_every: int = 4
    steps: int = 50
    edge: int = 96
    features: tuple[int, ...] = (16, 32, 64, 128, 128)
    contrast: float = 1.2


@dataclass(frozen=True, eq=False)
class Case:
    """An image, a volume as a stack of slices, or a volume for a 3D network.

    Args:
        name: Of the case.
        group: What cases that depend on each other share: the patient, or the lesion.
        image: Float32 `(N, C, *S)`: slices `(H, W)` or, with N = 1, a volume; sides that the network can halve.
        label: Uint8 `(N, *S)`.
        spacing: Of slices, rows and columns.
        kind: Cases of each kind are averaged apart.
    """

    name: str
    group: str
    image: np.ndarray
    label: np.ndarray
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
    kind: str = ""

    @property
    def ndim(self) -> int:
        """Number of axes that the network sees."""
        return self.label.ndim - 1

    def slices(self, chosen: slice) -> Case:
        """Return the part of these slices."""
        return Case(self.name, self.group, self.image[chosen], self.label[chosen], self.spacing, self.kind)


@dataclass(frozen=True, eq=False)
class Split:
    """What a fold trains on, chooses thresholds by, and reports."""

    train: list[Case]
    valid: list[Case]
    test: list[Case]


def by_folds(cases: Sequence[Case], count: int, fold: int, valid_every: int = 5) -> Split:
    """Split cases by group: every `count`-th group is reported, and of the others every `valid_every`-th validates."""
    groups = list(dict.fromkeys(case.group for case in cases))
    test = set(groups[fold::count])
    rest = [group for group in groups if group not in test]
    valid = set(rest[::valid_every])
    return Split(
        [case for case in cases if case.group not in test | valid],
        [case for case in cases if case.group in valid],
        [case for case in cases if case.group in test],
    )


def fitted(array: np.ndarray, edge: int = 16) -> np.ndarray:
    """Pad the last two axes with zeros, at the end, to multiples of 16 that hold `edge`."""
    wanted = [max(edge, -(-side // 16) * 16) - side for side in array.shape[-2:]]
    return np.pad(array, [(0, 0)] * (array.ndim - 2) + [(0, add) for add in wanted])


def standardised(image: np.ndarray) -> np.ndarray:
    """Return float32 of mean 0 and standard deviation 1 over what is not 0."""
    body = image[image > 0]
    scaled: np.ndarray = (image - body.mean()) / max(float(body.std()), 1e-6)
    return scaled.astype(np.float32)


@dataclass
class _Places:
    """Where the foreground of a case is, and the maps of its slices that were wanted so far."""

    filled: np.ndarray
    maps: dict[int, np.ndarray] = field(default_factory=dict)


class Patches(Dataset):
    """Random patches that follow from seed, epoch and index alone.

    Groups have the same chance, and cases within a group. Half of the patches hold foreground where the case has any.
    Patches are flipped, turned in the plane, and changed in contrast and brightness.

    Args:
        cases: Training cases.
        settings: Number and size of the patches.
        seed: Of everything random.
        beside: What goes with each patch: a map, cut out of that of the whole slice, or the seeds of its regions.
    """

    def __init__(self, cases: Iterable[Case], settings: EvidenceSettings, seed: int, beside: Beside = None) -> None:
        super().__init__(range(settings.steps * settings.batch))
        self.cases: dict[str, list[Case]] = {}
        for case in cases:
            self.cases.setdefault(case.group, []).append(case)
        self.settings, self.seed, self.beside, self.epoch = settings, seed, beside, 0
        self._places: dict[int, _Places] = {}

    def start(self, epoch: int) -> None:
        """Draw other patches from now on."""
        self.epoch = epoch

    def _transform(self, index: int) -> dict[str, torch.Tensor]:
        generator = np.random.default_rng((self.seed, self.epoch, index))
        cases = list(self.cases.values())[int(generator.integers(len(self.cases)))]
        case = cases[int(generator.integers(len(cases)))]
        number, *corner = self._corner(case, generator, forced=index % 2 == 0)
        window: Any = (..., *(slice(first, first + self.settings.edge) for first in corner))
        gain, shift = self.settings.contrast ** generator.uniform(-1, 1), generator.normal(0, 0.15)
        parts = {
            "image": case.image[number][window] * gain + shift,
            "label": case.label[number][window][None],
        }
        if isinstance(self.beside, DistanceMapOptions):
            parts["distance_map"] = self._map(case, number, self.beside)[window]
        if self.beside == "seeds":
            membrane = RegionSeeds("membrane", min_region_size=20, spacing=(1.0,) * case.ndim)
            parts["seeds"] = np.asarray(membrane(parts["label"])[0])
        axes = tuple(axis for axis in range(1, 1 + case.ndim) if generator.random() < 0.5)
        turns = int(generator.integers(4))
        return {
            key: torch.from_numpy(
                np.rot90(np.flip(part, axes), turns, (-2, -1)).astype(_KINDS.get(key, np.float32)).copy()
            )
            for key, part in parts.items()
        }

    def _of(self, case: Case) -> _Places:
        if id(case) not in self._places:
            self._places[id(case)] = _Places(np.flatnonzero(case.label))
        return self._places[id(case)]

    def _corner(self, case: Case, generator: np.random.Generator, forced: bool) -> list[int]:
        """Return a slice, or 0 for a volume, and the first voxel of a patch in it along each axis."""
        edge, shape = self.settings.edge, case.label.shape
        filled = self._of(case).filled
        if not (forced and filled.size):
            return [int(generator.integers(room)) for room in (shape[0], *(s - edge + 1 for s in shape[1:]))]
        place = np.unravel_index(filled[int(generator.integers(filled.size))], shape)
        corner = [int(place[0])]
        for at, side in zip(place[1:], shape[1:], strict=True):
            corner.append(int(np.clip(at - generator.integers(edge), 0, side - edge)))
        return corner

    def _map(self, case: Case, number: int, options: DistanceMapOptions) -> np.ndarray:
        maps = self._of(case).maps
        if number not in maps:
            settings = {"spacing": case.spacing[-case.ndim :], "include_background": False, **asdict(options)}
            maps[number] = np.asarray(SignedDistanceMap(2, None, **settings)(case.label[number][None]), np.float32)
        return maps[number]
