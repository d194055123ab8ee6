"""Distance maps of whole volumes on disk: what a volume costs once, and what a patch costs then.

    python benchmarks/precompute.py --json docs/results/precompute.json --docs docs/scale.md
    python benchmarks/precompute.py --quick

CPU seconds on one thread. Masks are the MS lesions of 192 x 512 x 512 voxels where they are there, else phantoms of
that size. The patch of 128^3 is drawn at the same places for both ways: read from the volume's map, or computed from
the labels of the patch, which are in memory, with the same settings.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # read by the libraries at import

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from benchmark import Against, Record, compare, make_record
from measure import data_folder, interleaved, machine, replace_between
from phantoms_speed import ellipsoids
from precompute_report import markdown, picture, simulate
from tables import new_run
from tqdm import tqdm

from monai_boundary.datasets.nifti import write_volume
from monai_boundary.map_store import MapSettings, MapStore
from monai_boundary.map_store.manifest import ManifestPart
from monai_boundary.precompute.case import Job, make_map
from monai_boundary.precompute.run import DEFAULT_OPTIONS
from monai_boundary.precompute.sources import LabelFile

BEGIN, END = "<!-- precompute.py writes from here -->", "<!-- to here -->"
PATCH, QUICK_PATCH = 128, 48
SHAPE, QUICK_SHAPE = (192, 512, 512), (64, 160, 160)


def volumes(quick: bool, folder: Path) -> list[Path]:
    """Label files of 50 M voxels: real where they are there."""
    found = sorted((data_folder() / "ms_lesions" / "masks_raw").glob("*.nii.gz"))
    if found and not quick:
        return found[:2]
    shape = QUICK_SHAPE if quick else SHAPE
    write_volume(folder / "phantom.nii.gz", ellipsoids(shape, 2).astype(np.uint8), (1.0, 0.5, 0.5))
    return [folder / "phantom.nii.gz"]


def whole_volumes(files: list[Path], out: Path, repeats: int) -> tuple[list[dict[str, Any]], MapSettings]:
    """Time and size of each volume's map, from the label file to the file of the map."""
    settings = MapSettings(2, DEFAULT_OPTIONS)
    part, rows = ManifestPart(out / "manifest.json", settings), []
    for file in tqdm(files, desc="whole volumes", unit="volume"):
        name = file.name.split(".")[0]
        job = Job(LabelFile(name, file, None), out, settings)
        labels = job.labels.read()
        calls: dict[str, Callable[[], object]] = {
            "whole": lambda job=job: part.add(job.labels.case, make_map(job)),
            "read labels": lambda job=job: job.labels.read(),
            "map": lambda labels=labels: settings.maps(labels.array, labels.spacing),
        }
        times = interleaved(calls, repeats)
        record = part.records[name]
        rows.append(
            {
                "case": name,
                "shape": record.shape,
                "bytes": record.size,
                "raw_bytes": 2 * int(np.prod(record.shape)),
                "foreground": float(labels.array.mean()),
                "times": times,
            }
        )
    return rows, settings


def patches(file: Path, out: Path, settings: MapSettings, edge: int, count: int, repeats: int) -> dict[str, Any]:
    """Read a patch of the stored map, or compute it from the patch's labels, at random places and at lesions."""
    store, name = MapStore(out), file.name.split(".")[0]
    volume = LabelFile(name, file, None).read()
    generator, shape = np.random.default_rng(0), volume.array.shape[1:]
    centres = np.argwhere(volume.array[0])
    places = [[int(generator.integers(0, size - edge + 1)) for size in shape] for _ in range(count)]
    for _ in range(count):
        centre = centres[generator.integers(len(centres))]
        places.append([int(np.clip(c - edge // 2, 0, s - edge)) for c, s in zip(centre, shape, strict=True)])
    store.read(name, places[0], (edge,) * 3)  # compares the checksum, once in a process
    rows: dict[str, dict[str, list[float]]] = {}
    for start in places:
        box = (slice(None), *(slice(s, s + edge) for s in start))
        patch = np.ascontiguousarray(volume.array[box])
        calls = {
            "read": lambda start=start: store.read(name, start, (edge,) * 3),
            "compute": lambda patch=patch: settings.maps(patch, volume.spacing),
        }
        for key, times in interleaved(calls, repeats).items():
            for clock, values in times.items():
                rows.setdefault(key, {}).setdefault(clock, []).append(median(values))
    first = interleaved({"checksum": lambda: store.check_file(name)}, 3)
    return {"edge": edge, "places": len(places), "times": {**rows, **first}}


def growth(quick: bool, repeats: int) -> dict[str, list[dict[str, float]]]:
    """Cost of map and compression by number of voxels (two classes) and of classes (128^3)."""
    sizes = (32, 48, 64) if quick else (32, 64, 128, 192, 256, 368)
    classes = (2, 3) if quick else (2, 3, 5, 9, 17)
    found: dict[str, list[dict[str, float]]] = {"voxels": [], "classes": []}
    for size in tqdm(sizes, desc="sizes", unit="size"):
        found["voxels"].append({"voxels": size**3, **_cost((size,) * 3, 2, repeats)})
    for number in tqdm(classes, desc="classes", unit="number"):
        cost = _cost((sizes[2],) * 3, number, repeats)
        found["classes"].append({"classes": number - 1, "voxels": sizes[2] ** 3, **cost})
    return found


def _cost(shape: tuple[int, ...], classes: int, repeats: int) -> dict[str, float]:
    from monai_boundary.map_store.blosc import encode_map

    settings = MapSettings(classes, DEFAULT_OPTIONS)
    labels = ellipsoids(shape, classes)[None]
    sizes: list[int] = []
    times = interleaved({"all": lambda: sizes.append(len(encode_map(settings.maps(labels, (1.0, 1.0, 1.0)))))}, repeats)
    return {"cpu_s": median(times["all"]["cpu_s"]), "wall_s": median(times["all"]["wall_s"]), "bytes": sizes[0]}


def patch_record(patch: dict[str, Any], quick: bool) -> Record:
    """The patch in the form of benchmarks/run.py: it must be read faster than it is computed."""
    record = make_record(f"patch of {patch['edge']}^3 from a precomputed map", "precompute", patch["times"])
    record["results"] = compare(record, (Against("compute", 1.0, ours="read"),), judged=not quick)
    return record


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small arrays, whose figures say nothing")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write all raw times here, and precompute_growth.png beside it")
    parser.add_argument("--docs", type=Path, help="replace the tables in this Markdown file")
    options = parser.parse_args(arguments)
    report: dict[str, Any] = {"machine": machine(), "quick": options.quick}
    _cost((16,) * 3, 2, 1)  # what is loaded and compiled at the first call is no part of any figure
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = volumes(options.quick, folder)
        report["volumes"], settings = whole_volumes(files, folder, options.repeats)
        edge = QUICK_PATCH if options.quick else PATCH
        report["patch"] = patches(files[0], folder, settings, edge, 3 if options.quick else 8, options.repeats)
    report["runs"] = [new_run(options.quick, {"precompute_patch": patch_record(report["patch"], options.quick)})]
    report["growth"] = growth(options.quick, options.repeats)
    report["simulation"] = simulate(report["volumes"])
    print(markdown(report))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        picture(report["growth"], report["simulation"], options.json.with_name("precompute_growth.png"))
    if options.docs:
        replace_between(options.docs, BEGIN, END, markdown(report))


if __name__ == "__main__":
    main()
