"""Put in every fault, one at a time, and see the tests that watch it turn red.

Run as ``python -m tests.faults.run [words of a fault or of its place ...]``. It is no part of the ordinary test run.
The heavy imports are done once, and each fault gets a forked process, which needs a POSIX system.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pkgutil
import sys
import tempfile
import time
from pathlib import Path

from tqdm import tqdm

from tests.faults.registry import FAULTS, PACKAGES, Fault, apply, import_rooms

TESTS = Path(__file__).resolve().parents[1]
GREEN, RED = 0, 1


def run_tests(tests: tuple[str, ...], broken: Fault | None, output: Path) -> int:
    """Return pytest's exit code for `tests`, run in a forked process with the fault in place."""
    child = os.fork()
    if child == 0:
        code = 99
        try:
            with output.open("w") as sink, contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink):
                code = _run_in_child(tests, broken)
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _run_in_child(tests: tuple[str, ...], broken: Fault | None) -> int:
    import pytest

    os.chdir(TESTS.parent)
    if broken is not None:
        apply(broken)
    options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-o", "addopts="]
    # What was imported before the fork cannot be rewritten any more.
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
    return int(pytest.main([*options, *(str(TESTS / path) for path in tests)]))


def import_packages() -> None:
    """Import all modules of the packages, so that no name is bound after a fault was put in."""
    for package in map(importlib.import_module, PACKAGES):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith(("__main__", "discovery")) and ".discovery." not in module.name:
                importlib.import_module(module.name)


def main(words: list[str]) -> int:
    """Print one line per fault; return 1 unless all of them are caught."""
    import_rooms()
    chosen = [one for one in FAULTS if not words or any(word in f"{one.place} {one.what}" for word in words)]
    import_packages()
    alive = 0
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "output.txt"
        if run_tests(tuple(sorted({test for one in chosen for test in one.tests})), None, output) != GREEN:
            print(output.read_text()[-4000:])
            print("the tests are not green without a fault")
            return 1
        for one in (bar := tqdm(chosen, unit="fault")):
            start = time.perf_counter()
            code = run_tests(one.tests, one, output)
            verdict = {RED: "caught", GREEN: "SURVIVED"}.get(code, f"ERROR: exit code {code}")
            alive += code != RED
            bar.write(f"{verdict:10} {time.perf_counter() - start:5.1f} s  {one.place:60} {one.what}", file=sys.stdout)
    print(f"{len(chosen) - alive} of {len(chosen)} faults caught")
    return int(alive > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
