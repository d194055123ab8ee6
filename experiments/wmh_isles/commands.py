"""``python -m experiments wmh`` and ``isles``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from experiments.shared.curves import curves_figure
from experiments.shared.journal import finished_runs
from experiments.wmh_isles.settings import SETTINGS
from experiments.wmh_isles.table import protocol_table
from experiments.wmh_isles.training import RunSettings, run_protocol
from monai_boundary.datasets.datalist import read_datalist
from monai_boundary.reports.figures import save_figure

__all__ = ["isles", "wmh"]


def _challenge(name: str, channels: set[int]) -> click.Command:
    """Return the command of a challenge whose cases have one of these numbers of channels."""

    @click.command(name, short_help=f"The boundary loss on {name.upper()} data.")
    @click.option(
        "--data", required=True, type=click.Path(path_type=Path),
        help="datalist.json, or the folder with it that monai-boundary convert wrote.",
    )  # fmt: skip
    @click.option(
        "-o", "--output", default=Path("reproduce"), show_default=True, type=click.Path(path_type=Path),
        help="Folder for results.jsonl and the pictures.",
    )  # fmt: skip
    @click.option(
        "--settings", "names", multiple=True, type=click.Choice(tuple(SETTINGS)), help="Rows; all by default."
    )
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
    run_protocol(challenge, splits, results, names or tuple(SETTINGS), range(1 if quick else seeds), shared)
    rows = finished_runs(results)
    save_figure(curves_figure(rows), output / "curves.png")
    click.echo(f"\n{protocol_table(rows)}\n\nruns: {results}\ncurves: {output / 'curves.png'}")


wmh, isles = _challenge("wmh", {2}), _challenge("isles", {3, 5})
