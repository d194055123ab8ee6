"""Scores of a network that was trained on patches, on whole volumes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from monai.inferers import sliding_window_inference
from monai.networks import eval_mode
from scipy import ndimage

from experiments.patch_maps.patches import PatchVolume
from experiments.shared.training import DEVICE
from monai_boundary.kernels.components import components
from monai_boundary.kernels.distance import distance_transform
from monai_boundary.metrics import surface_distances
from monai_boundary.metrics.lesions import lesion_counts
from monai_boundary.metrics.surface import dice_score

#: mm; a predicted component farther than this from the target is far: beyond the clip of the trainers' maps.
FAR = 10.0


def score_volume(network: torch.nn.Module, volume: PatchVolume, edge: int) -> dict[str, Any]:
    """Predict a volume window by window, a quarter of each shared with the next, and score it."""
    if volume.image is None:
        raise ValueError(f"volume {volume.case} must have an image, got labels alone")
    image = torch.from_numpy(volume.image)[None]
    with eval_mode(network):
        logits = sliding_window_inference(image, (edge,) * 3, 16, network, 0.25, "gaussian", sw_device=DEVICE)
    return {"case": volume.case, "scores": score_labels(logits[0].argmax(0).cpu().numpy(), volume)}


def score_labels(pred: np.ndarray, volume: PatchVolume) -> list[dict[str, float]]:
    """Score every foreground class of predicted labels `(*S)`; a class that is not predicted gets the diagonal."""
    rows = []
    for label in range(1, volume.num_classes):
        found, target = pred == label, volume.labels[0] == label
        surfaces = surface_distances(found, target, volume.spacing)
        lesions = lesion_counts(found, target)
        components, voxels = far_components(found, target, volume.spacing)
        rows.append(
            {
                "dice": dice_score(found, target),
                "hd95_mm": surfaces.hausdorff_mm(95),
                "assd_mm": surfaces.average_mm(),
                "lesion_recall": lesions.recall,
                "lesion_precision": lesions.precision,
                "lesion_f1": lesions.f1,
                "false_components": lesions.predicted - lesions.true,
                "far_components": components,
                "far_voxels": voxels,
                "predicted": int(found.sum()),
                "target": int(target.sum()),
            }
        )
    return rows


def far_components(pred: np.ndarray, target: np.ndarray, spacing: tuple[float, ...]) -> tuple[int, int]:
    """Count predicted components, and their voxels, that are everywhere farther than `FAR` mm from the target.

    Args:
        pred: Bool `(*S)`.
        target: Bool `(*S)`; without foreground every component is far.
        spacing: Voxel size in mm.
    """
    labels = components(pred)
    count = int(labels.max())
    if not count:
        return 0, 0
    if not target.any():
        return count, int(pred.sum())
    nearest = ndimage.minimum(distance_transform(target, spacing), labels, np.arange(1, count + 1))
    far = np.flatnonzero(nearest > FAR) + 1
    return len(far), int(np.isin(labels, far).sum())
