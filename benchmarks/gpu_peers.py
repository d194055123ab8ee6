"""Signed maps by cupy and cuCIM, where they are installed and there is a GPU; and the rows of gpu.py as records."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from benchmark import Against, Record, compare, floor_of, make_record
from gpu_step import STEP_TARGET

__all__ = ["peer_calls", "records"]

PEERS = {"cupy": "cupyx.scipy.ndimage", "cucim": "cucim.core.operations.morphology"}


def peer_calls(
    labels: torch.Tensor, num_classes: int, spacing: tuple[float, ...]
) -> dict[str, Callable[[], list[torch.Tensor]]]:
    """Return one call per library: outside minus inside distance of every foreground class of every sample."""
    calls: dict[str, Callable[[], list[torch.Tensor]]] = {}
    if labels.is_cuda:
        for name, module in PEERS.items():
            try:
                transform = importlib.import_module(module).distance_transform_edt
                cupy = importlib.import_module("cupy")
            except (ImportError, AttributeError):
                continue
            calls[name] = _call(cupy, transform, labels, num_classes, spacing)
    return calls


def _call(
    cupy: Any, transform: Callable[..., Any], labels: torch.Tensor, num_classes: int, spacing: tuple[float, ...]
) -> Callable[[], list[torch.Tensor]]:
    def signed(mask: torch.Tensor) -> torch.Tensor:
        inside = cupy.from_dlpack(mask.to(torch.uint8))
        settings = {"sampling": spacing, "float64_distances": False}
        outside = transform(1 - inside, **settings) - transform(inside, **settings)
        return torch.from_dlpack(outside)

    return lambda: [signed(sample[0] == index) for sample in labels for index in range(1, num_classes)]


def records(
    rows: Sequence[Mapping[str, Any]], num_classes: int, voxels: int, traffic_target: float
) -> dict[str, Record]:
    """The rows of benchmarks/gpu.py as records, by name; of cupy and cuCIM ours must be 5 times faster."""
    found: dict[str, Record] = {}
    for title in dict.fromkeys(row["what"] for row in rows):
        own = {row["case"]: row for row in rows if row["what"] == title}
        record = make_record(title, "gpu", {case: {"wall_s": row["wall_s"]} for case, row in own.items()}, "wall_s")
        record["peak_mb"] = {case: row["peak_mb"] for case, row in own.items() if row["peak_mb"] is not None}
        judged = any(row.get("met") is not None for row in own.values())
        ours = next(iter(own))
        targets = {**dict.fromkeys(PEERS, 5.0), "stock": 1 / STEP_TARGET}
        peers = [Against(case, targets.get(case), ours=ours) for case in own if case != ours]
        record["results"] = compare(record, tuple(peers), judged)
        if "floor_ms" in own[ours]:
            moved = 3 * 4 * num_classes * voxels
            rate = moved / own[ours]["floor_ms"] / 1e6
            record["floor"] = floor_of(record, moved, rate, traffic_target if judged else None, ours)
        if title.startswith("maps (whole)"):
            record["missing"] = [name for name in PEERS if name not in own]
        found["gpu_" + title.split(",")[0].translate(str.maketrans(" ", "_", "()"))] = record
    return found
