"""The distance of prediction and target in features of a VGG network, for two-dimensional images."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from monai_boundary.losses.contract import Counted
from monai_boundary.losses.target import TargetLoss

__all__ = ["TopologyLoss"]

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, which VGG was trained on


@dataclass(eq=False, repr=False, kw_only=True)
class TopologyLoss(TargetLoss):
    """Mean squared distance between VGG19 features of prediction and target, summed over layers, per class and sample.

    The probability map of each class is repeated to three channels and normalised as the network's training images
    were: (p - mean) / std with ImageNet's (0.485, 0.456, 0.406) and (0.229, 0.224, 0.225). The target goes the same
    way. 0 for a prediction equal to the target; a term to add to a pixel-wise loss, with a weight of its own. Computed
    in float32, also inside autocast; each of the first layers keeps 64 maps of the image's size per class and sample.

    The network comes from torchvision, its weights from a file of yours: nothing is downloaded. It is frozen, and
    unless `in_state_dict` it is neither among the parameters nor in the state of the loss; it follows the input's
    device.

    Args:
        include_background, to_onehot_y, sigmoid, softmax, other_act, reduction, ignore_index, validate: As of
            `BoundaryLoss`.
        batch: Average over the batch before the reduction.
        weights: File with the state dictionary of torchvision's ``vgg19`` (the whole model's, or that of its
            ``features`` alone), such as ``vgg19-dcbb9e9d.pth``. ``None`` takes an untrained network, always the same:
            for tests, not for training.
        layers: Names such as ``"relu1_2"``, or ``"conv1_2"`` for the values before the ReLU. By default the three of
            the paper: conv1_2, conv2_2 and conv3_4, after their ReLU.
        in_state_dict: Whether the network is a submodule, so that its weights are part of the loss's state.

    Raises:
        FileNotFoundError: There is no file `weights`.
        ImportError: torchvision is not installed, or does not fit torch.
        TypeError: See `BoundaryLoss`.
        ValueError: See there; the file is no such state dictionary; a layer is unknown; `input` is not `(B, C, H, W)`,
            or smaller than the poolings before the last layer.

    References:
        Mosinska et al., Beyond the pixel-wise loss for topology-aware delineation, CVPR 2018; the baseline L_VGG of
        Bokhovkin and Burnaev, ISNN 2019, section 2.

    Example:
        >>> loss = TopologyLoss(weights=None, sigmoid=True)  # untrained, to show the shapes
        >>> loss(torch.zeros(1, 1, 16, 16), torch.ones(1, 1, 16, 16)).ndim
        0
    """

    weights: str | Path | None
    layers: Sequence[str] = ("relu1_2", "relu2_2", "relu3_4")
    ignore_index: int | None = None
    in_state_dict: bool = False

    def set_up(self) -> None:
        """Make the network."""
        network, self._stops = _vgg19(self.layers)
        _draw_weights(network) if self.weights is None else _load_weights(network, Path(self.weights))
        network.requires_grad_(False).eval()
        self.network: nn.Sequential
        if self.in_state_dict:
            self.network = network
        else:  # past nn.Module, which would register it
            object.__setattr__(self, "network", network)

    def value(self, counted: Counted) -> torch.Tensor:
        """Return the loss of what `contract.count` returned."""
        self._check_size(counted.probs)
        distances = self._distance(counted.probs, counted.target)
        return self.reduce(distances.mean(0) if self.batch else distances)

    def _distance(self, probs: torch.Tensor, onehot: torch.Tensor) -> torch.Tensor:
        """Sum over the layers of the mean squared distance, `(B, C)`."""
        if next(self.network.parameters()).device != probs.device:
            self.network.to(probs.device)
        with torch.autocast(probs.device.type, enabled=False):
            with torch.no_grad():
                expected = self._features(onehot)
            found = self._features(probs)
            distances = [(a - b).square().mean((1, 2, 3)) for a, b in zip(found, expected, strict=True)]
        return torch.stack(distances).sum(0).view(probs.shape[:2])

    def _features(self, maps: torch.Tensor) -> list[torch.Tensor]:
        """Features `(B C, F, h, w)` of every layer for maps `(B, C, H, W)`."""
        mean, std = (torch.tensor(values, device=maps.device).view(3, 1, 1) for values in (_MEAN, _STD))
        values = (maps.float().flatten(0, 1).unsqueeze(1) - mean) / std  # (B C, 3, H, W)
        features = []
        for index, module in enumerate(self.network):
            values = module(values)
            if index in self._stops:
                features.append(values)
        return features

    def _check_size(self, logits: torch.Tensor) -> None:
        if logits.ndim != 4:
            raise ValueError(
                f"input must be (B, C, H, W) as VGG is two-dimensional, got shape {tuple(logits.shape)}; pass the "
                "slices of a volume as a batch"
            )
        least = 2 ** sum(isinstance(module, nn.MaxPool2d) for module in self.network)
        if min(logits.shape[2:]) < least:
            raise ValueError(
                f"input must have at least {least} pixels along each axis for the layers {', '.join(self.layers)}, "
                f"got shape {tuple(logits.shape)}"
            )

    def extra_repr(self) -> str:
        """Show the settings that change the value."""
        return f"layers={self.layers}, {super().extra_repr()}"


def _vgg19(layers: Sequence[str]) -> tuple[nn.Sequential, set[int]]:
    """Return torchvision's VGG19 up to the last of `layers`, without values, and the indices of these layers."""
    try:
        from torchvision.models import vgg19
    except (ImportError, RuntimeError) as error:  # RuntimeError: built for another torch
        raise ImportError(
            f"TopologyLoss needs torchvision of the same build as torch, got: {error}; install monai-boundary[remote], "
            "torch and torchvision together"
        ) from error
    with torch.device("meta"):  # nothing is drawn, and the classifier takes no memory
        modules = list(vgg19(weights=None).features)
    places: dict[str, int] = {}
    block = number = 1
    for index, module in enumerate(modules):
        if isinstance(module, nn.Conv2d):
            places[f"conv{block}_{number}"], places[f"relu{block}_{number}"] = index, index + 1
            number += 1
        elif isinstance(module, nn.MaxPool2d):
            block, number = block + 1, 1
    if not layers or isinstance(layers, str) or not set(layers) <= set(places):
        raise ValueError(f"layers must be names among {', '.join(places)}, got {layers!r}")
    stops = {places[name] for name in layers}
    # A ReLU in place would write over the values that a conv layer gives.
    kept = [nn.ReLU() if isinstance(module, nn.ReLU) else module for module in modules[: max(stops) + 1]]
    return nn.Sequential(*kept).to_empty(device="cpu"), stops


