"""A bundle from its configurations to the end of its run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigWorkflow


def run_workflow(configs: Path, names: Sequence[str], kind: str, settings: Mapping[str, Any]) -> ConfigWorkflow:
    workflow = ConfigWorkflow(
        [str(configs / name) for name in names], str(configs / "metadata.json"), workflow_type=kind,
        logging_file=False, **settings,
    )  # fmt: skip
    workflow.initialize()
    workflow.run()
    workflow.finalize()
    return workflow
