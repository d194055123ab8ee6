"""``python -m experiments aicd``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from experiments.buildings.aicd import AicdSettings, run_aicd
from experiments.buildings.aicd_report import write_aicd_report
from experiments.buildings.losses import LOSSES

__all__ = ["aicd"]


@click.command()
@click.option("--full/--quick", default=True, show_default=True,
              help="The published set-up, for a GPU, or a smoke run of two minutes.")  # fmt: skip
@click.option(
    "-o", "--output", default=Path("reproduce"), show_default=True, type=click.Path(path_type=Path),
    help="Folder for results.jsonl and the pictures.",
)  # fmt: skip
@click.option("--losses", "names", multiple=True, type=click.Choice(LOSSES), help="Rows; all by default.")
@click.option("--seeds", type=click.IntRange(min=1), help="Number of seeds.  [3, quick: 1]")
@click.option("--images", type=click.IntRange(min=40), help="Multiple of 20; a quarter is scored.  [800, quick: 160]")
@click.option("--size", type=click.IntRange(min=64), help="Height and width, multiple of 16.  [256, quick: 64]")
@click.option("--epochs", type=click.IntRange(min=1), help="[100, quick: 10]")
@click.option(
    "--width", type=click.IntRange(min=1), help="Channels of the first layer, doubled by the next.  [16, quick: 8]"
)
@click.option("--weight", default=0.5, show_default=True, type=click.FloatRange(0, 1),
              help="Of the part beside the IoU loss, in every row.")  # fmt: skip
@click.option("--ramp/--constant", default=True, show_default=True,
              help="Raise the weight of the boundary F1 loss from 0 over the epochs, or keep it.")  # fmt: skip
@click.option("--cross-entropy", is_flag=True, help="Add it to every row, as the paper does on real tiles.")
def aicd(full: bool, output: Path, names: tuple[str, ...], seeds: int | None, **given: Any) -> None:
    """Train the paper's small network with four losses on 800 synthetic images, and print its Tables 1 and 2.

    IoU and exact boundary F1 of L_BF1,IoU, L_IoU, L_SS,IoU and L_Dice,IoU beside the paper's figures, the same for
    buildings that the image edge cuts, learning curves, and predictions at the edge. Same network, images, order and
    budget for all. Finished runs are kept in OUTPUT/results.jsonl and not repeated.
    """
    chosen: dict[str, Any] = {} if full else {"images": 160, "size": 64, "epochs": 10, "width": 8, "smoke": True}
    chosen |= {key: value for key, value in given.items() if value is not None}
    width = chosen.pop("width", 16)
    features = tuple(width * 2**depth for depth in range(4))
    score_every = max(1, chosen.get("epochs", 100) // 8)
    shared = AicdSettings(**chosen, features=features, score_every=score_every)
    results = output / "results.jsonl"
    run_aicd(results, names or LOSSES, range(seeds or (3 if full else 1)), shared)
    click.echo(write_aicd_report(results, output))
