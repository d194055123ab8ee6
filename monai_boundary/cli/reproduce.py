"""``monai-boundary reproduce``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

__all__ = ["reproduce"]

_SETTINGS = ("gdl", "gdl+boundary2d", "gdl+boundary3d", "dicece", "dicece+boundary3d")  # importing them loads torch


@click.command(short_help="Run the published protocol and print its table.")
@click.argument("challenge", type=click.Choice(("wmh", "isles")))
@click.option(
    "--data", required=True, type=click.Path(path_type=Path),
    help="datalist.json, or the folder with it that monai-boundary convert wrote.",
)  # fmt: skip
@click.option("-o", "--output", default=Path("reproduce"), show_default=True, type=click.Path(path_type=Path),
              help="Folder for results.jsonl and the curves.")  # fmt: skip
@click.option("--settings", "names", multiple=True, type=click.Choice(_SETTINGS), help="Rows; all by default.")
@click.option("--preset", default="published", show_default=True, type=click.Choice(("published", "robust")),
              help="Map and weights of the boundary term.")  # fmt: skip
@click.option("--seeds", default=3, show_default=True, type=click.IntRange(min=1), help="Number of seeds.")
@click.option("--epochs", default=100, show_default=True, type=click.IntRange(min=1))
@click.option("--quick", is_flag=True, help="A smoke run: 2 epochs, one seed, 64 x 64, a narrow network.")
def reproduce(
    challenge: str,
    data: Path,
    output: Path,
    names: tuple[str, ...],
    preset: Any,
    seeds: int,
    epochs: int,
    quick: bool,
) -> None:
    """Train the published 2D UNet with and without the boundary term and print the paper's table.

    Slices of 256 x 256, Adam at 1e-3, batch 8, 100 epochs, weights rebalanced: generalized Dice, the same with maps of
    the slices and with maps of the volume, Dice + cross-entropy without and with the boundary term. Finished runs are
    kept in OUTPUT/results.jsonl and not repeated. Prints mean and standard deviation over the seeds.
    """
    from monai_boundary.datasets.datalist import read_datalist
    from monai_boundary.protocols import RunSettings, run_protocol
    from monai_boundary.protocols.run import finished_runs
    from monai_boundary.protocols.table import protocol_table
    from monai_boundary.reports.curves import curves_figure
    from monai_boundary.reports.figures import save_figure

    splits = read_datalist(data)
    channels = {len(case.image) for cases in splits.values() for case in cases}
    expected = {"wmh": {2}, "isles": {3, 5}}[challenge]
    if len(channels) != 1 or not channels <= expected:
        raise ValueError(
            f"{data} must hold cases of {' or '.join(map(str, sorted(expected)))} channels for {challenge}, got "
            f"{sorted(channels)}; make it with monai-boundary convert"
        )
    shared = RunSettings(preset, 2, features=(8, 16, 32), size=(64, 64)) if quick else RunSettings(preset, epochs)
    results = output / "results.jsonl"
    run_protocol(challenge, splits, results, names or _SETTINGS, range(1 if quick else seeds), shared)
    rows = finished_runs(results)
    save_figure(curves_figure(rows), output / "curves.png")
    click.echo(f"\n{protocol_table(rows)}\n\nruns: {results}\ncurves: {output / 'curves.png'}")
