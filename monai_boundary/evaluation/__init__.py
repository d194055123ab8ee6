"""Scores of folders of predictions: a row per case, a summary, a report.

`volumes` scores NIfTI label maps by a protocol of `monai_boundary.metrics`, `tiles` GeoTIFFs of buildings. `matching`
finds the files of each case; `tables` and `report` write the results. `compare` compares the results of several `runs`
case by case by the statistics of `paired_tests`, and `comparison_files` writes what it found. `consensus` makes one
label map of two, `consensus_folder` one folder. Scores of one pair of arrays are in `monai_boundary.metrics`.
"""

from monai_boundary.evaluation.matching import Pairs, find_pairs
from monai_boundary.evaluation.report import write_report
from monai_boundary.evaluation.tables import write_tables
from monai_boundary.evaluation.volumes import CaseRow, Evaluation, EvaluationSettings, evaluate_folder

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
