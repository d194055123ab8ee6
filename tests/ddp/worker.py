"""One rank of a training that MONAI's engine runs from JSON; the single process of the test runs the same code.

python -m torch.distributed.run --standalone --nproc_per_node=2 -m tests.ddp.worker FOLDER SCENARIO ...
"""

from __future__ import annotations

import json
import math
import os
import sys
import warnings
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Events
from monai.bundle import ConfigParser
from monai.data import Dataset, DistributedSampler
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

from monai_boundary import LesionCells, SignedDistanceMap
from monai_boundary.losses.gradient_share import GradientBalance, GradientShareWarning

EPOCHS, SAMPLES = 3, 4
# Word for word from multi_gpu_train.json of MONAI's model zoo
CUT = "$@train#handlers[: -2 if dist.get_rank() > 0 else None]"
RESTORE = {"_target_": "monai_boundary.engines.RestoreLabelHandler"}
ALPHA = {"_target_": "monai_boundary.engines.AlphaScheduleHandler", "loss": "@loss", "schedule": "@schedule"}
TERMS = {"_target_": "monai_boundary.engines.LossTermsHandler", "loss": "@loss"}
STATS = {"_target_": "StatsHandler", "epoch_log": False, "iteration_log": False}
REBALANCE = {"_target_": "monai_boundary.Rebalance"}
# After two epochs the region term has fallen by 3.6 % on rank 0, by 4.2 % on rank 1 and by 3.8 % over both: of its own
# history rank 1 would go on waiting where the single process does not.
WAIT = {
    "_target_": "monai_boundary.WaitForRegion",
    "then": {"_target_": "monai_boundary.Increase"},
    "window": 1,
    "tolerance": 0.04,
    "latest": 1.0,
}
SHARE = {"_target_": "monai_boundary.GradientShare", "end": 0.3, "ramp": 0.5}
MAPS = {"_target_": "monai_boundary.GeneralizedDiceBoundaryLoss"}
# Both directions: cells of the target by the loader, those of the prediction by the loss, another number on each rank.
LESIONS = {
    "_target_": "monai_boundary.RegionBoundaryLoss",
    "region": {"_target_": "monai_boundary.GeneralizedDiceLoss", "softmax": True, "to_onehot_y": True},
    "boundary": {
        "_target_": "monai_boundary.ComponentDiceLoss",
        "bidirectional": True,
        "include_background": False,
        "softmax": True,
        "to_onehot_y": True,
        "spacing": [1, 1],
    },
}
# Scenario: the schedule, the handlers, and whether the ranks but the first lose the last two.
SCENARIOS: dict[str, tuple[dict, list[dict], bool]] = {
    "whole": (REBALANCE, [RESTORE, ALPHA, TERMS], False),
    "cut": (REBALANCE, [RESTORE, ALPHA, TERMS, STATS, STATS], True),
    "wait": (WAIT, [RESTORE, ALPHA, TERMS, STATS, STATS], True),
    "share": (SHARE, [RESTORE, ALPHA, TERMS], False),
    "lesions": (REBALANCE, [RESTORE, ALPHA, TERMS], False),
    "alpha last": (REBALANCE, [RESTORE, TERMS, STATS, ALPHA], True),
}
#: Gradient norms of region and boundary term of each batch, and whether it holds foreground, on either rank.
NORMS = [
    [(3.0, 1.0, True), (4.0, 2.0, True)],
    [(3.0, 1.0, True), (math.nan, 5.0, False)],
    [(2.0, 7.0, False), (1.0, 0.5, True)],
    [(2.0, 7.0, False), (9.0, 1.0, False)],
    [(2.0, 7.0, True), (math.inf, 1.0, True)],
    [(1.0, 0.0, True), (1.0, 0.5, True)],
]


def samples(name: str) -> list[dict[str, torch.Tensor]]:
    """Rectangles of unequal size, so that the terms of two ranks differ; for cells another one beside all but one."""
    lesions = name == "lesion_cells"
    make = LesionCells(2, spacing=(1, 1)) if lesions else SignedDistanceMap(2, spacing=(1, 1))
    generator = torch.Generator().manual_seed(0)
    items = []
    for number in range(SAMPLES):
        label = torch.zeros(1, 12, 12)
        label[:, 2 : 4 + 2 * number, 3:7] = 1
        label[:, 10:, 9 : 10 + number % 2] = lesions and number > 0
        image = label.double() + 0.3 * torch.randn(1, 12, 12, generator=generator, dtype=torch.float64)
        beside = make(label)
        items.append({"image": image, "label": label, name: beside if lesions else beside.double()})
    return items


