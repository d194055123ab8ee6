"""Every benchmark by one command: ours against its peers, peak memory, and the floor that memory sets, on one thread.

    python benchmarks/run.py --json docs/results/speed.json --docs docs/benchmarks.md     (about 10 minutes, estimated)
    python benchmarks/run.py all --json docs/results/speed.json --docs docs/benchmarks.md (tiles, precompute, GPU, too)
    python benchmarks/run.py maps loss --quick
    python benchmarks/run.py --check docs/results/speed.json

Ratios are medians of CPU time of interleaved repeats in one process; peak memory is that of a fresh process per case,
its input not counted. The floor is the time to move the bytes that any implementation must at the speed of a warm numpy
copy, which is measured between the repeats. A case that has taken 8 s is not repeated.

--check measures again what the files hold and compares ratios to peers, shares of their memory, and floors where there
is a target; what is worse by more than the tolerance is measured once more, and the exit code is 1 if it is worse
again. --json keeps the benchmarks of the file that were not measured now.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # read by the libraries at import
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # a second thread that waits must not spin where a core is busy

import argparse
import importlib
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from benchmark import Benchmark, Record
from check import TOLERANCE, findings, show_findings
from registry import BENCHMARKS, GROUPS, SCRIPTS
from rich.console import Console
from rich.progress import track
from tables import load_runs, merged, new_run, show, write_docs, write_runs

Run = dict[str, Any]


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="benchmarks, groups, or all; see --list")
    parser.add_argument("--list", action="store_true", help="print the names and stop")
    parser.add_argument("--quick", action="store_true", help="small arrays and no peak memory: shows that all runs")
    parser.add_argument("--repeats", type=int, help="of every case, instead of each benchmark's own number")
    parser.add_argument("--json", type=Path, help="write all raw figures here")
    parser.add_argument("--docs", type=Path, help="replace the tables between the marks of this Markdown file")
    parser.add_argument("--from", type=Path, dest="source", help="measure nothing, take the results of this file")
    parser.add_argument("--check", type=Path, nargs="+", default=[], help="compare with the results in these files")
    parser.add_argument("--tolerance", type=float, default=TOLERANCE, help="of --check; 0.25 is 25 %%")
    parser.add_argument("--work", help="folder of benchmarks/hippocampus.py, for the training step of nnunet")
    options = parser.parse_args(arguments)
    if options.repeats is not None and options.repeats < 1:
        parser.error(f"--repeats must be at least 1, got {options.repeats}")
    if options.tolerance < 0:
        parser.error(f"--tolerance must be at least 0, got {options.tolerance:g}")
    return options


def chosen(names: Sequence[str], stored: Mapping[str, Record] | None) -> tuple[list[Benchmark], list[str]]:
    """The benchmarks and the scripts that the names mean; without a name those of the stored run, or the default."""
    known = {"all", *BENCHMARKS, *GROUPS, *SCRIPTS}
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.exit(f"NAME must be one of {', '.join(sorted(known))}; got {', '.join(unknown)}")
    if not names and stored is not None:
        scripts = [script for script in SCRIPTS if any(name.startswith(f"{script}_") for name in stored)]
        return [one for name, one in BENCHMARKS.items() if name in stored], scripts
    everything = "all" in names
    picked = [
        one
        for one in BENCHMARKS.values()
        if everything or one.name in names or one.group in names or (not names and one.default)
    ]
    return picked, [script for script in SCRIPTS if everything or script in names]


def measure(wanted: Sequence[Benchmark], options: argparse.Namespace, console: Console) -> Run:
    """Run benchmarks in turn; those that cannot run here are named and left out."""
    run = new_run(options.quick, {})
    for one in track(wanted, description="measuring", console=console):
        reason = one.lacks()
        if reason is None:
            run["benchmarks"][one.name] = one.measure(options.quick, options.repeats)
        else:
            console.print(f"{one.name} is left out: {reason}")
    return run


def run_script(name: str, options: argparse.Namespace, console: Console) -> list[Run]:
    """Call a benchmark of another shape, which writes its own JSON beside that of this run, and its docs."""
    script = SCRIPTS[name]
    if script.cuda and not torch.cuda.is_available():
        console.print(f"{name} is left out: torch finds no CUDA device")
        return []
    if options.quick and script.quick is None:
        console.print(f"{name} is left out: it has no quick run")
        return []
    with tempfile.TemporaryDirectory() as folder:
        target = (options.json.parent if options.json else Path(folder)) / script.json
        arguments = ["--json", str(target)]
        arguments += ["--docs", str(options.docs.parent / script.docs)] if options.docs and script.docs else []
        arguments += script.quick or () if options.quick else ()
        arguments += ["--repeats", str(options.repeats)] if options.repeats else []
        arguments += ["--work", options.work] if options.work and name == "nnunet" else []
        importlib.import_module(script.module).main(arguments)
        return load_runs(target)


def gather(paths: Sequence[Path], quick: bool) -> dict[str, Record]:
    """All stored benchmarks of these files."""
    found: dict[str, Record] = {}
    for path in paths:
        for run in load_runs(path):
            if run["quick"] != quick:
                sys.exit(f"{path} holds a {'quick' if run['quick'] else 'full'} run; compare it with one of its kind")
            found |= run["benchmarks"]
    return found


def compare(stored: Mapping[str, Record], runs: Sequence[Run], options: argparse.Namespace, console: Console) -> int:
    """Print the comparison; return 1 where something is worse, in a second measurement, too."""
    measured = {name: record for run in runs for name, record in run["benchmarks"].items()}
    found = findings(stored, measured, options.tolerance)
    suspects = {one.benchmark for one in found if one.worse}
    again = [BENCHMARKS[name] for name in suspects if name in BENCHMARKS]
    if again and not options.source:
        console.print(f"worse at first sight, so measured once more: {', '.join(sorted(suspects))}")
        second = findings(stored, measure(again, options, console)["benchmarks"], options.tolerance)
        kept = {(one.benchmark, one.what): one for one in second}
        found = [kept.get((one.benchmark, one.what), one) if one.worse else one for one in found]
    show_findings(found, options.tolerance, console)
    return int(any(one.worse for one in found))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write and compare what is asked for."""
    options = parse(arguments)
    console = Console(width=None if sys.stdout.isatty() else 160)
    if options.list:
        for one in BENCHMARKS.values():
            console.print(f"{one.name:24} {one.group:12} {one.title}" + (" (only by name)" * (not one.default)))
        console.print(f"by name, with a command and files of their own: {', '.join(SCRIPTS)}")
        return 0
    stored = gather(options.check, options.quick) if options.check else None
    torch.set_num_threads(1)
    if options.source:
        runs = load_runs(options.source)
    else:
        wanted, scripts = chosen(options.names, stored)
        runs = [measure(wanted, options, console)] if wanted else []
        for script in scripts:
            runs += run_script(script, options, console)
    for run in runs:
        show(run, console)
    own = [part for run in runs if (part := _of_registry(run))["benchmarks"]]
    if options.json:
        if not options.source:
            kept = load_runs(options.json) if options.json.exists() else []
            for part in own:
                kept = merged(kept, part)
            own = kept
        write_runs(options.json, own)
    if options.docs:
        write_docs(options.docs, own)
    return 0 if stored is None else compare(stored, runs, options, console)


def _of_registry(run: Run) -> Run:
    """The part of a run that belongs into its JSON and docs; scripts write their own."""
    return {**run, "benchmarks": {name: one for name, one in run["benchmarks"].items() if name in BENCHMARKS}}


if __name__ == "__main__":
    sys.exit(main())
