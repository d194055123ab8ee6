"""Handlers that the tests add to a bundle by JSON: what each rank trained with, and a kill."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

from ignite.engine import Events


class RecordWeights:
    """Write the weights of the loss at the end of every epoch, one file per rank."""

    def __init__(self, loss: Any, folder: str) -> None:
        self.loss, self.file = loss, Path(folder) / f"rank{os.environ['RANK']}.jsonl"

    def attach(self, engine: Any) -> None:
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Any) -> None:
        parameters = [float(value.detach().double().abs().sum()) for value in engine.network.parameters()]
        with self.file.open("a") as stream:
            stream.write(json.dumps({"weights": self.loss.term_weights, "network": sum(parameters)}) + "\n")


class KillOnce:
    """Kill this process in an iteration, unless the file `flag` says that it was killed before."""

    def __init__(self, flag: str, iteration: int) -> None:
        self.flag, self.iteration = Path(flag), iteration

    def attach(self, engine: Any) -> None:
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Any) -> None:
        if engine.state.iteration == self.iteration and not self.flag.exists():
            self.flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
