"""Scores of predicted label maps: surface distances, lesions, objects, and what challenges report."""

from monai_boundary.metrics.boundary_f1 import BoundaryF1, BoundaryF1Metric, boundary_f1
from monai_boundary.metrics.buildings import BuildingMetric, BuildingScore, score_buildings
from monai_boundary.metrics.cases import CaseScores, LabelScore, score_case, score_folder
from monai_boundary.metrics.cumulative import ProtocolMetric
from monai_boundary.metrics.instance_metrics import (
    AdaptedRandMetric,
    CremiScoreMetric,
    InstanceMetric,
    ThresholdSweepMetric,
    VariationOfInformationMetric,
)
from monai_boundary.metrics.instances import INSTANCE_SCORES, InstanceScores, cremi_target, instance_scores
from monai_boundary.metrics.lesions import LesionCounts, lesion_counts
from monai_boundary.metrics.likelihood import LikelihoodSegmentation, threshold_sweep
from monai_boundary.metrics.protocols import PROTOCOLS, score_pair
from monai_boundary.metrics.surface import SurfaceDistances, surface_distances

__all__ = [
    "INSTANCE_SCORES",
    "PROTOCOLS",
    "AdaptedRandMetric",
    "BoundaryF1",
    "BoundaryF1Metric",
    "BuildingMetric",
    "BuildingScore",
    "CaseScores",
    "CremiScoreMetric",
    "InstanceMetric",
    "InstanceScores",
    "LabelScore",
    "LesionCounts",
    "LikelihoodSegmentation",
    "ProtocolMetric",
    "SurfaceDistances",
    "ThresholdSweepMetric",
    "VariationOfInformationMetric",
    "boundary_f1",
    "cremi_target",
    "instance_scores",
    "lesion_counts",
    "score_buildings",
    "score_case",
    "score_folder",
    "score_pair",
    "surface_distances",
    "threshold_sweep",
]
