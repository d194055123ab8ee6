"""Make the maps of a data set, or of a share of it, with several processes."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from monai_boundary._check import check_choice
from monai_boundary.kernels.distance import Backend, DistanceMapOptions, resolve_backend
from monai_boundary.map_store.blosc import ENDING, require_blosc2
from monai_boundary.map_store.manifest import MANIFEST, ManifestPart, part_files, read_manifest
from monai_boundary.map_store.settings import MapSettings
from monai_boundary.map_store.store import MapStore
from monai_boundary.precompute.case import Job, remove_parts
from monai_boundary.precompute.pool import make_maps
from monai_boundary.precompute.sources import DataSource, find_source

__all__ = ["DEFAULT_OPTIONS", "Precomputed", "precompute_maps", "precompute_shard"]

#: 20 mm leave room for the robust maps (10 mm) of objects that a random zoom makes up to 1.4 times smaller.
DEFAULT_OPTIONS = DistanceMapOptions(clip=20.0, absent="far")
_BACKENDS: tuple[Backend, ...] = ("auto", "edt", "numba")  # the fast ones for arrays in memory


@dataclass
class Precomputed:
    """What a run did.

    Args:
        folder: Folder of the maps.
        made: Cases made now.
        kept: Cases that an earlier run had finished, their files intact.
        remade: Reason by case, for those made now over an earlier map.
        missing: Cases of the data set without a map, of this share or another.
    """

    folder: Path
    made: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    remade: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)


def precompute_maps(  # noqa: PLR0913 - what the command line offers
    data: str | os.PathLike[str],
    out: str | os.PathLike[str],
    options: DistanceMapOptions = DEFAULT_OPTIONS,
    *,
    num_classes: int | None = None,
    ignore_index: int | None = None,
    include_background: bool = False,
    dtype: Any = "float16",
    shard: str | None = None,
    cases: Sequence[str] | None = None,
    workers: int = 1,
    backend: Backend = "auto",
    progress: bool = True,
) -> Precomputed:
    """Make the distance map of every whole volume of a data set.

    Maps that are there, intact and of unchanged labels are not made again. Every job writes a part of the manifest of
    its own; a run without shard or list gathers all parts in one ``manifest.json``.

    Args:
        data: Folder of one 3-D configuration below an nnU-Net preprocessed data set, or a datalist or its folder.
        out: Folder of the maps, for one data set and one choice of settings.
        options: Settings of the maps.
        num_classes: Classes including the background; from ``dataset.json`` where there is one.
        ignore_index: Label that is not counted; likewise.
        include_background: Whether class 0 has a channel.
        dtype: ``"float16"`` or ``"float32"``.
        shard: ``"I/N"``, I from 1 to N: every N-th case from the I-th on.
        cases: Names of the cases to do, in place of all; `shard` then shares these out.
        workers: Number of processes; 1 works in this one.
        backend: ``"auto"``, ``"edt"`` or ``"numba"``; see `signed_distance_map`. Maps are equal to rounding (float16:
            to its last digit), so that the manifest does not name it.
        progress: Show a progress bar.

    Raises:
        ImportError: Blosc2 is not installed.
        ValueError: Wrong arguments; `out` holds maps with other settings; label files that cannot be used, after all
            others are done.
        OSError: The disk is full, or a file cannot be read or written.
        RuntimeError: A worker was killed, or the package of `backend` is not installed. Whatever the error, finished
            maps are kept.
    """
    require_blosc2()
    if workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    resolve_backend(check_choice("backend", backend, _BACKENDS))
    source, folder = find_source(data), Path(out)
    settings = _settings(source, options, num_classes, ignore_index, include_background, dtype)
    chosen = _share(_chosen(source, cases, data), shard)
    folder.mkdir(parents=True, exist_ok=True)
    remove_parts(folder)
    part = ManifestPart(folder / _part_name(shard, cases), settings)
    store = _earlier(folder, settings)
    result = Precomputed(folder)
    jobs = []
    for name in tqdm(chosen, desc="check", unit="map", disable=not progress or store is None):
        job = Job(source.cases[name], folder, settings, backend)
        reason = _why(store, job)
        if reason is None and store is not None:
            result.kept.append(name)
            part.records[name] = store.records[name]
            continue
        if reason:
            result.remade[name] = reason
        jobs.append(job)
    try:
        result.made = make_maps(jobs, workers, part, progress)
    finally:
        part.write()
    if shard is None and cases is None:
        _gather(part, set(source.cases))
    manifest = read_manifest(folder)
    result.missing = sorted(set(source.cases) - set(manifest[1] if manifest else ()))
    return result


def precompute_shard(
    shard: str, data: str | os.PathLike[str], out: str | os.PathLike[str], **settings: Any
) -> Precomputed:
    """`precompute_maps` with the shard first and no progress bar, for ``client.map`` of dask.distributed and its like.

    Args:
        shard: ``"I/N"``.
        data: See `precompute_maps`.
        out: A folder that all machines share.
        **settings: Further arguments of `precompute_maps`.
    """
    return precompute_maps(data, out, shard=shard, **{"progress": False, **settings})


def _settings(
    source: DataSource,
    options: DistanceMapOptions,
    num_classes: int | None,
    ignore_index: int | None,
    include_background: bool,
    dtype: Any,
) -> MapSettings:
    scheme = source.scheme
    if scheme is None and num_classes is None:
        raise ValueError(
            "num_classes must be given for a datalist without dataset.json, got None; pass --num-classes (the "
            "background counts)"
        )
    if scheme is not None:
        for name, given, found in (
            ("num_classes", num_classes, scheme.num_classes),
            ("ignore_index", ignore_index, scheme.ignore_index),
        ):
            if given is not None and given != found:
                raise ValueError(f"{name} must be that of dataset.json, {found}, or left out, got {given}")
        num_classes, ignore_index = scheme.num_classes, scheme.ignore_index
        if scheme.regions is not None and include_background:
            raise ValueError("include_background must be off for regions, got True; regions have no background")
    regions = None if scheme is None else scheme.regions
    return MapSettings(int(num_classes or 0), options, include_background, ignore_index, regions, dtype)


def _chosen(source: DataSource, cases: Sequence[str] | None, data: object) -> list[str]:
    if cases is None:
        return list(source.cases)
    missing = [name for name in cases if name not in source.cases]
    if missing or not cases:
        raise ValueError(
            f"cases must name cases of {data} ({len(source.cases)}, such as {next(iter(source.cases))}), got "
            f"{', '.join(missing[:5]) or 'none'}; correct the list"
        )
    return sorted(set(cases))


def _share(names: list[str], shard: str | None) -> list[str]:
    if shard is None:
        return names
    found = re.fullmatch(r"(\d+)/(\d+)", str(shard))
    number, count = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= number <= count:
        raise ValueError(f"shard must be I/N with 1 <= I <= N, such as 1/8, got {shard!r}")
    return names[number - 1 :: count]


def _part_name(shard: str | None, cases: Sequence[str] | None) -> str:
    words = ["manifest"]
    if cases is not None:
        words.append("list-" + hashlib.sha256("\n".join(sorted(set(cases))).encode()).hexdigest()[:12])
    if shard is not None:
        words.append(shard.replace("/", "-of-"))
    return MANIFEST if len(words) == 1 else f"{'.'.join(words)}.json"


def _earlier(folder: Path, settings: MapSettings) -> MapStore | None:
    """Return the maps that are there, which must have the same settings."""
    if not part_files(folder):
        return None
    store = MapStore(folder)
    store.require(**settings.content())
    return store


def _why(store: MapStore | None, job: Job) -> str | None:
    """Say why an earlier map does not do: empty where there is none, ``None`` where it does."""
    case = job.labels.case
    if store is None or case not in store.records:
        return ""
    record, labels = store.records[case], job.labels
    if not record.source.same_as(labels.path):
        return "its labels changed"
    if labels.spacing is not None and labels.spacing != record.spacing:
        return f"its spacing was {record.spacing}, is {labels.spacing}"
    try:
        store.check_file(case)
    except ValueError as error:
        return str(error)
    return None


def _gather(part: ManifestPart, cases: set[str]) -> None:
    """Make one manifest of all parts and remove the others, unless a job that still runs has added to its own.

    Maps of cases that are not in this data, as of another datalist in the same folder, stay where they exist.
    """
    folder = part.path.parent
    manifest = read_manifest(folder)
    found = manifest[1] if manifest else {}
    part.records = {
        case: record for case, record in found.items() if case in cases or (folder / f"{case}{ENDING}").exists()
    }
    part.write()
    for path in part_files(folder):
        records = ManifestPart(path, part.settings).records
        known = all(case in found and record.written <= found[case].written for case, record in records.items())
        if path != part.path and known:
            path.unlink(missing_ok=True)
