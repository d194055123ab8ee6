"""What the stored map of a whole volume takes, and what zarr 3 would take in its place: the tables of docs/scale.md.

    python -m benchmarks.precompute --docs docs/scale.md

One thread; the fastest of some repeats. Masks are two of MS lesions, 192 x 512 x 512 voxels, where they are there, else
a phantom. Times of a patch are means over the same 16 places. How that compares with computing its map:
benchmarks/cases/stored.py.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["BLOSC_NTHREADS"] = "1"  # read by the libraries at import

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks.case import data_folder, installed
from monai_boundary.datasets import lesion_phantom, write_volume
from monai_boundary.datasets.nifti import case_name
from monai_boundary.kernels.distance import ROBUST
from monai_boundary.map_store import ENDING, MapStore, read_record
from monai_boundary.precompute.jobs import Job, MapSettings

BEGIN, END = "<!-- precompute.py writes from here -->", "<!-- to here -->"


def fastest(call: Callable[[], object], repeats: int) -> float:
    """Return the least CPU seconds of a call, after one that loads and compiles."""
    call()
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        seconds.append(time.process_time() - start)
    return min(seconds)


def label_files(folder: Path, quick: bool) -> list[Path]:
    """Return the label files to measure."""
    found = sorted((data_folder() / "ms_lesions" / "masks_raw").glob("*.nii.gz"))[:2]
    if found and not quick:
        return found
    phantom = lesion_phantom(0, (24, 40, 40) if quick else (192, 512, 512))
    write_volume(folder / "phantom.nii.gz", phantom.labels.astype(np.uint8), phantom.spacing)
    return [folder / "phantom.nii.gz"]


def in_zarr(maps: np.ndarray, folder: Path, chunk: int, parts: list[tuple], repeats: int) -> tuple[float, float, float]:
    """Write a map as one shard with checksums, and read patches of it; return bytes and seconds of both."""
    import zarr
    from zarr.codecs import BloscCodec, Crc32cCodec

    given = {
        "chunks": (1, *[chunk] * 3),
        "shards": (1, *(-(-size // chunk) * chunk for size in maps.shape[1:])),
        "compressors": [BloscCodec(cname="lz4hc", clevel=5, shuffle="shuffle"), Crc32cCodec()],
    }

    def write() -> None:
        zarr.create_array(folder, shape=maps.shape, dtype=maps.dtype, overwrite=True, **given)[:] = maps

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of zarr, that its sharding may change
        wrote = fastest(write, repeats)
        read = fastest(lambda: [zarr.open_array(folder, mode="r")[part] for part in parts], repeats)
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()), wrote, read / len(parts)


def measure(file: Path, folder: Path, repeats: int) -> list[str]:
    """Return the rows of one volume."""
    case = case_name(file)
    job = Job(case, file, folder / f"{case}{ENDING}", MapSettings(ROBUST, 2))
    whole = fastest(job.run, repeats)
    store, rng = MapStore(folder), np.random.default_rng(0)
    shape = store.record(case).shape[1:]
    maps = store.read(case, (0, 0, 0), shape)
    starts = [[int(rng.integers(0, max(size - 128, 0) + 1)) for size in shape] for _ in range(16)]
    edges = [min(128, size) for size in shape]
    read = fastest(lambda: [store.read(case, start, edges) for start in starts], repeats) / len(starts)
    check = fastest(lambda: read_record(job.path, check_array=True), repeats)
    size = job.path.stat().st_size
    voxels = f"{case}, {maps.size / 1e6:.0f} M voxels"
    rows = [f"| {voxels} | here | {_mb(size, maps)} | {whole:.2f} s | {1e3 * read:.1f} ms | {1e3 * check:.0f} ms |"]
    parts = [(slice(None), *(slice(s, s + n) for s, n in zip(start, edges, strict=True))) for start in starts]
    for chunk in (64, 32) if installed("zarr") else ():
        size, wrote, read = in_zarr(maps, folder / "zarr", chunk, parts, repeats)
        rows.append(
            f"| | zarr, chunks of {chunk}³ | {_mb(size, maps)} | {wrote:.2f} s, writing alone | {1e3 * read:.1f} ms | |"
        )
    return rows


def _mb(size: float, maps: np.ndarray) -> str:
    return f"{size / 1e6:.1f} MB, {100 * size / maps.nbytes:.0f} % of {maps.dtype}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small phantom, whose figures say nothing")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--docs", type=Path, help="replace the tables in this Markdown file")
    given = parser.parse_args(arguments)
    head = "| volume | stored | size | from label file to map file | read a patch of 128³ | check the file, once |"
    lines = [head, "|---" * 6 + "|"]
    with tempfile.TemporaryDirectory() as name:
        for file in label_files(Path(name), given.quick):
            lines += measure(file, Path(name) / "maps", given.repeats)
    text = "\n".join([*lines, "", f"CPU times of one of {os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}."])
    print(text)
    if given.docs:
        before, _, rest = given.docs.read_text(encoding="utf-8").partition(BEGIN)
        given.docs.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


if __name__ == "__main__":
    main()
