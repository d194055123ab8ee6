"""The series: data, folds, arms and scores of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from experiments.evidence.cases import EvidenceSettings, Split
from experiments.evidence.flair import PATIENTS, flair_split
from experiments.evidence.images import EDGE, busi_split, nuclei_split, slices_split, synapses_split, vessels_split
from experiments.evidence.scoring import Score, lesion_scores

#: Arms that are trained in turn in each fold: of a region loss, and what is added to it.
Tier = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Series:
    """A data set, and what is asked of it.

    Args:
        split: Reads a fold.
        folds: Their names.
        columns: Scores of the tables and their names.
        main: Those of the verdict and the picture.
        tiers: The arms, the most telling first.
        score: Of a case.
        settings: Of every run.
    """

    split: Callable[[Path, str], Split]
    folds: tuple[str, ...]
    columns: dict[str, str]
    main: tuple[str, ...] = ("false_lesions", "f1", "hd95", "dice")
    tiers: tuple[Tier, ...] = (
        (("Dice+CE", "control"), ("Dice+CE", "share .5")),
        (("Dice+CE", "share .2"), ("Dice+CE", "published")),
        (("generalized Dice", "control"), ("generalized Dice", "share .5")),
        (("generalized Dice", "share .2"), ("generalized Dice", "published")),
    )
    score: Score = lesion_scores
    settings: EvidenceSettings = field(default_factory=EvidenceSettings)


#: In 2D, with pixels of the size that the network sees.
OBJECTS = {"dice": "Dice", "hd95": "HD95 px", "recall": "object recall", "precision": "object precision",
           "f1": "object F1", "false_lesions": "false objects", "false_area": "false area"}  # fmt: skip
LESIONS = {**OBJECTS, "hd95": "HD95 mm", "recall": "lesion recall", "precision": "lesion precision",
           "f1": "lesion F1", "false_lesions": "false lesions"}  # fmt: skip
_WHOLE = EvidenceSettings(epochs=16, edge=EDGE)
SERIES = {
    "flair": Series(flair_split, PATIENTS, LESIONS),
    "busi": Series(
        busi_split, ("0", "1", "2", "3"), OBJECTS, ("false_area", "false_lesions", "hd95", "dice"), settings=_WHOLE
    ),
    "slices": Series(slices_split, ("0", "1", "2", "3"), {**LESIONS, "hd95": "HD95 px"}),
    "synapses": Series(synapses_split, ("1", "0", "2"), OBJECTS),
    "nuclei": Series(nuclei_split, ("0", "1", "2"), OBJECTS),
    "vessels": Series(vessels_split, ("0", "1", "2", "3", "4"), OBJECTS),
}
