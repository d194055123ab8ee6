"""Scores of predicted label maps, per case and per class."""

from monai_boundary.metrics.cases import CaseScores, LabelScore, score_case, score_folder

__all__ = ["CaseScores", "LabelScore", "score_case", "score_folder"]
