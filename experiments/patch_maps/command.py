"""Does the map of the whole volume matter? Maps made of the patch alone against parts of the volume's map.

Three parts, on hippocampus crops of the Medical Segmentation Decathlon and on multiple-sclerosis lesions: how far the
maps are apart, what each costs, and what a small 3-D U-Net learns from each, everything else the same. Every finished
part and run is a line of the JSON file and is not repeated; without --docs nothing but that file is written.

    python -m experiments.patch_maps.command --json docs/results/patch_maps.jsonl --docs docs/patch_maps.md
    python -m experiments.patch_maps.command --parts training --data-sets hippocampus --seeds 0 1 --epochs 16
    python -m experiments.patch_maps.command --table --docs docs/patch_maps.md
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read by the libraries at import

import argparse
import gc
import tempfile
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from experiments.patch_maps.differences import patch_differences, sample_boxes, summarise
from experiments.patch_maps.patches import STORED, PatchVolume, cut, finished, local_map, volume_map
from experiments.patch_maps.tables import draw_differences, draw_scores, tables
from experiments.patch_maps.training import ARMS, PatchSettings, train_patches
from experiments.shared.data import data_folder
from experiments.shared.journal import finished_runs, missing_runs, run_all
from experiments.shared.measuring import interleaved, machine, replace_between
from monai_boundary._geometry import affine_spacing
from monai_boundary.datasets.datalist import CaseFiles, write_datalist
from monai_boundary.datasets.nifti import load_nifti
from monai_boundary.kernels.distance import ROBUST
from monai_boundary.map_store import MapStore
from monai_boundary.precompute import precompute_maps

BEGIN, END = "<!-- patch_maps.py writes from here -->", "<!-- to here -->"
PARTS = ("difference", "time", "training")
PATIENTS = ("patient19", "patient07")
CHANNELS = ("FLAIR", "T1", "T2")
CLASSES = {"hippocampus": 3, "ms lesions": 2, "ms lesions, raw": 2}
EDGES = {"hippocampus": (16, 24, 32), "ms lesions": (24, 32, 48, 64, 96), "ms lesions, raw": (64, 128)}
#: Cases, and patches of each.
AMOUNTS = {"hippocampus": (100, 10), "ms lesions": (2, 60), "ms lesions, raw": (2, 15)}
TRAINING = {
    "hippocampus": PatchSettings(edge=16, epochs=32, steps=25, batch=8),
    "ms lesions, 19 to 07": PatchSettings(edge=24, epochs=12, steps=25, batch=4),
    "ms lesions, 07 to 19": PatchSettings(edge=24, epochs=12, steps=25, batch=4),
}
QUICK = {"epochs": 2, "steps": 2, "batch": 2, "features": (4, 8)}


def case_files(data: Path, name: str) -> list[CaseFiles]:
    """Files of a data set, in the order of their names."""
    if name == "hippocampus":
        labels = sorted((data / "Task04_Hippocampus" / "labelsTr").glob("[!.]*.nii.gz"))
        found = [CaseFiles(each.name[:-7], (each.parent.parent / "imagesTr" / each.name,), each) for each in labels]
    elif name == "ms lesions":
        folders = [data / "ms_lesions" / patient for patient in PATIENTS]
        found = [
            CaseFiles(each.name, tuple(each / f"{channel}.nii.gz" for channel in CHANNELS), each / "lesion.nii.gz")
            for each in folders
        ]
    else:
        masks = sorted((data / "ms_lesions" / "masks_raw").glob("*.nii.gz"))
        found = [CaseFiles(each.name[:-7], (), each) for each in masks]
    if not found or not all(each.label and each.label.is_file() for each in found):
        raise SystemExit(f"--data must hold the data set {name!r}, got {data}; see docs/data.md, or leave it out")
    return found


@cache
def volumes(data: Path, name: str, count: int | None = None) -> tuple[PatchVolume, ...]:
    """Read the first cases; where there are images, they are normalised over the voxels above 0 and cropped to them."""
    files = case_files(data, name)[:count]
    return tuple(read_case(each, CLASSES[name]) for each in tqdm(files, desc=name, unit="case"))


def read_case(files: CaseFiles, num_classes: int) -> PatchVolume:
    """Read one case."""
    assert files.label is not None  # noqa: S101 - case_files has seen to it
    labels, spacing = _read_labels(files.label)
    if not files.image:
        return PatchVolume(files.case, labels, spacing, num_classes)
    channels = [load_nifti(path)[0] for path in files.image]
    body = channels[0] > 0
    box = (slice(None), *(slice(int(index.min()), int(index.max()) + 1) for index in np.nonzero(body)))
    image = np.stack([np.where(body, (c - c[body].mean()) / c[body].std(), 0) for c in channels]).astype(np.float32)
    return PatchVolume(files.case, np.ascontiguousarray(labels[box]), spacing, num_classes, image[box])


def _read_labels(path: Path) -> tuple[np.ndarray, tuple[float, ...]]:
    """Return labels `(1, *S)` and spacing in the order of the file, as ``precompute-maps`` does."""
    array, affine = load_nifti(path)
    return np.ascontiguousarray(array[None].astype(np.uint8)), affine_spacing(affine, 3)


def difference(run: dict[str, Any], data: Path, title: str) -> dict[str, Any]:
    """Draw patches of every case, and compare."""
    generator, patches = np.random.default_rng(run["seed"]), []
    cases = volumes(data, run["data"], run["cases"])
    for volume in tqdm(cases, desc=title, unit="case"):
        patches += list(patch_differences(volume, sample_boxes(volume, run["edge"], run["per_case"], generator)))
    return summarise(patches)


def times(run: dict[str, Any], data: Path, title: str) -> dict[str, Any]:
    """CPU and wall milliseconds of the three ways to the map of a patch as the loss takes it."""
    files = case_files(data, run["data"])[: run["cases"]]
    generator, edge = np.random.default_rng(run["seed"]), run["edge"]
    found: dict[str, dict[str, list[float]]] = {}
    gc.freeze()  # what is there by now need not be looked through before every call
    with tempfile.TemporaryDirectory() as folder:
        # maps are made of labels; the list wants an image
        entries = [CaseFiles(each.case, (each.label,), each.label) for each in files if each.label]
        write_datalist(Path(folder) / "datalist.json", {"training": entries})
        cpu = time.process_time()
        precompute_maps(folder, Path(folder) / "maps", CLASSES[run["data"]], STORED, progress=False)
        cpu = (time.process_time() - cpu) / len(files)
        store = MapStore(Path(folder) / "maps")
        for each in tqdm(entries, desc=title, unit="case"):
            labels, spacing = _read_labels(each.image[0])
            volume = PatchVolume(each.case, labels, spacing, CLASSES[run["data"]])
            whole = volume_map(volume, STORED).astype(np.float16)
            store.read(each.case, (0, 0, 0), (1, 1, 1))  # compares the checksum, once in a process
            for box in sample_boxes(volume, edge, run["per_case"], generator):
                calls = _ways(volume, box, whole, store)
                for key, clocks in interleaved(calls, 3).items():
                    for clock, values in clocks.items():
                        found.setdefault(key, {}).setdefault(clock, []).append(1000 * median(values))
    gc.unfreeze()
    return {
        "machine": machine(),
        "precompute_cpu_s": cpu,
        "ms": {key: {clock: median(values) for clock, values in clocks.items()} for key, clocks in found.items()},
    }


def _ways(volume: PatchVolume, box: tuple[slice, ...], whole: np.ndarray, store: MapStore) -> dict[str, Any]:
    labels = cut(volume.labels, box)
    start, shape = [part.start for part in box], [part.stop - part.start for part in box]

    def finish(maps: np.ndarray) -> np.ndarray:
        return finished(maps, labels, volume.spacing, ROBUST)

    return {
        "patch": lambda: local_map(volume, box, ROBUST),
        "memory": lambda: finish(cut(whole, box)),
        "store": lambda: finish(store.read(volume.case, start, shape)),
    }


def training(run: dict[str, Any], data: Path, title: str) -> dict[str, Any]:
    """Train one arm; two of five hippocampus cases are held out, and of the two patients one."""
    name = run["data"]
    if name == "hippocampus":
        cases = volumes(data, name)
        train = [case for index, case in enumerate(cases) if index % 5 > 1]
        test = [case for index, case in enumerate(cases) if index % 5 <= 1]
    else:
        train, test = ([case] for case in volumes(data, "ms lesions"))
        if name.endswith("07 to 19"):
            train, test = test, train
    settings = PatchSettings(**{key: run[key] for key in asdict(TRAINING[name])})
    settings = PatchSettings(**{**asdict(settings), "features": tuple(settings.features)})
    return train_patches(run["arm"], run["seed"], train, test, settings, title)


def planned(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Everything there is to do, as the beginnings of lines."""
    quick, runs = options.quick, []
    for name, edges in EDGES.items():
        cases, per_case = AMOUNTS[name]
        for edge in edges[:1] if quick else edges:
            shared = {"data": name, "edge": edge, "seed": 0}
            amounts = {"cases": min(cases, 2), "per_case": 4} if quick else {"cases": cases, "per_case": per_case}
            runs.append({"kind": "difference", **shared, **amounts})
            few = {"cases": 1 if "raw" in name else 2, "per_case": 2 if quick else 8}
            runs.append({"kind": "time", **shared, **few})
    for seed in options.seeds:
        for name, settings in TRAINING.items():
            longer = {} if options.epochs is None else {"epochs": options.epochs}
            shared = {**asdict(settings), **longer, **(QUICK if quick else {})}
            runs += [{"kind": "training", "data": name, "arm": arm, "seed": seed, **shared} for arm in options.arms]
    chosen = [run for run in runs if run["kind"] in options.parts]
    return [run for run in chosen if any(run["data"].startswith(name) for name in options.data_sets)]


