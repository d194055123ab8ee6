"""``python -m experiments isbi2012`` and ``gala``: the boundary-aware loss on electron microscopy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from experiments.membranes.losses import LOSSES
from experiments.membranes.report import write_membrane_report
from experiments.membranes.settings import settings_for
from experiments.membranes.training import run_membranes

__all__ = ["gala", "isbi2012"]

ON_REQUEST = ("wbce+bal-mean",)
BY_DEFAULT = tuple(name for name in LOSSES if name not in ON_REQUEST)
_HELP = {
    "isbi2012": """Train six losses on from the same pretrained U-Net, and print the boundary-aware paper's Table 1.

    Adapted Rand index, variation of information and CREMI score on whole images of 512 x 512, per fold and seed, beside
    the paper's figures; each boundary-aware loss against the same loss without it; the scores over the threshold of its
    figure 6; and the gaps in membranes that the loss closes. DATA holds train-volume.tif and train-labels.tif, or
    folders images and labels.
    """,
    "gala": """Train a 3D U-Net on one half of a FIB-SEM volume and score the other, each half in turn.

    As isbi2012, with cuts and regions in 3D. DATA holds image.h5 and gt.h5 as in Janelia's gala.
    """,
}
_FURTHER = " All weights, maps and finished runs are kept in OUTPUT and not made again."


def membrane_command(data: str) -> click.Command:
    """Return the command that trains on `data`."""

    @click.command(data, help=_HELP[data].rstrip() + _FURTHER, short_help=_HELP[data].splitlines()[0])
    @click.option("--data", "root", required=True, type=click.Path(exists=True, path_type=Path), help="Folder.")
    @click.option("-o", "--output", default=Path("reproduce"), show_default=True, type=click.Path(path_type=Path),
                  help="Folder for results.jsonl, weights, maps and pictures; one for each DATA.")  # fmt: skip
    @click.option(
        "--losses",
        "names",
        multiple=True,
        type=click.Choice(tuple(LOSSES)),
        help="Rows; by default all but wbce+bal-mean.",
    )
    @click.option("--folds", type=click.IntRange(min=2), help="Number of folds.  [isbi2012: 3, gala: 2]")
    @click.option("--seeds", default=2, show_default=True, type=click.IntRange(min=1), help="Number of seeds.")
    @click.option("--epochs", type=click.IntRange(min=1), help="After the pretraining.  [isbi2012: 12, gala: 200]")
    @click.option("--pretrain-epochs", type=click.IntRange(min=1), help="On cross-entropy.  [isbi2012: 80, gala: 500]")
    @click.option("--width", type=click.IntRange(min=1), help="Channels of the first layer, doubled by the next.  "
                  "[isbi2012: 12, gala: 8]")  # fmt: skip
    @click.option("--quick", is_flag=True, help="A smoke run: one epoch each, one seed, 2 folds, a tiny network.")
    def command(**options: Any) -> None:
        _run(data, **options)

    return command


def _run(data: str, root: Path, output: Path, names: tuple[str, ...], seeds: int, **given: Any) -> None:
    quick = given.pop("quick")
    shared = settings_for(data, quick, **{key: value for key, value in given.items() if value is not None})
    results = output / "results.jsonl"
    run_membranes(data, root, results, names or BY_DEFAULT, range(1 if quick else seeds), shared)
    click.echo(write_membrane_report(results, data, root, shared))


isbi2012, gala = membrane_command("isbi2012"), membrane_command("gala")
