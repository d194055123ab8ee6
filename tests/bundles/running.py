"""A bundle from its configurations to the end of its run, in this process or in others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigWorkflow

from monai_boundary.bundles import bundle_folder

REPOSITORY = Path(__file__).resolve().parents[2]


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