def main(given: Sequence[str] | None = None) -> None:
    """Do what is missing, print the tables, and write what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=data_folder())
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS)
    parser.add_argument("--data-sets", nargs="+", default=list(CLASSES), help="beginnings of names: hippocampus, ...")
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=ARMS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, help="of 25 steps; 32 for hippocampus and 12 for ms lesions by default")
    parser.add_argument("--quick", action="store_true", help="few patches and steps, whose figures say nothing")
    parser.add_argument("--json", type=Path, default=Path("docs/results/patch_maps.jsonl"), help="JSON lines")
    parser.add_argument("--docs", type=Path, help="replace the tables in this Markdown file, and draw the pictures")
    parser.add_argument("--table", action="store_true", help="only the tables and pictures")
    options = parser.parse_args(given)
    if not options.table:
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        warnings.filterwarnings("ignore", category=FutureWarning)
        parts = {"difference": difference, "time": times, "training": training}
        run_all(
            options.json,
            missing_runs(options.json, planned(options)),
            lambda run, title: parts[run["kind"]](run, options.data, title),
            lambda run: " ".join(str(run[key]) for key in ("kind", "data", "arm", "edge", "seed") if key in run),
        )
    rows = finished_runs(options.json)
    text = tables(rows)
    print(text)
    if options.docs:
        folder = options.json.parent
        draw_scores(rows, folder / "patch_maps_scores.png")
        examples = [volumes(options.data, name) for name in ("ms lesions",) if name in options.data_sets]
        if examples:
            draw_differences(examples[0], folder / "patch_maps_example.png")
        replace_between(options.docs, BEGIN, END, text)


if __name__ == "__main__":
    main()
