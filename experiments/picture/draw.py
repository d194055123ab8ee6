"""A held-out phantom, its distance map with iso-lines, and what a small network predicts that learned from such maps.

It shows what goes in and what comes out, and compares nothing: for that there are the other experiments.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import torch
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from monai.networks.nets import UNet

from experiments.shared.commands import FILE
from monai_boundary import GeneralizedDiceBoundaryLoss, Share, SignedDistanceMap, signed_distance
from monai_boundary.datasets import lesion_phantom
from monai_boundary.reports._panels import GROUND_TRUTH, draw_image, draw_isolines, draw_outline, lesion_views
from monai_boundary.reports.figures import save_figure

SHOWN, CASES = 3, tuple(range(10, 34))
SHAPE = (24, 64, 64)
LEVELS = (-4, -2, 0, 5, 10, 15, 20)


@click.command()
@click.option("--steps", default=500, show_default=True, help="Batches of 16 slices.")
@click.option("--picture", type=FILE, default=Path("docs/map_and_prediction.png"), show_default=True)
def picture(steps: int, picture: Path) -> None:
    """Train on phantoms for a minute, and draw image, map and prediction of another one."""
    torch.manual_seed(0)
    case = lesion_phantom(SHOWN, SHAPE)
    probability = predict(train(steps), case.image)
    picture.parent.mkdir(parents=True, exist_ok=True)
    save_figure(_figure(case.image, case.labels > 0, probability, case.spacing), picture)
    found, truth = probability > 0.5, case.labels > 0
    click.echo(f"Dice of the prediction: {2 * (found & truth).sum() / (found.sum() + truth.sum()):.3f}; {picture}")


def train(steps: int) -> UNet:
    """Return a network of slices, trained with generalized Dice and the boundary term at a fifth of the gradient."""
    cases = [lesion_phantom(number, SHAPE) for number in CASES]
    images = torch.cat([torch.from_numpy(_normal(case.image)) for case in cases])[:, None]
    labels = torch.cat([torch.from_numpy(case.labels.astype(np.int64)) for case in cases])[:, None]
    made = [SignedDistanceMap(2, preset="clipped", spacing=case.spacing)(case.labels[None]) for case in cases]
    maps = torch.cat([torch.as_tensor(one).transpose(0, 1) for one in made])  # slices of whole volumes: (Z, 1, Y, X)
    network = UNet(2, 1, 2, (16, 32, 64), (2, 2), num_res_units=2, norm="instance")
    loss = GeneralizedDiceBoundaryLoss(preset="clipped", alpha=Share(0.2))
    optimizer = torch.optim.Adam(network.parameters(), 2e-3)
    lesions = np.flatnonzero(labels.flatten(1).any(1).numpy())
    rng = np.random.default_rng(0)
    for _ in range(steps):
        chosen = np.concatenate([rng.choice(lesions, 8), rng.choice(len(labels), 8)])
        optimizer.zero_grad()
        loss(network(images[chosen]), labels[chosen], maps[chosen]).backward()
        optimizer.step()
    network.eval()
    return network


def predict(network: UNet, image: np.ndarray) -> np.ndarray:
    """Return the probability of lesion, `(z, y, x)`."""
    with torch.no_grad():
        probability: np.ndarray = network(torch.from_numpy(_normal(image))[:, None]).softmax(1)[:, 1].numpy()
    return probability


def _normal(image: np.ndarray) -> np.ndarray:
    scaled: np.ndarray = ((image - image.mean()) / image.std()).astype(np.float32)
    return scaled


def _figure(image: np.ndarray, truth: np.ndarray, probability: np.ndarray, spacing: tuple[float, ...]) -> Figure:
    view, distance = lesion_views(truth)[0], signed_distance(truth, spacing)
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    panels = [
        ("Image and lesions", image, "gray", Normalize(image.min(), image.max()), None),
        ("Distance to the outline, mm", distance, "RdBu", Normalize(-25, 25), LEVELS),
        ("What a network learned from it", probability, "gray", Normalize(0, 1), None),
    ]
    for axis, (title, values, colours, norm, levels) in zip(figure.subplots(1, 3), panels, strict=True):
        draw_image(axis, values, spacing, view, norm, colours, scale_bar=levels is None)
        if levels is None:
            draw_outline(axis, truth, spacing, view, GROUND_TRUTH)
        else:
            draw_isolines(axis, distance, spacing, view, levels)
        axis.set_title(title, fontsize=12, pad=18)
    return figure