def network() -> torch.nn.Module:
    """A network without batch statistics: those of a batch of 1 are not those of a batch of 2."""
    torch.manual_seed(1)
    layers = torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.Tanh(), torch.nn.Conv2d(4, 2, 3, padding=1)
    return torch.nn.Sequential(*layers).double()


def configuration(schedule: dict, handlers: list[dict], cut: bool, loss: dict, name: str) -> dict[str, Any]:
    """The training as a bundle's JSON has it."""
    return {
        "loss": loss,
        "schedule": schedule,
        "optimizer": {"_target_": "torch.optim.SGD", "params": "$@network.parameters()", "lr": 0.5, "momentum": 0.9},
        "train": {
            "handlers": handlers,
            "trainer": {
                "_target_": "SupervisedTrainer",
                "device": "$torch.device('cpu')",
                "max_epochs": EPOCHS,
                "train_data_loader": "@loader",
                "network": "@network",
                "loss_function": "@loss",
                "optimizer": "@optimizer",
                "prepare_batch": {"_target_": "monai_boundary.engines.PrepareBatchTarget", "name": name},
                "train_handlers": CUT if cut else "@train#handlers",
            },
        },
    }


def train(scenario: str, folder: Path) -> None:
    """Train, and write the weights of the loss in each epoch, the metrics of each epoch, and the parameters."""
    schedule, handlers, cut = SCENARIOS[scenario]
    loss, name = (LESIONS, "lesion_cells") if scenario == "lesions" else (MAPS, "distance_map")
    dataset, module = Dataset(samples(name)), network()
    ranked = dist.is_initialized()
    sampler = DistributedSampler(dataset, shuffle=False) if ranked else None
    parser = ConfigParser(
        configuration(schedule, handlers, cut and ranked, loss, name),
        globals={"dist": "torch.distributed", "torch": "torch"},
    )
    parser["network"] = DistributedDataParallel(module) if ranked else module
    # Rank r takes the samples r, r + 2, ...: both ranks together those of one batch of the single process.
    parser["loader"] = torch.utils.data.DataLoader(dataset, batch_size=1 if ranked else 2, sampler=sampler)
    trainer, made = parser.get_parsed_content("train#trainer"), parser.get_parsed_content("loss")
    process = f"{scenario} {dist.get_rank() if ranked else 'single'}"

    def note(kind: str, row: Any) -> None:
        with (folder / f"{process} {kind}.jsonl").open("a") as stream:
            stream.write(json.dumps(row) + "\n")

    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: note("steps", made.term_weights))
    # At the start of the epoch, and written at once: ranks that lack a handler break off at its end.
    trainer.add_event_handler(Events.EPOCH_STARTED, lambda: note("weights", made.term_weights))
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: note("metrics", trainer.state.metrics))
    trainer.run()
    torch.save(module.state_dict(), folder / f"{process}.pt")


def balance(folder: Path) -> None:
    """Take `NORMS` as this rank, and write the ratio and the averages of each batch."""
    share, rank = GradientBalance(), dist.get_rank()
    found = []
    for row in NORMS:
        region, boundary, foreground = row[rank]
        true = torch.tensor([8.0 if foreground else 0.0])
        ratio, predicted = share(torch.tensor([region, boundary]), torch.tensor([3.0]), true)
        found.append((float(ratio), share.norms.tolist(), float(predicted)))
    (folder / f"balance {rank}.json").write_text(json.dumps(found))


def main() -> None:
    """Run the scenarios as one of the ranks and write what each leaves behind."""
    folder, *scenarios = sys.argv[1:]
    dist.init_process_group("gloo", timeout=timedelta(seconds=60))
    for scenario in scenarios:
        train(scenario, Path(folder))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GradientShareWarning)
        balance(Path(folder))
    dist.barrier()  # a rank that leaves while the other still speaks to it is aborted
    dist.destroy_process_group()
    sys.stdout.flush()
    # A thread of torch's that asks for the interpreter while it shuts down aborts the process, now and then.
    os._exit(0)


if __name__ == "__main__":
    main()