def _draw_weights(network: nn.Module) -> None:
    """Fill the network from a fixed seed, as torchvision initialises it; the global generator is left alone."""
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        if parameter.ndim == 1:
            nn.init.zeros_(parameter)
        else:
            nn.init.kaiming_normal_(parameter, mode="fan_out", nonlinearity="relu", generator=generator)


def _load_weights(network: nn.Module, path: Path) -> None:
    if not path.is_file():
        raise FileNotFoundError(
            f"weights must name the file with torchvision's VGG19 weights, got {path}, which is no file; download "
            "vgg19-dcbb9e9d.pth from pytorch.org yourself and give its path"
        )
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of zip, pickle or torch, depending on the damage
        raise ValueError(
            f"weights must be a state dictionary that torch.load(weights_only=True) reads, got {path}: {error}"
        ) from error
    if not isinstance(state, Mapping):
        raise ValueError(f"weights must be a state dictionary, got a {type(state).__name__} in {path}")
    # The whole model calls them features.0.weight, the features alone 0.weight.
    state = {re.sub(r"^features\.", "", name): values for name, values in state.items()}
    wanted = {name: tuple(values.shape) for name, values in network.state_dict().items()}
    for name, shape in wanted.items():
        found = tuple(getattr(state.get(name), "shape", ()))
        if found != shape:
            raise ValueError(
                f"weights must hold features.{name} of shape {shape}, got {found or 'none'} in {path}; it must be the "
                "state dictionary of torchvision's vgg19"
            )
    network.load_state_dict({name: state[name] for name in wanted})
