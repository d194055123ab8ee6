"""What a model was trained with: saved beside its weights, and read back for evaluation and inference."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from monai.networks import nets
from torch import nn

from monai_boundary.bundles.checkpoints import read_checkpoint

__all__ = ["ModelSettings", "check_same", "make_network", "saved_network", "saved_settings"]


def make_network(name: str, **settings: Any) -> nn.Module:
    """Make one of MONAI's networks that knows how it was made, so that it can be made again from a file of weights.

    Args:
        name: Of a class in `monai.networks.nets`, such as ``"UNet"``.
        **settings: Its arguments.

    Raises:
        ValueError: There is no such network.
    """
    kind = getattr(nets, name, None)
    if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
        raise ValueError(
            f"network_def#name must be a network of monai.networks.nets, such as UNet, got {name!r}; one of your own "
            "goes into network_def, for training and for inference"
        )
    network: nn.Module = kind(**settings)
    network.settings = {"name": name, **settings}  # type: ignore[assignment]
    return network


class ModelSettings:
    """What is saved beside the weights of a network.

    Args:
        network: Made by `make_network`; the definition of any other is not saved.
        **settings: Of numbers, texts, lists and dictionaries.
    """

    def __init__(self, network: nn.Module, **settings: Any) -> None:
        self._state = {
            "version": version("monai-boundary"), "network": getattr(network, "settings", None), **settings,
        }  # fmt: skip

    def state_dict(self) -> dict[str, Any]:
        """Return the settings, the definition of the network under ``"network"``, and the package's ``"version"``."""
        return dict(self._state)


def saved_settings(path: str | os.PathLike[str], **given: Any) -> dict[str, Any]:
    """Return the settings that training saved in a file of weights; another version of the package is warned of.

    Args:
        path: The file.
        **given: Settings that must be as they were in training.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It holds no settings, or others than those given.
    """
    state = read_checkpoint(path)
    settings = state.get("settings") if isinstance(state, Mapping) else None
    if not isinstance(settings, Mapping):
        raise ValueError(f"{path} must hold the settings of its training, got none; train again with this version")
    if (made := settings.get("version")) != (now := version("monai-boundary")):
        warnings.warn(f"{path} was trained by monai-boundary {made}, this is {now}", stacklevel=2)
    check_same(f"in the training of {path}", settings, given)
    return dict(settings)


def saved_network(path: str | os.PathLike[str], **given: Any) -> nn.Module:
    """Return the network that a file of weights is of, as it was before training.

    Args:
        path: The file.
        **given: Arguments of the network that must be as they were in training.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It holds no definition of a network, or another than the one given.
    """
    settings = saved_settings(path)["network"]
    if settings is None:
        raise ValueError(f"{path} must say what network it is of, got none; pass network_def as in training")
    check_same(f"in the training of {path}", settings, given)
    return make_network(**settings)


def check_same(where: str, saved: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Raise ``ValueError`` where a given setting is not the saved one; tuples are lists.

    What was not saved, as by an earlier version, is not compared.

    Args:
        where: Of the saved ones, for the error.
        saved: Settings of a run before.
        given: Settings of this run, all or some.
    """
    for name, value in given.items():
        if name in saved and json.dumps(value, sort_keys=True) != json.dumps(saved[name], sort_keys=True):
            raise ValueError(
                f"{name} must be {saved[name]} as {where}, got {value}; leave it as it was, or train another model in "
                "another ckpt_dir"
            )
