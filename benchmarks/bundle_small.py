"""Time and memory of the laptop setting of a bundle: ``python -m benchmarks.bundle_small [wmh_boundary]``.

It trains with `small.json` on as many volumes as the challenge has, of their size: a few phantoms under many names. CPU
time is that of all processes, which other work on the machine hardly changes.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from monai_boundary.datasets import lesion_phantom, write_volume
from monai_boundary.datasets.datalist import CaseFiles, write_datalist

#: Channels, cases and shape of a volume of each challenge.
CHALLENGES = {"wmh_boundary": (2, 60, (48, 240, 240)), "isles_boundary": (2, 200, (64, 112, 112))}
VALIDATION, DIFFERENT = 12, 2


def write_cases(folder: Path, channels: int, count: int, shape: tuple[int, ...]) -> None:
    """Write `DIFFERENT` phantoms, and the same files under `count` names."""
    cases = []
    (folder / "labels").mkdir(parents=True)
    for number in range(count):
        files = [folder / f"p{number}_{channel:04d}.nii.gz" for channel in range(channels)]
        label = folder / "labels" / f"p{number}.nii.gz"
        if number < DIFFERENT:
            phantom = lesion_phantom(number, shape)
            write_volume(label, phantom.labels, phantom.spacing)
            for file in files:
                write_volume(file, phantom.image, phantom.spacing)
        else:
            for file in (*files, label):
                os.link(file.parent / file.name.replace(f"p{number}", f"p{number % DIFFERENT}", 1), file)
        cases.append(CaseFiles(f"p{number}", tuple(files), label))
    write_datalist(folder / "datalist.json", {"training": cases[VALIDATION:], "validation": cases[:VALIDATION]})


def main() -> None:
    """Train, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", nargs="?", default="wmh_boundary", choices=CHALLENGES)
    parser.add_argument("--epochs", type=int, help="in place of those of small.json")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    try:
        write_cases(folder / "data", *CHALLENGES[given.bundle])
        options = [] if given.epochs is None else ["--max_epochs", str(given.epochs)]
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        subprocess.run(
            [sys.executable, "-m", "monai_boundary.cli", "bundle", "run", given.bundle, "train", "small",
             "--dataset_dir", folder / "data", "--bundle_root", folder / "run", *options], check=True,
        )  # fmt: skip
        after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - start
    finally:
        shutil.rmtree(folder)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    what = f"{given.bundle} train small {' '.join(options)}, {CHALLENGES[given.bundle][1]} cases"
    took = f"{cpu / 60:.1f} min of CPU time, {wall / 60:.1f} min on {os.cpu_count()} cores"
    print(f"{what}: {took}, {after.ru_maxrss / 2**20:.1f} GB in its largest process, {time.strftime('%Y-%m-%d')}")


if __name__ == "__main__":
    main()
