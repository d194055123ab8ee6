"""Apply every fault of this folder to a copy of the package and see the tests that watch it turn red.

Run as ``python -m tests.mutants.run [words of a fault or of its file ...]``. It is no part of the ordinary test run: it
takes many minutes. The heavy imports are done once; each fault gets a forked process, which therefore needs a POSIX
system.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.mutants.benchmarks import BENCHMARKS  # noqa: E402
from tests.mutants.boundary_aware import BOUNDARY_AWARE  # noqa: E402
from tests.mutants.boundary_f1 import BOUNDARY_F1  # noqa: E402
from tests.mutants.buildings import BUILDINGS  # noqa: E402
from tests.mutants.device import DEVICE  # noqa: E402
from tests.mutants.em_bundle import EM_BUNDLE  # noqa: E402
from tests.mutants.em_data import EM_DATA  # noqa: E402
from tests.mutants.membranes import MEMBRANES  # noqa: E402
from tests.mutants.mutants import MUTANTS, Mutant  # noqa: E402
from tests.mutants.nnunet import NNUNET  # noqa: E402
from tests.mutants.numba_distance import NUMBA_DISTANCE  # noqa: E402
from tests.mutants.patch_maps import PATCH_MAPS  # noqa: E402
from tests.mutants.pipelines import PIPELINES  # noqa: E402
from tests.mutants.precompute import PRECOMPUTE  # noqa: E402
from tests.mutants.remote import REMOTE  # noqa: E402
from tests.mutants.weight_search import WEIGHT_SEARCH  # noqa: E402

PRELOADED = (
    "pytest",
    "torch",
    "monai.transforms",
    "monai.losses",
    "monai.data",
    "scipy.spatial",
    "hypothesis.extra.numpy",
    "numba",
    "cc3d",
    "matplotlib.figure",
    "nnunetv2.training.nnUNetTrainer.variants.data_augmentation.nnUNetTrainerDA5",
)
# numba looks at the date of a function's own file alone: what is compiled from another file is taken anew by its date.
COMPILED_IN = {"kernels/_lanes.py": "kernels/_envelope.py"}
PACKAGES = ("monai_boundary", "nnunet_trainers", "benchmarks", "tests")
GREEN, RED = 0, 1
TABLE = (
    *MUTANTS,
    *BENCHMARKS,
    *BOUNDARY_AWARE,
    *BOUNDARY_F1,
    *BUILDINGS,
    *DEVICE,
    *EM_BUNDLE,
    *EM_DATA,
    *MEMBRANES,
    *NNUNET,
    *NUMBA_DISTANCE,
    *PATCH_MAPS,
    *PIPELINES,
    *PRECOMPUTE,
    *REMOTE,
    *WEIGHT_SEARCH,
)


def make_copy(folder: Path) -> None:
    """Copy what the tests need."""
    shutil.copy(ROOT / "pyproject.toml", folder)
    for name in PACKAGES:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))


def run_tests(folder: Path, tests: str) -> int:
    """Return pytest's exit code for `tests`, run in a child process on the copy in `folder`."""
    child = os.fork()
    if child == 0:
        code = 99
        try:
            code = _run_in_child(folder, tests)
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _run_in_child(folder: Path, tests: str) -> int:
    import pytest

    os.chdir(folder)
    sys.dont_write_bytecode = True
    for name in [name for name in sys.modules if name.split(".")[0] in PACKAGES]:
        del sys.modules[name]
    sys.path[:] = [str(folder), *(entry for entry in sys.path if Path(entry or ".").resolve() != ROOT)]
    options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-o", "addopts=", "--rootdir", str(folder)]
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # of plugins that were imported before the fork
    with (folder / "output.txt").open("w") as sink, contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink):
        code = int(pytest.main([*options, *(f"tests/{path}" for path in tests.split())]))
        package = importlib.import_module("monai_boundary").__file__
    return code if Path(package).is_relative_to(folder) else 98


def try_mutant(folder: Path, mutant: Mutant) -> str:
    """Return ``"killed"``, or what went wrong."""
    path = folder / "monai_boundary" / mutant.file
    source = path.read_text()
    if source.count(mutant.old) != 1:
        return f"STALE: the old text occurs {source.count(mutant.old)} times"
    path.write_text(source.replace(mutant.old, mutant.new))
    dated = folder / "monai_boundary" / COMPILED_IN.get(mutant.file, mutant.file)
    dated.touch()
    try:
        code = run_tests(folder, mutant.tests)
    finally:
        path.write_text(source)
        dated.touch()
    return {RED: "killed", GREEN: "SURVIVED"}.get(code, f"ERROR: exit code {code}")


def main(words: list[str]) -> int:
    """Print one line per fault; return 1 unless all of them are killed."""
    mutants = [row for row in TABLE if not words or any(word in f"{row.file} {row.what}" for word in words)]
    for name in PRELOADED:
        importlib.import_module(name)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        make_copy(folder)
        watching = " ".join(sorted({test for mutant in mutants for test in mutant.tests.split()}))
        if run_tests(folder, watching) != GREEN:
            print("\n".join((folder / "output.txt").read_text().splitlines()[-40:]))
            print("the tests are not green without a fault")
            return 1
        alive = 0
        for mutant in mutants:
            start = time.perf_counter()
            verdict = try_mutant(folder, mutant)
            alive += verdict != "killed"
            print(f"{verdict:10} {time.perf_counter() - start:5.1f} s  {mutant.file:28} {mutant.what}", flush=True)
    print(f"{len(mutants) - alive} of {len(mutants)} faults killed")
    return int(alive > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
