"""CPU time of interleaved repeats, peak memory of a fresh process, memory bandwidth, and what machine it was."""

from __future__ import annotations

import datetime
import gc
import importlib.metadata
import math
import multiprocessing
import os
import platform
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

__all__ = [
    "BUDGET_S",
    "WarmCopy",
    "data_folder",
    "fresh_peak_mb",
    "interleaved",
    "machine",
    "peak_growth_mb",
    "replace_between",
]

BUDGET_S = 8.0
PACKAGES = ("monai-boundary", "numpy", "scipy", "edt", "SimpleITK", "torch", "monai", "nibabel", "numba")
PRELOADED = ["torch", "monai.losses", "scipy.ndimage", "edt", "SimpleITK", "nibabel", "monai_boundary.losses"]


def data_folder() -> Path:
    """The folder of real images, whether it is there or not."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    return Path(os.environ.get("MONAI_BOUNDARY_DATA", default))


def interleaved(
    calls: Mapping[str, Callable[[], object]],
    repeats: int,
    budget_s: float = math.inf,
    first: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, dict[str, list[float]]]:
    """Run all calls in turn, `repeats` times, and return the seconds of CPU and of wall time of each run.

    A call that has taken more than `budget_s` seconds of CPU is not run again. `first` gets what the calls returned in
    the first round, which is then let go.
    """
    times: dict[str, dict[str, list[float]]] = {name: {"cpu_s": [], "wall_s": []} for name in calls}
    results: dict[str, Any] = {}
    gc.collect()
    gc.freeze()  # otherwise each collection goes through all objects of torch and monai, for some tenths of a second
    try:
        for number in range(repeats):
            for name, call in calls.items():
                if sum(times[name]["cpu_s"]) > budget_s:
                    continue
                gc.collect()
                cpu, wall = time.process_time(), time.perf_counter()
                result = call()
                times[name]["cpu_s"].append(time.process_time() - cpu)
                times[name]["wall_s"].append(time.perf_counter() - wall)
                if first is not None and number == 0:
                    results[name] = result
                del result
            if first is not None and number == 0:
                first(results)
                results.clear()
    finally:
        gc.unfreeze()
    return times


class WarmCopy:
    """A copy between two arrays that were both written before; the measure of what memory can do on one thread."""

    def __init__(self, megabytes: int) -> None:
        self.source = np.ones(megabytes << 18, np.float32)
        self.target = np.ones_like(self.source)

    def __call__(self) -> None:
        """Copy once."""
        np.copyto(self.target, self.source)

    def gb_per_s(self, seconds: float) -> float:
        """Bytes read and written in a second, in 10^9."""
        return 2 * self.source.nbytes / seconds / 1e9


def peak_growth_mb(call: Callable[[], object]) -> float:
    """Growth of the resident set at its peak while `call` runs, its result included; Linux only."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again at the present size
    before = _status_kb("VmRSS")
    result = call()
    peak = _status_kb("VmHWM")
    del result
    return (peak - before) / 1024


def fresh_peak_mb(measure: Callable[..., float], *arguments: Any) -> float:
    """Run `measure`, which returns its `peak_growth_mb`, in a process that has done nothing before but imports."""
    # Otherwise malloc keeps freed blocks up to 32 MB, and what reuses them does not show as growth.
    os.environ["MALLOC_MMAP_THRESHOLD_"] = str(1 << 20)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        return pool.submit(measure, *arguments).result()


def replace_between(path: Path, begin: str, end: str, text: str) -> None:
    """Put `text` between two marks of a Markdown file, in the place of what is there."""
    head, rest = path.read_text(encoding="utf-8").split(begin)
    path.write_text(f"{head}{begin}\n{text}\n{end}{rest.split(end)[1]}", encoding="utf-8")


def machine() -> dict[str, Any]:
    """Describe where and when the numbers are taken."""
    models = [line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "load_average_at_start": [round(load, 2) for load in os.getloadavg()],
        "versions": {name: found for name in PACKAGES if (found := _version(name)) is not None},
    }


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _status_kb(field: str) -> int:
    return next(int(line.split()[1]) for line in _lines("/proc/self/status") if line.startswith(field + ":"))


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []
