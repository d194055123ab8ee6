"""``python -m experiments wmh``, ``isles``, ``ms`` and ``wmh-phantoms``."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import click

from experiments.shared.commands import ListOf, Plan, experiment, seeds_option
from experiments.shared.journal import Run
from experiments.shared.real_data import MS_PATIENTS, ms_patient
from experiments.wmh_isles.phantoms import converted_splits
from experiments.wmh_isles.settings import SETTINGS, RunSettings
from experiments.wmh_isles.slices import SliceVolume, load_volumes
from experiments.wmh_isles.training import Split, planned_runs, protocol_plan
from monai_boundary.datasets.datalist import read_datalist

_settings = click.option(
    "--settings", type=ListOf(SETTINGS), default=",".join(SETTINGS), show_default=True, help="Rows of the table."
)


def _challenge(challenge: str, channels: set[int]) -> click.Command:
    """Return the command of a challenge whose cases have one of these numbers of channels."""

    @experiment(challenge, data="required")
    @_settings
    @click.option("--preset", default="published", show_default=True, type=click.Choice(("published", "robust")),
                  help="Map and weights of the boundary term.")  # fmt: skip
    @seeds_option()
    @click.option("--epochs", default=100, show_default=True, type=click.IntRange(min=1))
    @click.option("--quick", is_flag=True, help="A smoke run: 2 epochs, 64 x 64, a narrow network.")
    def command(data: Path, settings: tuple[str, ...], seeds: tuple[int, ...], quick: bool, **shared: Any) -> Plan:
        """Train the published 2D UNet with and without the boundary term and print the paper's table.

        DATA is a datalist.json, or the folder with it that monai-boundary convert wrote.

        Slices of 256 x 256, Adam at 1e-3, batch 8, 100 epochs, weights rebalanced: generalized Dice, the same with maps
        of the slices and with maps of the volume, Dice + cross-entropy without and with the boundary term.
        """
        small = {"epochs": 2, "features": (8, 16, 32), "size": (64, 64)} if quick else {}
        chosen = RunSettings(**{**shared, **small})

        @cache
        def split() -> Split:
            train, test = challenge_cases(data, challenge, channels)
            return load_volumes(train, chosen.size, "training"), load_volumes(test, chosen.size, "validation")

        return protocol_plan(
            challenge, planned_runs([challenge], settings, seeds[:1] if quick else seeds, chosen), lambda _run: split()
        )

    return command


def challenge_cases(data: Path, challenge: str, channels: set[int]) -> tuple[list, list]:
    """Return the training and the validation cases of a datalist.

    Raises:
        ValueError: It has none of them, or cases of another number of channels.
    """
    splits = read_datalist(data, needed=("image", "label"), splits=("training", "validation"))
    found = {len(case.image) for cases in splits.values() for case in cases}
    if len(found) != 1 or not found <= channels:
        raise ValueError(
            f"{data} must hold cases of {' or '.join(map(str, sorted(channels)))} channels for {challenge}, got "
            f"{sorted(found)}; make it with monai-boundary convert"
        )
    for name in ("training", "validation"):
        if not splits.get(name):
            raise ValueError(f"{data} must hold {name} cases, got none")
    return splits["training"], splits["validation"]


wmh, isles = _challenge("wmh", {2}), _challenge("isles", {3, 5})


@experiment("ms", data="folder")
@_settings
@click.option("--presets", type=ListOf(("published", "robust")), default="published,robust", show_default=True)
@seeds_option()
@click.option("--epochs", default=40, show_default=True, type=click.IntRange(min=1))
def ms(data: Path, settings: tuple[str, ...], presets: tuple, seeds: tuple[int, ...], epochs: int) -> Plan:
    """Train on one of two patients with multiple sclerosis and score the other, both ways.

    FLAIR, T1 and T2; lesions fill 0.69 % of patient19 and 0.018 % of patient07. One patient is a very small training
    set: this compares losses, it is not a clinical result.
    """
    runs = []
    for preset in presets:
        # the region losses alone run once, since the preset has no say in them
        names = [name for name in settings if SETTINGS[name].maps or preset == presets[0]]
        shared = RunSettings(epochs, score_every=5, preset=preset, features=(16, 32, 64, 128), size=(160, 192),
                             empty_share=0.1)  # fmt: skip
        directions = [f"{train} to {test}" for train, test in (MS_PATIENTS, MS_PATIENTS[::-1])]
        runs += planned_runs(directions, names, seeds, shared)

    @cache
    def patient(name: str) -> list[SliceVolume]:
        return load_volumes([ms_patient(data, name)], (160, 192), name)

    def split(run: Run) -> Split:
        train, test = run["data"].split(" to ")
        return patient(train), patient(test)

    return protocol_plan("ms", runs, split)


@experiment("wmh-phantoms", data="folder")
@seeds_option()
@click.option("--epochs", default=20, show_default=True, type=click.IntRange(min=1))
def wmh_phantoms(data: Path, seeds: tuple[int, ...], epochs: int) -> Plan:
    """Train on phantoms in WMH's layout, made of eight real lesion masks and converted as the challenge is.

    Five cases train, three are scored. Lesion shapes are real, images are not: this compares losses.
    """
    robust = tuple(name for name in SETTINGS if name.endswith("3d"))
    runs = []
    for preset, settings in (("published", tuple(SETTINGS)), ("robust", robust)):
        shared = RunSettings(epochs, score_every=2, preset=preset, features=(16, 32, 64), size=None, empty_share=0.1)  # type: ignore[arg-type]
        runs += planned_runs(["WMH layout"], settings, seeds, shared)

    @cache
    def split() -> Split:
        with tempfile.TemporaryDirectory() as folder:
            train, test = converted_splits(data / "ms_lesions" / "masks_raw", Path(folder))
            return load_volumes(train, None, "training"), load_volumes(test, None, "validation")

    return protocol_plan("wmh_phantoms", runs, lambda _run: split())
