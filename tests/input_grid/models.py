"""How losses, schedules, phantoms and the rest are called; a new loss needs a line in losses/public.py at most."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from tests.input_grid.arrays import LOGITS, REGIONS, TARGET, documented, with_settings
from tests.input_grid.cells import Recipe, given, recipe
from tests.input_grid.kinds import ERROR, FINITE, choice, constants, integer, number
from tests.losses import public


def losses() -> dict[str, Recipe]:
    from monai_boundary import losses as room

    chosen = documented("the larger, as torch's arg max has it", "logits", odd=("with_nan",))
    return {name: loss(name, getattr(room, name)) for name in public.NAMES} | {
        "Share": recipe(room.Share, value=(0.2, number()), aliases={"value": ("share",)}),
        "CollapseGuard": recipe(
            room.CollapseGuard, lambda guard, true: guard.update([0.2], true),
            true=([0.3], constants(FINITE, number=0.3, two=[0.1, 0.2])),
        ),
        "foreground_shares": recipe(
            room.foreground_shares, logits=given(LOGITS, "logits", 2, paired=True), documented=chosen,
            labels=given(TARGET, "labels", 2, paired=True),
        ),
    }  # fmt: skip


def loss(name: str, cls: Any) -> Recipe:
    """The loss as its settings make it, called with logits, target, and what it wants beside it."""

    def make(**settings: Any) -> nn.Module:
        return public.make(name, (2, 6, 7), **settings).loss

    torch.manual_seed(0)
    case = public.make(name, (2, 6, 7))
    kind = "mask" if case.others[0].shape[1] == case.logits.shape[1] else "labels"
    target, odd = given(case.others[0], kind, 2, paired=True)
    if kind == "mask":  # may be soft
        odd = [one._replace(allowed=FINITE) if one.name == "with_half" else one for one in odd]
    arguments: dict[str, Any] = {"input": given(case.logits.float(), "logits", 2, paired=True), "target": (target, odd)}
    if len(case.others) > 1:
        arguments["seeds"] = given(case.others[1], "ids", 2, paired=True)
    built = with_settings(cls, make)
    taken = built.__signature__.parameters  # type: ignore[attr-defined]
    if "alpha" in taken:
        arguments["alpha"] = (1.0 if name.startswith("Cross") else 0.4, number())
    return recipe(
        built, with_gradient(case), **arguments, aliases={"target": ("labels", "masks"), "alpha": ("share",)},
        skip=("weights", "layers"),
    )  # fmt: skip


def with_gradient(case: public.Case) -> Callable[..., Any]:
    """Call the loss, and go backwards: a gradient that is not finite makes the value infinite."""

    def use(loss: nn.Module, input: Any, *_: Any, **others: Any) -> Any:
        leaf = input
        if isinstance(input, torch.Tensor) and input.is_floating_point() and input.device.type == "cpu":
            leaf = input.detach().clone().requires_grad_()
        sliced = isinstance(leaf, torch.Tensor) and leaf.ndim > 2 and leaf.layout == torch.strided
        value = loss(case.heads(leaf) if sliced else leaf, *others.values())
        if not (value.requires_grad and value.isfinite().all()):
            return value
        value.sum().backward()
        return value if leaf.grad.isfinite().all() else torch.tensor(float("inf"))

    return use


def schedules() -> dict[str, Recipe]:
    from monai_boundary import losses as room
    from monai_boundary import schedules as s

    when = {"epoch": (3, integer()), "max_epochs": (10, integer())}
    history = ([1.0, 0.9, 0.8], constants(ERROR, none=None, number=3, short=[1.0], text="abc"))

    def use(schedule: Any, epoch: Any, max_epochs: Any, **more: Any) -> Any:
        return schedule.weights(epoch, max_epochs, **more)

    def suggest(share: Any = 0.5) -> float:
        summed = room.GeneralizedDiceBoundaryLoss(include_background=True, check_map=False)
        return s.suggest_alpha(summed, lambda image: image, [(LOGITS, TARGET, 0.5 - REGIONS)], share)

    found = {
        name: recipe(getattr(s, name), use, pace=(20, integer()), **when, aliases={"start": ("end",)})
        for name in ("Increase", "Rebalance")
    }
    return found | {
        "Constant": recipe(s.Constant, use, **when),
        "GradientShare": recipe(s.GradientShare, use, **when, aliases={"end": ("share",)}),
        "Warmup": recipe(s.Warmup, use, epochs=(2, number()), **when),
        "WaitForRegion": recipe(s.WaitForRegion, use, **when, history=history, aliases={"epoch": ("history",)}),
        "suggest_alpha": recipe(suggest),
    }


def others() -> dict[str, Recipe]:
    from monai_boundary import datasets, evaluation, inference
    from monai_boundary.datasets import remote

    shape = constants(
        ERROR, none=None, text="16", zero=(0, 64), negative=(-1, 64), fraction=(64.5, 64), one=(64,), four=(64,) * 4
    )
    seed = {"seed": (0, integer())}
    width = {"spacing": ("width", "cell_size"), "cell_size": ("width",)}
    forms = ("usual", "negative", "background", "foreground", "huge", "numpy")
    kept = documented("kept", "ignore_index", odd=forms) | documented("a number of mm", "empty", odd=("number",))
    labels = (None, constants(ERROR, text="1", fraction=(1.5,), number=1, zero=(0,), empty=()))
    return {
        "predict_augmented": recipe(
            inference.predict_augmented, network=torch.neg, batch=given(LOGITS[..., :6], "logits", 2),
            aliases={"batch": ("network",)},
        ),
        "EvaluationSettings": recipe(evaluation.EvaluationSettings, labels=labels, documented=kept),
        "lesion_phantom": recipe(datasets.lesion_phantom, **seed, shape=((12, 16, 16), shape), ndim=3),
        "building_phantom": recipe(
            datasets.building_phantom, **seed, shape=((64, 64), shape), primitive=(None, choice())
        ),
        "membrane_phantom": recipe(
            datasets.membrane_phantom, **seed, shape=((32, 32), shape), cell_size=(16.0, number()), aliases=width
        ),
        "BuildingPhantoms": recipe(
            datasets.BuildingPhantoms, lambda made: made[0], count=(2, integer()), shape=((64, 64), shape)
        ),
        "MembranePhantoms": recipe(datasets.MembranePhantoms, len, count=(2, integer())),
        "window_grid": recipe(remote.window_grid, shape=((20, 30), shape), size=(8, integer())),
    }  # fmt: skip
