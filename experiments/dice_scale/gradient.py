"""The gradient of generalized Dice at the logits of a prediction of background, against the size of the patch.

Patches of all sizes show the same: a ball that fills a given share, or none, and the same probabilities with noise. A
loss that looks at shares alone has then a gradient whose norm, times the square root of the number of voxels, does not
depend on the size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
import torch
from matplotlib.figure import Figure

from experiments.shared.commands import FILE
from experiments.shared.tables import markdown
from monai_boundary.losses import GeneralizedDiceLoss
from monai_boundary.reports.figures import save_figure
from monai_boundary.reports.scores import COLORS

FOREGROUND = (0.0, 0.01, 0.125, 0.3)
MARGIN, NOISE = 2.0, 0.1  # of the logits: background is predicted with 88 %
KINDS = {"scale-free (the default)": True, "MONAI's (scale_free=False)": False}


@click.command()
@click.option("--sizes", default="32,48,64,96,128,160", show_default=True, help="Edges of the patches, in voxels.")
@click.option("--picture", type=FILE, default=Path("runs/generalized_dice_scale.png"), show_default=True)
def dice_scale(sizes: str, picture: Path) -> None:
    """Draw the gradient of generalized Dice against the size of the patch, with this library's scale and MONAI's."""
    edges = [int(size) for size in sizes.split(",")]
    found = {(share, name): [gradient(edge, share, kind) for edge in edges]
             for share in FOREGROUND for name, kind in KINDS.items()}  # fmt: skip
    picture.parent.mkdir(parents=True, exist_ok=True)
    save_figure(_figure(edges, found), picture)
    rows = [[f"{share:.3g}", name, *(f"{value:.3g}" for value in values)] for (share, name), values in found.items()]
    click.echo(markdown(["foreground", "generalized Dice", *(f"{edge}^3" for edge in edges)], rows))
    click.echo(f"\npicture: {picture}")


def gradient(edge: int, share: float, scale_free: bool) -> float:
    """Return the norm of the gradient at the logits, times the square root of the number of voxels.

    Args:
        edge: Of the cubic patch, in voxels.
        share: Of the patch that the ball in its middle fills.
        scale_free: As of the loss.
    """
    radius = edge * (3 * share / (4 * math.pi)) ** (1 / 3)
    axis = np.arange(edge) - (edge - 1) / 2
    ball = np.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2) <= radius
    label = torch.from_numpy(ball.astype(np.uint8))[None, None]
    noise = torch.randn((1, 2, *ball.shape), generator=torch.Generator().manual_seed(0))
    logits = (noise.mul_(NOISE) + torch.tensor([MARGIN, 0.0]).view(1, 2, 1, 1, 1)).requires_grad_()
    loss = GeneralizedDiceLoss(softmax=True, to_onehot_y=True, scale_free=scale_free)
    (found,) = torch.autograd.grad(loss(logits, label), logits)
    return float(found.norm()) * math.sqrt(ball.size)


def _figure(edges: Sequence[int], found: dict[tuple[float, str], list[float]]) -> Figure:
    figure = Figure(figsize=(11, 3.2), layout="constrained")
    for axis, share in zip(figure.subplots(1, len(FOREGROUND), sharey=True), FOREGROUND, strict=True):
        for name, color in zip(KINDS, COLORS, strict=False):
            axis.plot(edges, found[share, name], color=color, marker="o", markersize=4, label=name)
        axis.set(
            title=f"{100 * share:g} % foreground" if share else "no foreground",
            xlabel="edge of the patch, voxels",
            xscale="log",
            yscale="log",
        )
        axis.set_xticks(edges, [str(edge) for edge in edges], fontsize=8)
        axis.set_yticks([0.01, 0.03, 0.1, 0.3], ["0.01", "0.03", "0.1", "0.3"])
        axis.minorticks_off()
        axis.grid(alpha=0.25)
    figure.axes[0].set_ylabel("gradient norm at the logits\nx sqrt(voxels)")
    figure.axes[0].legend(frameon=False, fontsize=9)
    return figure
