"""Find what is to be done, have it done, and say what was."""

from __future__ import annotations

import contextlib
import os
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from monai_boundary._check import check_ignore_index
from monai_boundary._checksums import file_digest
from monai_boundary._files import only_writer, part_pattern
from monai_boundary._jobs import executor, run_jobs, share_of
from monai_boundary._words import counted
from monai_boundary.datasets.checks import check_names, data_files
from monai_boundary.datasets.datalist import datalist_file, read_datalist
from monai_boundary.datasets.nifti import NIFTI_ENDINGS, case_name
from monai_boundary.kernels.distance import CLIPPED, DistanceMapOptions
from monai_boundary.map_store import ENDING, read_record, read_records, require_blosc2, require_settings
from monai_boundary.precompute.jobs import Job, MapSettings

__all__ = ["Precomputed", "precompute_maps"]

#: A file is written in one go, in seconds: one that nobody touched for so long has lost its writer.
_ABANDONED_S = 3600.0


@dataclass
class Precomputed:
    """What a run did."""

    folder: Path
    made: list[str] = field(default_factory=list)  # cases made now
    kept: list[str] = field(default_factory=list)  # cases that an earlier run had finished, their files intact
    remade: dict[str, str] = field(default_factory=dict)  # why, of those made now over an earlier map
    missing: list[str] = field(default_factory=list)  # cases of the data set without a map, of this share or another
    lost: list[str] = field(default_factory=list)  # addresses of Dask workers that left during the run


def precompute_maps(  # noqa: PLR0913 - what the command line offers
    data: str | os.PathLike[str],
    out: str | os.PathLike[str],
    num_classes: int,
    options: DistanceMapOptions = CLIPPED,
    *,
    ignore_index: int | None = None,
    include_background: bool = False,
    shard: str | None = None,
    workers: int = 1,
    dask: str | None = None,
    progress: bool = True,
) -> Precomputed:
    """Make the distance map of every whole volume of a data set; those that are there, intact and up to date, are kept.

    A second run of the same share into the same folder waits until the first has ended; runs of other shares do not.

    Args:
        data: A datalist, see `read_datalist`, or its folder, or a folder of NIfTI label maps such as nnU-Net's
            ``labelsTr``.
        out: Folder of the maps, for one choice of settings.
        num_classes: Classes including the background.
        options: Settings of the maps. They are stored as float16 where a clip or a normalisation bounds them.
        ignore_index: Label that is not counted.
        include_background: Whether class 0 has a channel.
        shard: ``"I/N"``, I from 1 to N: every N-th case from the I-th on.
        workers: Number of processes; 1 works in this one.
        dask: Address of a Dask scheduler whose workers do the work, on folders that they see as this machine does.
        progress: Show a progress bar.

    Raises:
        ImportError: Blosc2 or Dask is not installed.
        ValueError: Wrong arguments; maps of other settings in `out`; unusable label files, after all others are done.
        OSError: The disk is full, or a file cannot be read or written.
        RuntimeError: A worker was killed. Whatever the error, finished maps are kept.
    """
    require_blosc2()
    check_ignore_index(ignore_index)
    labels, folder = _find_labels(data), Path(out).absolute()
    settings = MapSettings(options, num_classes, include_background, ignore_index)
    chosen = share_of(list(labels), shard)
    result, jobs = Precomputed(folder), []
    pooled = executor(workers, dask, result.lost, ["monai_boundary.precompute.jobs"])
    with only_writer(folder, (shard or "1/1").replace("/", "-of-")), pooled as pool:
        _remove_abandoned(folder)
        for case, record in read_records(folder).items():
            require_settings(folder / f"{case}{ENDING}", record, settings.content())
        for case in tqdm(chosen, desc="check", unit="map", disable=not progress):
            job = Job(case, labels[case], folder / f"{case}{ENDING}", settings)
            reason = _outdated(job) if job.path.is_file() else ""
            if reason is None:
                result.kept.append(case)
            else:
                jobs.append(job)
                result.remade |= {case: reason} if reason else {}
        result.made = run_jobs(jobs, pool, progress, "map")
    result.missing = [case for case in labels if not (folder / f"{case}{ENDING}").is_file()]
    return result


def _find_labels(data: str | os.PathLike[str]) -> dict[str, Path]:
    """Return the label files of a data set by case, in the order of the names."""
    path = Path(data).absolute()
    if not path.exists():
        raise FileNotFoundError(f"{data} must be a datalist.json or a folder of label maps, got nothing there")
    if datalist_file(path) is not None:
        listed = [entry for entries in read_datalist(path).values() for entry in entries]
        labels = {entry.case: entry.label for entry in listed if entry.label is not None}
        if without := len(listed) - len(labels):
            warnings.warn(
                f"{data}: {counted(without, 'case has', 'cases have')} no label and no map", UserWarning, stacklevel=3
            )
    else:
        files = data_files(path, NIFTI_ENDINGS)
        labels = {case_name(file): file for file in files}
        if len(labels) < len(files):
            raise ValueError(f"{data} must hold one label map per case, got a .nii and a .nii.gz of the same name")
    if not labels:
        raise ValueError(f"{data} must hold label maps *.nii.gz, or a datalist.json that names some, got neither")
    check_names("cases", labels)
    return dict(sorted(labels.items()))


def _outdated(job: Job) -> str | None:
    """Say why an earlier map does not do, ``None`` where it does."""
    if not job.labels.is_file():
        return "its labels are gone"  # which the job then says, after the others are done
    try:
        record = read_record(job.path, check_array=True)
    except ValueError as error:
        return str(error)
    return None if file_digest(job.labels) == record.source_sha256 else "its labels changed"


def _remove_abandoned(folder: Path) -> None:
    """Remove what writers that were killed left in the folder of the maps; other jobs may be writing theirs there."""
    for part in folder.glob(part_pattern(f"*{ENDING}")):
        with contextlib.suppress(FileNotFoundError):  # its writer has just put it in place
            if time.time() - part.stat().st_mtime > _ABANDONED_S:
                part.unlink()
