"""Peak memory of one call in a process that has done nothing else: ``python -m benchmarks.memory CASE CALL``, in MB.

It is the growth of the resident memory at its highest, the result included and the input not. Linux only.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

__all__ = ["fresh_peak_mb", "peak_growth_mb"]


def fresh_peak_mb(case: str, call: str, small: bool = False) -> float:
    """Measure in a new process."""
    command = [sys.executable, "-m", "benchmarks.memory", case, call, *["small"] * small]
    # Otherwise malloc keeps freed blocks up to 32 MB, and what reuses them does not show as growth.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": str(1 << 20), "OMP_NUM_THREADS": "1"}
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    return float(done.stdout.split()[-1])


def peak_growth_mb(call: Callable[[], object]) -> float:
    """Growth of the resident memory at its peak while `call` runs."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again at the present size
    before = _status_kb("VmRSS")
    result = call()
    peak = _status_kb("VmHWM")
    del result
    return (peak - before) / 1024


def _status_kb(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field + ":"))


def main(name: str, call: str, *small: str) -> None:
    """Warm up on the small input, so that what libraries load at their first call is no part of it, and measure."""
    import torch

    from benchmarks.cases import CASES

    torch.set_num_threads(1)
    case = CASES[name]
    case.make(*case.small).by_name[call]()
    print(peak_growth_mb(case.make(*(case.small if small else case.full)).by_name[call]))


if __name__ == "__main__":
    main(*sys.argv[1:])
