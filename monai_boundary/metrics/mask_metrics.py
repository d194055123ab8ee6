"""The MONAI metrics of masks: one class for each function that scores a pair of masks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from monai.data import MetaTensor

from monai_boundary._check import as_numpy, check_connectivity, check_fraction, check_ignore_index, check_number
from monai_boundary._geometry import image_spacing
from monai_boundary.metrics.boundary_f1 import BoundaryF1, boundary_f1
from monai_boundary.metrics.buildings import score_buildings
from monai_boundary.metrics.case_metric import CaseMetric, MaskMetric, Spacing
from monai_boundary.metrics.lesions import SIZES, LesionCounts, LesionSettings, lesion_counts
from monai_boundary.metrics.score_sets import PROTOCOLS, check_scores, protocol_defaults, score_pair
from monai_boundary.metrics.surface import Definition, Empty

__all__ = ["BoundaryF1Metric", "BuildingMetric", "LesionMetric", "ProtocolMetric", "SurfaceDistanceMetric"]

_FAILURES = ("missed", "false_alarm")
_WITH_UNIT = ("_mm", "_ml", "surface_dice", "cc_dice", *(f"_{size}" for size in SIZES))  # ends of names


class BoundaryF1Metric(MaskMetric):
    """Boundary F1, precision and recall per case and class.

    Args:
        theta: Distance that still counts as wrong, see `boundary_f1`, in the unit of the spacing: voxels by default.
        scores: Which of ``"f1"``, ``"precision"``, ``"recall"``, in this order.
        image_edge: See `boundary_f1`.
        **settings: Others of `MaskMetric`.

    Example:
        >>> metric = BoundaryF1Metric(theta=2)
        >>> pred = torch.zeros(1, 1, 9, 9); pred[..., 2:6, 2:6] = 1
        >>> _ = metric(pred, pred.roll(1, -1))
        >>> [float(value) for value in metric.aggregate()]
        [1.0, 1.0, 1.0]
    """

    known = ("f1", "precision", "recall")

    def __init__(
        self, theta: float = 3.0, scores: str | Sequence[str] | None = None, image_edge: bool = True, **settings: Any
    ) -> None:
        super().__init__(scores, **settings)
        self.theta, self.image_edge = check_number("theta", theta), image_edge

    def measure(
        self, pred: np.ndarray, target: np.ndarray, valid: np.ndarray | None, spacing: Sequence[float] | None
    ) -> BoundaryF1:
        """Return the scores of one class."""
        return boundary_f1(pred, target, self.theta, spacing, valid=valid, image_edge=self.image_edge)


class LesionMetric(MaskMetric):
    """Detection of lesions per case and class: the attributes of `LesionCounts`.

    Args:
        scores: Which of ``"recall"``, ``"precision"``, ``"f1"``, ``"difference"``, in this order.
        connectivity: See `lesion_counts`.
        overlap: See `lesion_counts`.
        **settings: Others of `MaskMetric`. Voxels with the label `ignore_index` are taken out of the prediction.

    Example:
        >>> metric = LesionMetric("recall")
        >>> _ = metric(torch.tensor([[[1, 0, 0, 0, 0]]]), torch.tensor([[[1, 1, 0, 0, 1]]]))
        >>> float(metric.aggregate())
        0.5
    """

    known = ("recall", "precision", "f1", "difference")

    def __init__(
        self,
        scores: str | Sequence[str] | None = None,
        connectivity: int | None = None,
        overlap: float = 0.0,
        **settings: Any,
    ) -> None:
        super().__init__(scores, **settings)
        self.connectivity = None if connectivity is None else check_connectivity(connectivity, 3)
        self.overlap = check_fraction("overlap", overlap)

    def measure(self, pred: np.ndarray, target: np.ndarray, *_: object) -> LesionCounts:
        """Return the scores of one class."""
        return lesion_counts(pred, target, self.connectivity, self.overlap)


class ProtocolMetric(MaskMetric):
    """Scores of a protocol per case and class, measured together.

    Spacing comes from the keyword ``spacing`` of the call or the constructor, else from a target that is a
    `MetaTensor`; without these, distances are in voxels and a warning says so.

    Beside the scores of the protocol there are ``"missed"`` (1 where the target holds the class and the prediction does
    not) and ``"false_alarm"`` (the reverse), whose mean is a share and whose sum is a count.

    Args:
        protocol: Name in `PROTOCOLS`.
        scores: Which to compute, in this order; ``None`` for all of the protocol and ``"missed"``.
        empty: See `score_pair`.
        tolerance_mm: Of the surface Dice.
        slice_axis: Spatial axis across the slices, for ``"wmh"``; the last in MONAI's arrays.
        definition: See `score_pair`.
        lesions: Settings of the protocol ``"lesions"``.
        **settings: Others of `MaskMetric`. Voxels with the label `ignore_index` are taken out of the prediction.

    Example:
        >>> metric = ProtocolMetric("surface", scores=("dice", "hd95_mm"), num_classes=2)
        >>> pred = torch.zeros(1, 1, 8, 8); pred[..., 2:5, 2:5] = 1
        >>> _ = metric(pred, pred.roll(2, -1), spacing=(1.0, 0.5))
        >>> [round(float(value), 3) for value in metric.aggregate()]
        [0.333, 1.0]
    """

    known = tuple(dict.fromkeys([name for columns in PROTOCOLS.values() for name in columns] + list(_FAILURES)))

    def __init__(
        self,
        protocol: str = "surface",
        scores: str | Sequence[str] | None = None,
        empty: Empty | None = None,
        tolerance_mm: float = 1.0,
        slice_axis: int = -1,
        definition: Definition | None = None,
        lesions: LesionSettings | None = None,
        **settings: Any,
    ) -> None:
        chosen = (scores,) if isinstance(scores, str) else scores
        wanted = None if chosen is None else tuple(name for name in chosen if name not in _FAILURES)
        self._measured = () if wanted == () else check_scores(protocol, wanted)
        super().__init__((*self._measured, "missed") if chosen is None else chosen, **settings)
        self.empty, self.definition, self.lesions = protocol_defaults(protocol, empty, definition, lesions)
        check_number("tolerance_mm", tolerance_mm, strict=False)
        self.protocol, self.tolerance_mm, self.slice_axis = protocol, tolerance_mm, slice_axis

    def case_spacing(self, target: torch.Tensor, given: Spacing) -> Sequence[float] | None:
        """Return the spacing of one case; without any, warn where a score has a unit."""
        chosen = super().case_spacing(target, given)
        units = any(name.endswith(_WITH_UNIT) for name in self._measured)
        if chosen is not None or not (units or isinstance(target, MetaTensor)):
            return chosen
        return image_spacing(target, target.ndim - 1)

    def measure(
        self, pred: np.ndarray, target: np.ndarray, _: np.ndarray | None, spacing: Sequence[float] | None
    ) -> dict[str, float]:
        """Return the scores of one class."""
        values: dict[str, float] = {}
        if self._measured:
            values = score_pair(
                self.protocol, pred, target, spacing, empty=self.empty, tolerance_mm=self.tolerance_mm,
                slice_axis=self.slice_axis, scores=self._measured, definition=self.definition,
                lesions=self.lesions,
            )  # fmt: skip
        found, true = bool(pred.any()), bool(target.any())
        return values | {"missed": float(true and not found), "false_alarm": float(found and not true)}


class SurfaceDistanceMetric(ProtocolMetric):
    """`ProtocolMetric` with the plain surface scores: HD95, HD and average distance in mm, and the surface Dice.

    Args:
        scores: Which of ``"hd95_mm"``, ``"hausdorff_mm"``, ``"average_mm"``, ``"surface_dice"``, in this order.
        **settings: Others of `ProtocolMetric`.
    """

    _distances: ClassVar = ("hd95_mm", "hausdorff_mm", "average_mm", "surface_dice")

    def __init__(self, scores: str | Sequence[str] | None = None, **settings: Any) -> None:
        super().__init__("surface", self._distances if scores is None else scores, **settings)


class BuildingMetric(CaseMetric):
    """IoU and boundary F1, precision and recall of many windows or tiles.

    Called with label maps `(B, 1, H, W)`, or lists of `(1, H, W)`, of 0 and 1 = building. The IoU is that of all pixels
    together, as the INRIA benchmark reports it: a mean over windows would count a window with one shed as much as one
    full of houses. The boundary scores are means over the windows in which prediction or target has a boundary. A score
    that nothing was measured for is NaN.

    Args:
        theta: Distance that still counts as wrong, see `boundary_f1`.
        spacing: Pixel size, see `Spacing`; a keyword ``spacing`` of the call comes first.
        ignore_index: Label of the target that is not counted.
        image_edge: See `score_buildings`.

    Example:
        >>> metric = BuildingMetric(theta=2)
        >>> pred = torch.zeros(1, 1, 9, 9); pred[..., 2:6, 2:6] = 1
        >>> _ = metric(pred, pred.roll(1, -1))
        >>> [round(float(value), 3) for value in metric.aggregate()]
        [0.6, 1.0, 1.0, 1.0]
    """

    known = ("iou", "boundary_f1", "boundary_precision", "boundary_recall")
    one_channel = True

    def __init__(
        self, theta: float = 3.0, spacing: Spacing = None, ignore_index: int | None = 255, image_edge: bool = False
    ) -> None:
        super().__init__(spacing=spacing)
        check_ignore_index(ignore_index)
        self.theta, self.ignore_index, self.image_edge = check_number("theta", theta), ignore_index, image_edge

    def score_case(self, pred: torch.Tensor, target: torch.Tensor, spacing: Sequence[float] | None) -> list[list[Any]]:
        """Return one row: the scores, and the two areas of the IoU."""
        maps = as_numpy("y_pred", pred)[0], as_numpy("y", target)[0]
        one = score_buildings(*maps, self.theta, spacing, self.ignore_index, self.image_edge)
        edge = one.boundary
        return [[one.iou, edge.f1, edge.precision, edge.recall, one.intersection, one.union]]

    def aggregate(self, reduction: str | None = None) -> list[torch.Tensor]:
        """Return IoU, boundary F1, precision and recall of everything so far, on all ranks."""
        _, *boundary = super().aggregate(reduction)
        intersection, union = self.table()[..., 4:].sum((0, 1))
        return [intersection / union if union else union.new_tensor(math.nan), *boundary]
