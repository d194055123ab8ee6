"""A bundle from its configurations to the end of its run, in this process or in others."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigWorkflow

from monai_boundary.bundles import bundle_folder
from monai_boundary.bundles.running import parse_settings, reason_of, run_bundle
from monai_boundary.cli import main

REPOSITORY = Path(__file__).resolve().parents[2]
QUIET = ["--logging_file", "False"]  # a log on the captured stream would outlive it


def bundle(*arguments: object) -> None:
    """Run a bundle in this process, as the command does."""
    name, *rest = map(str, arguments)
    configs, given = parse_settings([*rest, *QUIET])
    run_bundle(name, configs, given)


def refusal(*arguments: object) -> str:
    """The reason of a run that fails."""
    try:
        bundle(*arguments)
    except Exception as error:
        return reason_of(error)
    pytest.fail("the run ended well")


def run_page(name: str, data: Path, empty: Path, monkeypatch: pytest.MonkeyPatch, *training: object) -> int:
    """Run the commands of a bundle's page as printed, training with other settings; return how many there are.

    They run in a new folder `empty`, in which only the folder of the bundle may be at the end.
    """
    empty.mkdir()
    monkeypatch.chdir(empty)
    page = (bundle_folder(name) / "docs" / "README.md").read_text()
    commands = re.findall(r"^    monai-boundary ((?:bundle run|evaluate) .*)$", page, flags=re.MULTILINE)
    for line in commands:
        words = shlex.split(line.replace("$DATA", str(data)))
        if words[0] == "bundle":
            words += [*QUIET, *(map(str, training) if words[3] == "train" else [])]
        main(words, standalone_mode=False)
    assert [path.name for path in Path().iterdir()] == [name]
    return len(commands)


def run_workflow(configs: Path, names: Sequence[str], kind: str, settings: Mapping[str, Any]) -> ConfigWorkflow:
    workflow = ConfigWorkflow(
        [str(configs / name) for name in names], str(configs / "metadata.json"), workflow_type=kind,
        logging_file=False, **settings,
    )  # fmt: skip
    workflow.initialize()
    workflow.run()
    workflow.finalize()
    return workflow


def start(bundle: str, data: Path, root: Path, *files: Path | str, launcher: tuple = ("-m",), **settings: Any) -> str:
    """Run a bundle as users do; `settings` by the names of its entries, ``__`` for ``#``."""
    names = [str(bundle_folder(bundle) / "configs" / file) for file in files]
    settings = {"config_file": names, "bundle_root": root, "dataset_dir": data, "num_workers": 0} | settings
    options = [text for key, value in settings.items() for text in (f"--{key.replace('__', '#')}", str(value))]
    done = subprocess.run(
        [sys.executable, *launcher, "monai.bundle", "run", *options],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout


def weights_of_two_ranks(bundle: str, data: Path, folder: Path, **settings: Any) -> list[list[float]]:
    """Train on two processes, see that both had one loss and one network, and return the loss's weights by epoch."""
    target = {"_target_": "tests.bundles.record.RecordWeights", "loss": "@loss", "folder": str(folder)}
    handlers = json.loads((bundle_folder(bundle) / "configs" / "train.json").read_text())["train"]["handlers"]
    record = folder / "record.json"
    record.write_text(json.dumps({"train#handlers": [*handlers[:3], target, *handlers[3:]]}))
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m")
    start(bundle, data, folder / "root", "train.json", "multi_gpu_train.json", record, launcher=launcher, **settings)
    ranks = [(folder / f"rank{rank}.jsonl").read_text() for rank in range(2)]
    assert ranks[0] == ranks[1]
    return [json.loads(line)["weights"] for line in ranks[0].splitlines()]


def killed_run_goes_on(name: str, data: Path, folder: Path, *options: object, models: str = "models") -> dict[str, Any]:
    """Kill a training of two steps an epoch in its third, start it again, and compare with one that was not killed.

    Returns what its last state holds, by name.
    """
    train = json.loads((bundle_folder(name) / "configs" / "train.json").read_text())["train"]
    kill = {"_target_": "tests.bundles.record.KillOnce", "flag": str(folder / "killed"), "iteration": 6}
    (folder / "kill.json").write_text(json.dumps({"train#handlers": [*train["handlers"], kill]}))
    given = ["--dataset_dir", data, "--num_workers", 0, "--max_epochs", 4, "--val_interval", 1, *options]
    broken = [name, "train", folder / "kill.json", *given, "--bundle_root", folder / "broken"]
    done = subprocess.run(
        [sys.executable, "-m", "monai_boundary.cli", "bundle", "run", *map(str, broken)],
        cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=600,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    assert last_state(folder / "broken" / models)[0] == 2
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        bundle(*broken)
        bundle(name, "train", *given, "--bundle_root", folder / "whole")
    finally:
        torch.set_num_threads(threads)
    folders = [folder / one / models for one in ("broken", "whole")]
    epochs, states = zip(*map(last_state, folders), strict=True)
    assert epochs == (4, 4)
    assert {"network", "optimizer", "loss", "alpha", "log", "transforms"} <= set(states[0][0])
    found = [[{**one[0], "transforms": [part[::2] for part in one[0]["transforms"]]}, one[1]] for one in states]
    assert_same(*found)
    assert_same(*(torch.load(one / "model.pt", weights_only=True) for one in folders))
    return states[0][0]


def last_state(folder: Path) -> tuple[int, list]:
    content = torch.load(folder / "training.pt", weights_only=True)
    return content["epoch"], torch.load(io.BytesIO(content["training"].numpy().tobytes()), weights_only=True)


def assert_same(one: object, other: object) -> None:
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for pair in zip(one, other, strict=True):
            assert_same(*pair)
    elif isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    else:
        assert one == other or (one != one and other != other)
