"""A cluster of Dask of which a worker dies."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

__all__ = ["losing_a_worker"]


@contextmanager
def losing_a_worker(begun: Callable[[], object]) -> Iterator[tuple[str, str]]:
    """Start two workers, of which one is killed once something is `begun`; give the addresses of scheduler and victim.

    The worker has died when the block ends.
    """
    distributed = pytest.importorskip("distributed", reason="dask.distributed is not installed")
    settings = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    done = threading.Event()
    with distributed.LocalCluster(**settings) as cluster, distributed.Client(cluster) as client:
        address, pid = sorted(client.run(os.getpid).items())[0]

        def kill() -> None:
            while not done.is_set() and not begun():
                time.sleep(0.001)
            os.kill(pid, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        yield cluster.scheduler_address, address
        done.set()
        killer.join()
