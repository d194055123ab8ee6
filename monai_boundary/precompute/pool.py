"""Run the jobs in one or several processes, and say at the end what went wrong."""

from __future__ import annotations

import errno
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.context import BaseContext

from tqdm import tqdm

from monai_boundary.map_store.manifest import ManifestPart, MapRecord
from monai_boundary.precompute.case import Job, disk_is_full, make_map

__all__ = ["make_maps"]


def make_maps(jobs: list[Job], workers: int, part: ManifestPart, progress: bool) -> list[str]:
    """Do all jobs, note each map in `part` as soon as it is there, and return the names of the cases.

    Raises:
        OSError: The disk is full: what had not begun is left out.
        RuntimeError: A worker was killed, which ends all of them.
        ValueError: Some label files cannot be used; all others are done.
    """
    made: list[str] = []
    errors: dict[str, BaseException] = {}
    for job, outcome in tqdm(
        _outcomes(jobs, workers), total=len(jobs), desc="distance maps", unit="map", disable=not progress
    ):
        if isinstance(outcome, MapRecord):
            part.add(job.labels.case, outcome)
            made.append(job.labels.case)
        else:
            errors[job.labels.case] = outcome
    if errors:
        raise _reason(errors, len(jobs), made, part, workers)
    return made


def _outcomes(jobs: list[Job], workers: int) -> Iterator[tuple[Job, MapRecord | BaseException]]:
    """Yield every job with its record or its error as they end; after a full disk no other is begun."""
    if workers == 1 or len(jobs) < 2:
        for job in jobs:
            outcome = _attempt(job)
            yield job, outcome
            if disk_is_full(outcome):
                return
        return
    pool = ProcessPoolExecutor(min(workers, len(jobs)), _context())
    try:
        futures = {pool.submit(_attempt, job): job for job in jobs}
        for future in as_completed(futures):
            if future.cancelled():
                continue
            outcome = future.exception() or future.result()
            yield futures[future], outcome
            if disk_is_full(outcome):
                for other in futures:
                    other.cancel()
    finally:
        pool.shutdown(cancel_futures=True)


def _context() -> BaseContext:
    """Return how to start workers: not by a fork of this process, whose threads, such as torch's, may hang in it."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["monai_boundary.precompute.case"])  # torch is imported once, not by each worker
    return context


def _attempt(job: Job) -> MapRecord | BaseException:
    try:
        return make_map(job)
    except (ValueError, TypeError, OSError) as error:
        return error


def _reason(
    errors: dict[str, BaseException], jobs: int, made: list[str], part: ManifestPart, workers: int
) -> Exception:
    kept = f"{len(made)} of {jobs} maps are finished and kept"
    full = next((error for error in errors.values() if disk_is_full(error)), None)
    if full is not None:
        left, sizes = jobs - len(made), [record.size for record in part.records.values()]
        need = f", about {left * sum(sizes) / len(sizes) / 1e6:.3g} MB for the {left} that are left" if sizes else ""
        text = f"{getattr(full, 'strerror', full)}{need}; {kept}; make room and run the same command again"
        return OSError(errno.ENOSPC, text, os.fspath(part.path.parent))
    killed = [case for case, error in errors.items() if isinstance(error, BrokenProcessPool)]
    if killed:
        return RuntimeError(
            f"a worker process was killed, as happens when memory runs out, and {len(killed)} maps were not made; "
            f"{kept}; run the same command again, with fewer than {workers} workers if it was the memory"
        )
    reasons = "; ".join(f"{case}: {error}" for case, error in list(errors.items())[:3])
    return ValueError(f"{len(errors)} cases have no map: {reasons}; {kept}; repair these and run it again")
