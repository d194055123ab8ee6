"""Weights and thresholds in files that a bundle has saved, or that its user has."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from monai_boundary._check import check_fraction
from monai_boundary._checksums import check_archive

__all__ = ["load_weights", "read_checkpoint", "saved_threshold"]

_OPTIONAL = re.compile(r"(^|\.)_?fc\.|num_batches_tracked$")  # an encoder's classifier; a count that old files lack


def load_weights(network: nn.Module, path: str | os.PathLike[str] | None) -> str:
    """Load weights of the whole network or of its encoder alone.

    Args:
        network: Any; only those with a module `encoder`, such as MONAI's `FlexibleUNet`, take the weights of one.
        path: File with a state dictionary, as this bundle, MONAI or torchvision save it; a classifier in it is passed
            over. ``None`` loads nothing.

    Returns:
        What was loaded: ``"network"``, ``"encoder"`` or ``"nothing"``.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file holds no state dictionary, or one of another network.
    """
    if path is None:
        return "nothing"
    state = _network_state(Path(path))
    modules: dict[str, nn.Module] = {"network": network}
    if hasattr(network, "encoder"):
        modules["encoder"] = network.encoder  # type: ignore[assignment]
    problems = []
    for name, module in modules.items():
        problem = _misfit(module.state_dict(), state)
        if not problem:
            module.load_state_dict(
                {key: value for key, value in state.items() if not _OPTIONAL.search(key)}, strict=False
            )
            return name
        problems.append(f"the {name}: {problem}")
    raise ValueError(
        f"{path} must hold the weights of this {' or of its '.join(modules)}, got others ({'; '.join(problems)}); set "
        f"network_def#{'backbone' if 'encoder' in modules else 'channels'} to that of the network that was saved"
    )


def _misfit(wanted: Mapping[str, torch.Tensor], state: Mapping[str, torch.Tensor]) -> str:
    """What keeps `state` from being loaded; empty where nothing does."""
    needed, given = ({key for key in names if not _OPTIONAL.search(key)} for names in (wanted, state))
    other = {key for key in needed & given if state[key].shape != wanted[key].shape}
    kinds = {"missing": needed - given, "unknown": given - needed, "of another shape": other}
    return ", ".join(f"{len(keys)} tensors {kind}, such as {min(keys)}" for kind, keys in kinds.items() if keys)


def saved_threshold(path: str | os.PathLike[str], threshold: float | None = None) -> float:
    """Return `threshold`, or where it is ``None`` the one that training chose on validation data and saved in `path`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It holds no threshold, or one outside [0, 1].
    """
    if threshold is not None:
        return check_fraction("threshold", threshold)
    state: Any = read_checkpoint(path)
    saved = state.get("validation", {}).get("threshold") if isinstance(state, Mapping) else None
    if saved is None:
        raise ValueError(f"{path} must hold the threshold that validation chose, got none; pass --threshold 0.5")
    return check_fraction("threshold", saved)


def read_checkpoint(path: str | os.PathLike[str]) -> Any:
    """Return what a file of weights holds, tensors, numbers and texts alone, on the CPU."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} must be a file of weights, got none; train first, or check the path")
    try:
        check_archive(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged file
        raise ValueError(f"{path} must be a file that torch.save wrote, got: {str(error).splitlines()[0]}") from error


def _network_state(path: Path) -> Mapping[str, torch.Tensor]:
    state: Any = read_checkpoint(path)
    for key in ("model", "state_dict"):
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
    if not isinstance(state, Mapping) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ValueError(f"{path} must hold a state dictionary of tensors, got {type(state).__name__} of other things")
    return {key.removeprefix("module."): value for key, value in state.items()}
