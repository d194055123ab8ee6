"""Make the map of one case, and of many: in this process, in several, or on the workers of Dask."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator
from concurrent.futures import Executor, as_completed
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from monai_boundary._checksums import file_digest
from monai_boundary._files import is_full, write_bytes
from monai_boundary._geometry import affine_spacing
from monai_boundary.datasets.nifti import load_nifti
from monai_boundary.kernels.distance import DistanceMapOptions, labels_distance_map
from monai_boundary.map_store import MapRecord, encode_map

__all__ = ["Job", "MapSettings", "run_jobs"]

_REFUSED = (ValueError, TypeError, OSError, MemoryError)  # faults of one case; all else ends a worker


@dataclass(frozen=True)
class MapSettings:
    """How the maps of a data set are made; see `SignedDistanceMap` for the fields."""

    options: DistanceMapOptions
    num_classes: int
    include_background: bool = False
    ignore_index: int | None = None

    @property
    def dtype(self) -> str:
        """``"float16"`` where the options bound the values so that they fit, else ``"float32"``."""
        largest = self.options.clip if self.options.normalize is None else 1.0
        balance = self.options.balance_cap if self.options.balance > 0 else 1.0
        capped = not self.options.balance_lesions
        fits = capped and largest is not None and largest * balance < float(np.finfo(np.float16).max)
        return "float16" if fits else "float32"

    def content(self) -> dict[str, Any]:
        """Return all of it in one flat dictionary for JSON."""
        flat = dataclasses.asdict(self)
        return {"dtype": self.dtype, **flat.pop("options"), **flat}


@dataclass(frozen=True)
class Job:
    """One case to be done: its name, its label file, the file of its map, and the settings."""

    case: str
    labels: Path
    path: Path
    settings: MapSettings

    def run(self) -> None:
        """Make the map and put it in its place, in one step over an earlier one."""
        # taken first: should the file change while it is read, the map counts as one of the file before
        source = file_digest(self.labels)
        array, affine = load_nifti(self.labels)
        if array.min() >= 0 and array.max() <= 255 and ((small := array.astype(np.uint8)) == array).all():
            array = small  # a quarter of the memory
        given, spacing = self.settings, affine_spacing(affine, 3)
        maps = labels_distance_map(
            array[None], given.num_classes, spacing, given.options, given.include_background, given.ignore_index
        ).astype(given.dtype, order="C")
        geometry = list(maps.shape), list(spacing), affine.tolist()
        record = MapRecord(given.content(), *geometry, str(self.labels.resolve()), source)
        write_bytes(self.path, encode_map(maps, record))


def run_jobs(jobs: list[Job], pool: Executor | None, progress: bool) -> list[str]:
    """Do all jobs, in `pool` or in this process, and return the names of the cases; an error tells what is not done."""
    made: list[str] = []
    errors: dict[str, BaseException] = {}
    with closing(_outcomes(jobs, pool)) as outcomes:  # whatever ends this, nothing else is begun
        for case, error in tqdm(outcomes, total=len(jobs), desc="distance maps", unit="map", disable=not progress):
            if error is None:
                made.append(case)
            else:
                errors[case] = error
            if is_full(error):
                break
    if errors:
        raise _summary(errors, f"{len(made)} of {len(jobs)} maps are finished and kept")
    return sorted(made)


def _outcomes(jobs: list[Job], pool: Executor | None) -> Generator[tuple[str, BaseException | None], None, None]:
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


def _summary(errors: dict[str, BaseException], kept: str) -> Exception:
    full = next((error for error in errors.values() if is_full(error)), None)
    if isinstance(full, OSError):
        return OSError(full.errno, f"{full.strerror}; {kept}; make room and run the same command again", full.filename)
    killed = [error for error in errors.values() if not isinstance(error, _REFUSED)]
    if killed:
        return RuntimeError(
            f"a worker was killed, as happens when memory runs out, and {len(killed)} maps were not made; {kept}; run "
            "the same command again, with fewer workers if it was the memory"
        )
    reasons = "; ".join(
        f"{case}: {str(error) or 'it does not fit into memory'}" for case, error in list(errors.items())[:3]
    )
    return ValueError(f"{len(errors)} cases have no map: {reasons}; {kept}; repair these and run it again")
