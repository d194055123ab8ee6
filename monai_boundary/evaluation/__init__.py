"""Score a folder of predictions: table, summary and report."""

from monai_boundary.evaluation.pairs import Pairs, find_pairs
from monai_boundary.evaluation.report import write_report
from monai_boundary.evaluation.run import CaseRow, Evaluation, EvaluationSettings, evaluate_folder, write_tables

__all__ = [
    "CaseRow",
    "Evaluation",
    "EvaluationSettings",
    "Pairs",
    "evaluate_folder",
    "find_pairs",
    "write_report",
    "write_tables",
]
