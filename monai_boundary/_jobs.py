"""Many cases done one by one: in this process, in several, on the workers of Dask, or a share on each machine."""

from __future__ import annotations

import contextlib
import multiprocessing
import re
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from contextlib import closing
from typing import Protocol, TypeVar

from tqdm import tqdm

from monai_boundary._files import is_full
from monai_boundary._words import counted

__all__ = ["Job", "executor", "run_jobs", "share_of"]

_REFUSED = (ValueError, TypeError, OSError, MemoryError)  # faults of one case; all else ends a worker

Case = TypeVar("Case")


class Job(Protocol):
    """One case to be done."""

    @property
    def case(self) -> str:
        """Its name."""

    def run(self) -> None:
        """Do it, whole or not at all."""


def share_of(cases: Sequence[Case], shard: str | None) -> list[Case]:
    """Return every N-th case from the I-th on, for the shard ``"I/N"``, I from 1 to N; all for ``None``.

    Raises:
        ValueError: `shard` is none.
    """
    found = re.fullmatch(r"(\d+)/(\d+)", "1/1" if shard is None else shard)
    first, number = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= first <= number:
        raise ValueError(f"shard must be I/N with I from 1 to N, such as 3/8, got {shard!r}")
    return list(cases[first - 1 :: number])


@contextlib.contextmanager
def executor(workers: int, dask: str | None, lost: list[str], preload: Sequence[str] = ()) -> Iterator[Executor | None]:
    """Open the pool that does the work, if any.

    Args:
        workers: Number of processes; 1 is none.
        dask: Address of a Dask scheduler, in place of processes here.
        lost: Receives the addresses of the workers of Dask that went away.
        preload: Modules that processes import once for all.

    Raises:
        ImportError: Dask is not installed.
        ValueError: `workers` is below 1, or above 1 with `dask`.
        OSError: No scheduler answers.
    """
    if workers < 1 or (dask is not None and workers > 1):
        raise ValueError(f"workers must be at least 1, and 1 with dask, got {workers}")
    if dask is not None:
        try:
            from distributed import Client
        except ImportError:
            raise ImportError("dask needs dask.distributed, got none; pip install 'monai-boundary[dask]'") from None
        with Client(dask, set_as_default=False) as client:
            before = set(client.nthreads())
            yield client.get_executor(pure=False)
            lost += sorted(before - set(client.nthreads()))
    elif workers > 1:
        # no forks of this process, whose threads, such as torch's, may hang in them; torch is imported once for all
        ways = multiprocessing.get_all_start_methods()
        context = multiprocessing.get_context("forkserver" if "forkserver" in ways else "spawn")
        context.set_forkserver_preload(list(preload))
        with ProcessPoolExecutor(workers, context) as pool:
            yield pool
    else:
        yield None


def run_jobs(jobs: Sequence[Job], pool: Executor | None, progress: bool, thing: str) -> list[str]:
    """Do all jobs, in `pool` or in this process, and return the names of the cases; an error tells what is not done.

    Args:
        jobs: They can be pickled where there is a pool.
        pool: See `executor`.
        progress: Show a progress bar.
        thing: What each makes, such as ``"map"``.

    Raises:
        OSError: The disk is full.
        RuntimeError: A worker was killed.
        ValueError: Some cases are not done, once all others are.
    """
    made: list[str] = []
    errors: dict[str, BaseException] = {}
    with closing(_outcomes(jobs, pool)) as outcomes:  # whatever ends this, nothing else is begun
        for case, error in tqdm(outcomes, total=len(jobs), desc=f"{thing}s", unit=thing, disable=not progress):
            if error is None:
                made.append(case)
            else:
                errors[case] = error
            if is_full(error):
                break
    if errors:
        raise _summary(errors, thing, f"{len(made)} of {len(jobs)} {thing}s are finished and kept")
    return sorted(made)


def _outcomes(jobs: Sequence[Job], pool: Executor | None) -> Generator[tuple[str, BaseException | None], None, None]:
    """Yield every case with its error, if any, as they end; once closed, it begins no other."""
    if pool is None:
        yield from ((job.case, _attempt(job)) for job in jobs)
        return
    futures = {pool.submit(_attempt, job): job.case for job in jobs}
    try:
        for future in as_completed(futures):
            yield futures[future], future.exception() or future.result()
    finally:
        for future in futures:
            future.cancel()


def _attempt(job: Job) -> BaseException | None:
    try:
        job.run()
    except _REFUSED as error:
        return error
    return None


def _summary(errors: dict[str, BaseException], thing: str, kept: str) -> Exception:
    full = next((error for error in errors.values() if is_full(error)), None)
    if isinstance(full, OSError):
        return OSError(full.errno, f"{full.strerror}; {kept}; make room and run the same command again", full.filename)
    killed = [error for error in errors.values() if not isinstance(error, _REFUSED)]
    if killed:
        return RuntimeError(
            f"a worker was killed, as happens when memory runs out, and {counted(len(killed), thing)} not made; "
            f"{kept}; run the same command again, with fewer workers if it was the memory"
        )
    reasons = "; ".join(
        f"{case}: {str(error) or 'it does not fit into memory'}" for case, error in list(errors.items())[:3]
    )
    return ValueError(
        f"{counted(len(errors), 'case has', 'cases have')} no {thing}: {reasons}; {kept}; repair these and run it again"
    )
