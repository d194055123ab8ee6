"""How many calls, files and moves between files of this package a map and a training step take.

    python -m benchmarks.call_path
    python -m benchmarks.call_path --calls      (lists every call)

Calls of functions of `monai_boundary` and `nnunet_trainers` are counted once all is imported and compiled, those of
lambdas and comprehensions not. A move is a call whose function lies in another file than that of the call before.
"""

from __future__ import annotations

import itertools
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor

import monai_boundary
from monai_boundary.losses import CrossEntropyBoundaryAwareLoss
from monai_boundary.transforms import SignedDistanceMapd

__all__ = ["call_path", "main", "summary"]

ROOT = Path(monai_boundary.__file__).resolve().parents[1]
PACKAGES = tuple(str(ROOT / name) for name in ("monai_boundary", "nnunet_trainers"))


def call_path(call: Callable[[], Any]) -> list[tuple[str, str]]:
    """File and function of every call into our packages, in order."""
    found: list[tuple[str, str]] = []

    def note(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(PACKAGES) and not code.co_name.startswith("<"):
            found.append((str(Path(code.co_filename).relative_to(ROOT)), code.co_name))

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(before)
    return found


def summary(path: list[tuple[str, str]]) -> tuple[int, int, int]:
    """Calls, files, and moves between files."""
    files = [file for file, _ in path]
    return len(files), len(set(files)), sum(one != other for one, other in itertools.pairwise(files))


def distance_map() -> Callable[[], Any]:
    """`SignedDistanceMapd` with the robust preset on a label of two classes."""
    labels = np.zeros((1, 32, 32, 32), np.int64)
    labels[0, 10:20, 8:24, 9:21] = 1
    data = {"label": MetaTensor(torch.from_numpy(labels), affine=torch.diag(torch.tensor([3.0, 1.0, 1.0, 1.0])))}
    transform = SignedDistanceMapd("label", num_classes=2, preset="robust")
    return lambda: transform(data)


def boundary_aware_step() -> Callable[[], Any]:
    """Forward and backward of `CrossEntropyBoundaryAwareLoss` on one image with three seeds."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 1, 64, 64, generator=generator).requires_grad_()
    membrane = (torch.rand(1, 1, 64, 64, generator=generator) > 0.8).float()
    seeds = torch.zeros(1, 1, 64, 64, dtype=torch.int32)
    for number, place in enumerate(((5, 5), (40, 40), (5, 50)), start=1):
        seeds[0, 0][place] = number
    loss = CrossEntropyBoundaryAwareLoss()
    return lambda: loss(logits, membrane, seeds).backward()


def main(*options: str) -> None:
    """Print both."""
    warnings.simplefilter("ignore")
    print("| what | calls | files | moves between files |\n| --- | --- | --- | --- |")
    for name, make in (("SignedDistanceMapd, robust, K=2", distance_map),
                       ("CrossEntropyBoundaryAwareLoss step", boundary_aware_step)):  # fmt: skip
        call = make()
        call()
        path = call_path(call)
        print("| " + " | ".join(map(str, (name, *summary(path)))) + " |")
        if "--calls" in options:
            print(*(f"    {file} {function}" for file, function in path), sep="\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
