"""``python -m experiments isbi2012`` and ``gala``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from experiments.membranes.figures import gaps_figure, scores_figure
from experiments.membranes.losses import LOSSES, ON_REQUEST
from experiments.membranes.settings import settings_for
from experiments.membranes.tables import membrane_tables, pairs_of
from experiments.membranes.training import MembraneTraining, membrane_runs
from experiments.shared.commands import ListOf, Plan, experiment, seeds_option
from monai_boundary.reports.figures import save_figure

_HELP = {
    "isbi2012": """Train six losses on from the same pretrained U-Net, and print the boundary-aware paper's Table 1.

    Adapted Rand index, variation of information and CREMI score on whole images of 512 x 512, per fold and seed, beside
    the paper's figures; each boundary-aware loss against the same loss without it; the scores over the threshold of its
    figure 6; and the gaps in membranes that the loss closes. DATA holds train-volume.tif and train-labels.tif, or
    folders images and labels.
    """,
    "gala": """Train a 3D U-Net on one half of a FIB-SEM volume and score the other, each half in turn.

    As isbi2012, with cuts and regions in 3D. DATA holds image.h5 and gt.lzf.h5, as in Janelia's gala.
    """,
}
_FURTHER = " Weights and maps are kept beside the results, too, and not made again."
_BY_DEFAULT = ",".join(name for name in LOSSES if name not in ON_REQUEST)


def _command(name: str) -> click.Command:
    @experiment(name, data="required", folder=True)
    @click.option("--losses", type=ListOf(LOSSES), default=_BY_DEFAULT, show_default=True)
    @seeds_option(2)
    @click.option("--folds", type=click.IntRange(min=2), help="Number of folds.  [isbi2012: 3, gala: 2]")
    @click.option("--epochs", type=click.IntRange(min=1), help="After the pretraining.  [isbi2012: 12, gala: 200]")
    @click.option("--pretrain-epochs", type=click.IntRange(min=1), help="On cross-entropy.  [isbi2012: 80, gala: 500]")
    @click.option("--width", type=click.IntRange(min=1),
                  help="Channels of the first layer, doubled by the next.  [isbi2012: 12, gala: 8]")  # fmt: skip
    @click.option("--quick", is_flag=True, help="A smoke run: one epoch each, one seed, 2 folds, a tiny network.")
    def command(data: Path, folder: Path, losses: tuple[str, ...], seeds: tuple[int, ...], **given: Any) -> Plan:
        training = MembraneTraining(name, data, folder, settings_for(name, **given))
        runs = membrane_runs(name, losses, seeds[:1] if given["quick"] else seeds, training.shared)
        return Plan(runs, training, lambda rows, figures: membrane_report(rows, figures, training))

    command.help = _HELP[name].rstrip() + _FURTHER
    return command


def membrane_report(rows: list[dict[str, Any]], figures: Path | None, training: MembraneTraining) -> str:
    """Return the tables of the runs of these settings, and draw scores over the threshold and gaps that close.

    The gaps are those of the first boundary-aware loss that was run, in the first fold and seed, where maps are kept.

    Raises:
        ValueError: There is no finished run of these settings.
    """
    described = json.loads(json.dumps({"data": training.data, **asdict(training.shared)}))
    own = [row for row in rows if all(row.get(key) == value for key, value in described.items())]
    if not own:
        raise ValueError(f"results must hold finished runs on {training.data} of these settings, got none")
    pair = next(iter(pairs_of(own).values()), [None])[0]
    if figures is not None:
        save_figure(scores_figure(own), figures / f"{training.data}_thresholds.png", dpi=110)
        if pair is not None and all((training.folder / row["maps"]).exists() for row in pair):
            images = training.images(pair[0]["fold"])[1]
            picture = gaps_figure(pair[1], pair[0], images, training.folder)
            save_figure(picture, figures / f"{training.data}_leaks.png", dpi=110)
    return membrane_tables(own)


isbi2012, gala = _command("isbi2012"), _command("gala")
