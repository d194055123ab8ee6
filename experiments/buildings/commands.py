"""``python -m experiments aicd`` and ``pinholes``."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from experiments.buildings.aicd import AicdSettings, aicd_runs, train_aicd
from experiments.buildings.aicd_report import aicd_report, pinhole_table
from experiments.buildings.losses import LOSSES
from experiments.shared.commands import ListOf, Plan, experiment, seeds_option

_losses = click.option("--losses", type=ListOf(LOSSES), default=",".join(LOSSES), show_default=True)


@experiment("aicd")
@_losses
@seeds_option()
@click.option("--quick", is_flag=True, help="A smoke run of two minutes in place of the published set-up.")
@click.option("--images", type=click.IntRange(min=40), help="Multiple of 20; a quarter is scored.  [800, quick: 160]")
@click.option("--size", type=click.IntRange(min=64), help="Height and width, multiple of 16.  [256, quick: 64]")
@click.option("--epochs", type=click.IntRange(min=1), help="[100, quick: 10]")
@click.option("--width", type=click.IntRange(min=1),
              help="Channels of the first layer, doubled by the next.  [16, quick: 8]")  # fmt: skip
@click.option("--weight", default=0.5, show_default=True, type=click.FloatRange(0, 1),
              help="Of the part beside the IoU loss, in every row.")  # fmt: skip
@click.option("--ramp/--constant", default=True, show_default=True,
              help="Raise the weight of the boundary F1 loss from 0 over the epochs, or keep it.")  # fmt: skip
@click.option("--cross-entropy", is_flag=True, help="Add it to every row, as the paper does on real tiles.")
def aicd(losses: tuple[str, ...], seeds: tuple[int, ...], quick: bool, **given: Any) -> Plan:
    """Train the paper's small network with four losses on 800 synthetic images, and print its Tables 1 and 2.

    IoU and exact boundary F1 of L_BF1,IoU, L_IoU, L_SS,IoU and L_Dice,IoU beside the paper's figures, the same for
    buildings that the image edge cuts, learning curves, and predictions at the edge. Same network, images, order and
    budget for all. The published set-up is for a GPU.
    """
    chosen: dict[str, Any] = {"images": 160, "size": 64, "epochs": 10, "width": 8, "smoke": True} if quick else {}
    chosen |= {key: value for key, value in given.items() if value is not None}
    width, score_every = chosen.pop("width", 16), max(1, chosen.get("epochs", 100) // 8)
    features = tuple(width * 2**depth for depth in range(4))
    shared = AicdSettings(**chosen, features=features, score_every=score_every)
    return Plan(aicd_runs(losses, seeds[:1] if quick else seeds, shared), train_aicd, aicd_report)


@experiment("pinholes")
@click.option("--losses", type=ListOf(LOSSES), default="bf1+iou,iou", show_default=True)
@seeds_option()
def pinholes(losses: tuple[str, ...], seeds: tuple[int, ...]) -> Plan:
    """Ask how much of the boundary F1 of the synthetic experiment comes from pinholes.

    Trains as docs/evidence/remote_sensing.md does, keeps the predictions of all 200 scored images, and scores them
    before and after a median of 5 x 5 pixels that closes pinholes.
    """
    shared = AicdSettings(epochs=12, score_every=12, size=192, features=(8, 16, 32, 64))
    return Plan(
        aicd_runs(losses, seeds, shared), partial(train_aicd, keep_all=True), lambda rows, _: pinhole_table(rows)
    )
