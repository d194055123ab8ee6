"""``monai-boundary reproduce``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from monai_boundary.cli.reproduce_em import membrane_command

__all__ = ["reproduce"]

_SETTINGS = ("gdl", "gdl+boundary2d", "gdl+boundary3d", "dicece", "dicece+boundary3d")  # importing them loads torch
_LOSSES = ("bf1+iou", "iou", "ss+iou", "dice+iou")


@click.group(short_help="Run a published protocol and print its table.")
def reproduce() -> None:
    """Train as a paper did, and print its table with mean and spread over seeds.

    \b
      monai-boundary reproduce wmh --data DIR     boundary loss, WMH 2017
      monai-boundary reproduce isles --data DIR   boundary loss, ISLES 2018 or 2022
      monai-boundary reproduce aicd --quick       boundary F1 loss, no data needed
      monai-boundary reproduce isbi2012 --data DIR    boundary-aware loss, ISBI 2012
      monai-boundary reproduce gala --data DIR        boundary-aware loss in 3D, FIB-SEM
    """  # noqa: D301


def _output(command: Callable) -> Callable:
    return click.option(
        "-o", "--output", default=Path("reproduce"), show_default=True, type=click.Path(path_type=Path),
        help="Folder for results.jsonl and the pictures.",
    )(command)  # fmt: skip


def _challenge(name: str, channels: set[int]) -> click.Command:
    """Return the command of a challenge whose cases have one of these numbers of channels."""

    @click.command(name, short_help=f"The boundary loss on {name.upper()} data.")
    @click.option(
        "--data", required=True, type=click.Path(path_type=Path),
        help="datalist.json, or the folder with it that monai-boundary convert wrote.",
    )  # fmt: skip
    @_output
    @click.option("--settings", "names", multiple=True, type=click.Choice(_SETTINGS), help="Rows; all by default.")
    @click.option("--preset", default="published", show_default=True, type=click.Choice(("published", "robust")),
                  help="Map and weights of the boundary term.")  # fmt: skip
    @click.option("--seeds", default=3, show_default=True, type=click.IntRange(min=1), help="Number of seeds.")
    @click.option("--epochs", default=100, show_default=True, type=click.IntRange(min=1))
    @click.option("--quick", is_flag=True, help="A smoke run: 2 epochs, one seed, 64 x 64, a narrow network.")
    def command(**options: Any) -> None:
        """Train the published 2D UNet with and without the boundary term and print the paper's table.

        Slices of 256 x 256, Adam at 1e-3, batch 8, 100 epochs, weights rebalanced: generalized Dice, the same with maps
        of the slices and with maps of the volume, Dice + cross-entropy without and with the boundary term. Finished
        runs are kept in OUTPUT/results.jsonl and not repeated. Prints mean and standard deviation over the seeds.
        """
        _run_challenge(name, channels, **options)

    return command


def _run_challenge(
    challenge: str,
    expected: set[int],
    data: Path,
    output: Path,
    names: tuple[str, ...],
    preset: Any,
    seeds: int,
    **length: Any,
) -> None:
    from monai_boundary.datasets.datalist import read_datalist
    from monai_boundary.protocols import RunSettings, run_protocol
    from monai_boundary.protocols.series import finished_runs
    from monai_boundary.protocols.table import protocol_table
    from monai_boundary.reports.curves import curves_figure
    from monai_boundary.reports.figures import save_figure

    splits = read_datalist(data)
    channels = {len(case.image) for cases in splits.values() for case in cases}
    if len(channels) != 1 or not channels <= expected:
        raise ValueError(
            f"{data} must hold cases of {' or '.join(map(str, sorted(expected)))} channels for {challenge}, got "
            f"{sorted(channels)}; make it with monai-boundary convert"
        )
    quick = length["quick"]
    shared = (
        RunSettings(preset, 2, features=(8, 16, 32), size=(64, 64)) if quick else RunSettings(preset, length["epochs"])
    )
    results = output / "results.jsonl"
    run_protocol(challenge, splits, results, names or _SETTINGS, range(1 if quick else seeds), shared)
    rows = finished_runs(results)
    save_figure(curves_figure(rows), output / "curves.png")
    click.echo(f"\n{protocol_table(rows)}\n\nruns: {results}\ncurves: {output / 'curves.png'}")


@reproduce.command(short_help="The boundary F1 loss on synthetic buildings; no data needed.")
@click.option("--full/--quick", default=True, show_default=True,
              help="The published set-up, for a GPU, or a smoke run of two minutes.")  # fmt: skip
@_output
@click.option("--losses", "names", multiple=True, type=click.Choice(_LOSSES), help="Rows; all by default.")
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
    from monai_boundary.protocols.aicd import AicdSettings, run_aicd
    from monai_boundary.protocols.aicd_report import write_aicd_report

    chosen: dict[str, Any] = {} if full else {"images": 160, "size": 64, "epochs": 10, "width": 8, "smoke": True}
    chosen |= {key: value for key, value in given.items() if value is not None}
    width = chosen.pop("width", 16)
    features = tuple(width * 2**depth for depth in range(4))
    score_every = max(1, chosen.get("epochs", 100) // 8)
    shared = AicdSettings(**chosen, features=features, score_every=score_every)
    results = output / "results.jsonl"
    run_aicd(results, names or _LOSSES, range(seeds or (3 if full else 1)), shared)
    click.echo(write_aicd_report(results, output))


for one in (
    _challenge("wmh", {2}),
    _challenge("isles", {3, 5}),
    membrane_command("isbi2012"),
    membrane_command("gala"),
):
    reproduce.add_command(one)
