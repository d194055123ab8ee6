"""Scores of predicted label maps, in three forms.

* Functions of two arrays: `surface_distances` (`surface`), `boundary_f1`, `lesion_counts` (`lesions`),
  `lesion_scores`, `instance_scores` (`instances`), `score_buildings` (`buildings`), and `score_pair`, which collects
  the scores that a challenge reports (`score_sets`).
* MONAI metrics around them, on one base (`case_metric`): `mask_metrics` and `instance_metrics`.
* Handlers for MONAI's engines around these: `ignite`.

`likelihood` makes objects from membrane maps. Folders are scored in `monai_boundary.evaluation`, figures are drawn in
`monai_boundary.reports`, and losses are in `monai_boundary.losses`.
"""

from monai_boundary.metrics.boundary_f1 import BoundaryF1, boundary_f1
from monai_boundary.metrics.buildings import BuildingScore, score_buildings
from monai_boundary.metrics.case_metric import CaseMetric, MaskMetric
from monai_boundary.metrics.instance_metrics import (
    AdaptedRandMetric,
    CremiScoreMetric,
    InstanceMetric,
    ThresholdSweepMetric,
    VariationOfInformationMetric,
)
from monai_boundary.metrics.instances import INSTANCE_SCORES, InstanceScores, cremi_target, instance_scores
from monai_boundary.metrics.lesion_scores import LesionScores, lesion_scores
from monai_boundary.metrics.lesions import LesionCounts, LesionSettings, lesion_counts
from monai_boundary.metrics.likelihood import LikelihoodSegmentation, threshold_sweep
from monai_boundary.metrics.mask_metrics import (
    BoundaryF1Metric,
    BuildingMetric,
    LesionMetric,
    ProtocolMetric,
    SurfaceDistanceMetric,
)
from monai_boundary.metrics.score_sets import PROTOCOLS, score_pair
from monai_boundary.metrics.surface import SurfaceDistances, dice_score, surface_distances

__all__ = [
    "INSTANCE_SCORES",
    "PROTOCOLS",
    "AdaptedRandMetric",
    "BoundaryF1",
    "BoundaryF1Metric",
    "BuildingMetric",
    "BuildingScore",
    "CaseMetric",
    "CremiScoreMetric",
    "InstanceMetric",
    "InstanceScores",
    "LesionCounts",
    "LesionMetric",
    "LesionScores",
    "LesionSettings",
    "LikelihoodSegmentation",
    "MaskMetric",
    "ProtocolMetric",
    "SurfaceDistanceMetric",
    "SurfaceDistances",
    "ThresholdSweepMetric",
    "VariationOfInformationMetric",
    "boundary_f1",
    "cremi_target",
    "dice_score",
    "instance_scores",
    "lesion_counts",
    "lesion_scores",
    "score_buildings",
    "score_pair",
    "surface_distances",
    "threshold_sweep",
]
