"""How much of the foreground a network finds, by its probabilities there: what a share of the gradient goes by."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from monai_boundary.losses.contract import TargetContract
from monai_boundary.losses.map_agreement import label_masks
from monai_boundary.losses.values import as_float32

__all__ = ["check_same_output", "class_hits", "foreground_hits", "output_contract"]


def output_contract(*losses: nn.Module) -> TargetContract:
    """Return what the output of the network means to the first of these losses that says so.

    What any of them ignores in the target is ignored.

    Losses of this package have a `contract`. MONAI's, alone or as a part of others, have `sigmoid`, `softmax` and
    `other_act`, or `use_softmax`; torch's are known by their kind.

    Raises:
        ValueError: None of them says so.
    """
    said = [found for loss in losses if (found := _said_by(loss)) is not None]
    ignored = [one.ignore_index for one in said if one.ignore_index is not None]
    if said and ignored and said[0].ignore_index is None:  # a contract is checked when it is made: not in every step
        return replace(said[0], ignore_index=ignored[0])
    if said:
        return said[0]
    names = " and ".join(type(loss).__name__ for loss in losses)
    raise ValueError(
        f"region or boundary must say what the network's output is for a share of the gradient, got {names}; give one "
        "of them an attribute softmax = True or sigmoid = True, or give alpha as a number"
    )


def check_same_output(region: nn.Module, boundary: nn.Module) -> None:
    """Refuse two losses of which one takes a softmax and the other a sigmoid, or none.

    Raises:
        ValueError: Both say what the output of the network is, and not the same.
    """
    said = [_said_by(loss) for loss in (region, boundary)]
    if any(found is None or found.other_act for found in said):
        return
    settings = [f"softmax={found.softmax}, sigmoid={found.sigmoid}" for found in said if found is not None]
    if settings[0] != settings[1]:
        raise ValueError(
            f"region and boundary must mean the same by the network's output, got {type(region).__name__} with "
            f"{settings[0]} and {type(boundary).__name__} with {settings[1]}; give both softmax=True, or both "
            "sigmoid=True"
        )


def _said_by(loss: object) -> TargetContract | None:
    parts = loss.modules() if isinstance(loss, nn.Module) else ()
    return next((found for part in parts if (found := _contract_of(part)) is not None), None)


def _contract_of(part: nn.Module) -> TargetContract | None:
    contract = getattr(part, "contract", None)
    if isinstance(contract, TargetContract):
        return contract
    background = bool(getattr(part, "include_background", True))
    if isinstance(part, nn.CrossEntropyLoss):
        return TargetContract(softmax=True, ignore_index=part.ignore_index)
    if isinstance(part, nn.BCEWithLogitsLoss):
        return TargetContract(sigmoid=True)
    if isinstance(softmax := getattr(part, "use_softmax", None), bool):
        return TargetContract(include_background=background, softmax=softmax, sigmoid=not softmax)
    given = {name: getattr(part, name, None) for name in ("softmax", "sigmoid", "other_act")}
    if given["softmax"] is None and given["sigmoid"] is None:
        return None
    return TargetContract(
        include_background=background,
        softmax=bool(given["softmax"]),
        sigmoid=bool(given["sigmoid"]),
        other_act=given["other_act"],
    )


def foreground_hits(
    contract: TargetContract, logits: torch.Tensor, label: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the sum of the probabilities of each foreground class over its voxels, and their number, `(K,)`.

    Channel 0 is no foreground where it does not count, under a softmax, and where the target is a label map.

    Args:
        contract: What output and target mean.
        logits: `(B, C, *S)`.
        label: Labels, or a channel for each class.

    Raises:
        ValueError: The target is none of both.
    """
    labelled = label.ndim == logits.ndim - 1 or label.shape[1] != logits.shape[1]
    first = int(logits.shape[1] > 1 and (contract.softmax or not contract.include_background or labelled))
    read = label_masks(label, logits, first, contract.ignore_index)
    if read is None:
        raise ValueError(
            f"target must be labels, or a channel for each class, of input {tuple(logits.shape)}, got "
            f"{tuple(label.shape)}; give alpha as a number for a region loss with another target"
        )
    masks, valid = read
    if not labelled and label.is_floating_point():  # in [0, 1]: none may be above one half
        masks = as_float32(label.as_subclass(torch.Tensor)[:, first:])  # a sum of many in half precision is inf
    return class_hits(contract.activate(logits)[:, first:], masks, valid)


def class_hits(
    probs: torch.Tensor, masks: torch.Tensor, valid: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the sum of the probabilities of each class over its counted voxels, and their number, `(K,)`.

    Args:
        probs: `(B, K, *S)`.
        masks: Bool, or to which part a voxel is of the class, the same shape.
        valid: Bool `(B, 1 or K, *S)`, the voxels that count; ``None`` for all.
    """
    counted = masks > 0 if valid is None else (masks > 0) & valid
    hits, true = torch.where(counted, torch.minimum(probs, masks), 0), torch.where(counted, masks, 0)
    return hits.transpose(0, 1).flatten(1).sum(1), true.transpose(0, 1).flatten(1).sum(1)
