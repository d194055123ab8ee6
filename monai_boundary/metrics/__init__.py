"""Scores of predicted label maps: surface distances, lesions, and what challenges report."""

from monai_boundary.metrics.cases import CaseScores, LabelScore, score_case, score_folder
from monai_boundary.metrics.cumulative import ProtocolMetric
from monai_boundary.metrics.lesions import LesionCounts, lesion_counts
from monai_boundary.metrics.protocols import PROTOCOLS, score_pair
from monai_boundary.metrics.surface import SurfaceDistances, surface_distances

__all__ = [
    "PROTOCOLS",
    "CaseScores",
    "LabelScore",
    "LesionCounts",
    "ProtocolMetric",
    "SurfaceDistances",
    "lesion_counts",
    "score_case",
    "score_folder",
    "score_pair",
    "surface_distances",
]
