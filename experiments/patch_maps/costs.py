"""What each of three ways to the map of a patch costs."""

from __future__ import annotations

import datetime
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from tqdm import tqdm

from experiments.patch_maps.cases import CLASSES, case_files, read_case
from experiments.patch_maps.patches import STORED, Box, PatchVolume, cut, finished, local_map, sample_boxes, volume_map
from monai_boundary.datasets.datalist import CaseFiles, write_datalist
from monai_boundary.kernels.distance import ROBUST
from monai_boundary.map_store import MapStore
from monai_boundary.precompute import precompute_maps

__all__ = ["measure_costs"]


def measure_costs(run: dict[str, Any], data: Path, title: str) -> dict[str, Any]:
    """Return median CPU and wall milliseconds per patch, and CPU seconds of a whole map that is stored."""
    name, generator = run["data"], np.random.default_rng(run["seed"])
    listed = case_files(data, name)[: run["cases"]]
    files = [CaseFiles(one.case, (one.label,), one.label) for one in listed if one.label]  # a datalist wants an image
    spent: dict[str, list[tuple[float, float]]] = {"patch": [], "memory": [], "store": []}
    with tempfile.TemporaryDirectory() as folder:
        write_datalist(Path(folder) / "datalist.json", {"training": files})
        cpu = time.process_time()
        precompute_maps(folder, Path(folder) / "maps", CLASSES[name], STORED, progress=False)
        cpu = (time.process_time() - cpu) / len(files)
        store = MapStore(Path(folder) / "maps")
        for one in tqdm(files, desc=title, unit="case"):
            volume = read_case(CaseFiles(one.case, (), one.label), CLASSES[name])
            whole = volume_map(volume, STORED).astype(np.float16)
            store.read(one.case, (0, 0, 0), (1, 1, 1))  # compares the checksum, once in a process
            for box in sample_boxes(volume, run["edge"], run["per_case"], generator):
                for way, call in _ways(volume, box, whole, store).items():
                    spent[way].append(_milliseconds(call))
    return {
        "machine": {"cpu": _processor(), "date": str(datetime.date.today())},
        "precompute_cpu_s": cpu,
        "ms": {way: {"cpu_s": median(c for c, _ in each), "wall_s": median(w for _, w in each)}
               for way, each in spent.items()},
    }  # fmt: skip


def _ways(volume: PatchVolume, box: Box, whole: np.ndarray, store: MapStore) -> dict[str, Callable[[], np.ndarray]]:
    labels = cut(volume.labels, box)
    start, shape = [part.start for part in box], [part.stop - part.start for part in box]
    return {
        "patch": lambda: local_map(volume, box, ROBUST),
        "memory": lambda: finished(cut(whole, box), labels, volume.spacing, ROBUST),
        "store": lambda: finished(store.read(volume.case, start, shape), labels, volume.spacing, ROBUST),
    }


def _milliseconds(call: Callable[[], object], repeats: int = 3) -> tuple[float, float]:
    """Median CPU and wall time."""
    times = []
    for _ in range(repeats):
        cpu, wall = time.process_time(), time.perf_counter()
        call()
        times.append((1000 * (time.process_time() - cpu), 1000 * (time.perf_counter() - wall)))
    return median(cpu for cpu, _ in times), median(wall for _, wall in times)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
