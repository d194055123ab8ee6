"""The series: data, folds, arms and scores of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from experiments.evidence.cases import EvidenceSettings, Split
from experiments.evidence.fibsem import COLUMNS, fibsem_split
from experiments.evidence.flair import flair_patients, flair_split
from experiments.evidence.images import (
    EDGE,
    buildings_split,
    busi_split,
    gaps_split,
    nuclei_split,
    phantoms_split,
    sections_split,
    slices_split,
    vessels_split,
)
from experiments.evidence.scores import (
    building_scores,
    gap_scores,
    membrane_agreement,
    membrane_scores,
    nucleus_scores,
    object_agreement,
    object_scores,
    vessel_scores,
)
from experiments.evidence.scoring import Agreement, Score

#: Arms that are trained in turn in each fold: of a region loss, and what is added to it.
Tier = tuple[tuple[str, str], ...]


_TIERS: tuple[Tier, ...] = (
    (("Dice+CE", "control"), ("Dice+CE", "share .5")),
    (("Dice+CE", "share .2"), ("Dice+CE", "share .5, late"), ("Dice+CE", "published")),
    (("generalized Dice", "control"), ("generalized Dice", "share .5")),
    (("generalized Dice", "share .2"), ("generalized Dice", "published")),
)


@dataclass(frozen=True)
class Series:
    """A data set, and what is asked of it.

    Args:
        split: Reads a fold.
        folds: Their names, or what finds them in the data.
        columns: Scores of the tables and their names.
        main: Those of the verdict and the picture.
        tiers: The arms, the most telling first.
        score: Of a case.
        agreement: By which threshold and size are chosen on the validation part.
        settings: Of every run.
        point: Of `POINTS`, the kind of prediction that the overview shows.
    """

    split: Callable[[Path, str], Split]
    folds: tuple[str, ...] | Callable[[Path], tuple[str, ...]]
    columns: dict[str, str]
    main: tuple[str, ...] = ("false_objects", "f1", "recall", "hd95", "dice")
    tiers: tuple[Tier, ...] = _TIERS
    score: Score = object_scores
    agreement: Agreement = object_agreement
    settings: EvidenceSettings = field(default_factory=EvidenceSettings)
    point: str = "plain"

    def folds_of(self, data: Path) -> tuple[str, ...]:
        """Return the names of the folds."""
        return self.folds if isinstance(self.folds, tuple) else self.folds(data)


#: Distances of images are in pixels of the size that the network sees.
OBJECTS = {"dice": "Dice", "hd95": "HD95 px", "recall": "object recall", "precision": "object precision",
           "f1": "object F1", "false_objects": "false objects", "false_area": "false area"}  # fmt: skip
LESIONS = {**OBJECTS, "hd95": "HD95 mm", "recall": "lesion recall", "precision": "lesion precision",
           "f1": "lesion F1", "false_objects": "false lesions"}  # fmt: skip
MEMBRANES = {"voi": "VOI", "voi_split": "VOI split", "voi_merge": "VOI merge", "adapted_rand_index": "ARI",
             "cremi_score": "CREMI score", "dice": "Dice"}  # fmt: skip
JOINED = {"merges": "merged nuclei", "splits": "nuclei in pieces"}
BUILDINGS = {"iou": "IoU", "boundary_f1": "boundary F1", **OBJECTS}
BY_BOUNDARY_F1: tuple[Tier, ...] = (
    (("CE+IoU", "control"), ("CE+IoU", "BF1 share .2")),
    (("CE+IoU", "BF1 to weight .5"), ("CE+IoU", "share .2")),
    (("CE+IoU", "BF1 share .5"), ("CE+IoU", "share .5")),
    (("Dice+CE", "control"), ("Dice+CE", "BF1 share .2")),
)
BY_CUT: tuple[Tier, ...] = (
    (("BCE", "control"), ("BCE", "BAL, alpha 1")),
    (("BCE", "BAL share .2"), ("BCE", "BAL share .5")),
    (("weighted BCE", "control"), ("weighted BCE", "BAL, alpha 1")),
)
#: Each lesion counts as much: beside the loss of the patch, and with the boundary term beside both.
BY_LESION: tuple[Tier, ...] = (
    (("Dice+CE", "lesions both ways"), ("Dice+CE", "lesions both ways, share .5")),
    (("Dice+CE", "lesions"), ("Dice+CE", "blob")),
)
THIRDS = ("1", "0", "2")
_LESION_TIERS = (_TIERS[0], *BY_LESION, *_TIERS[1:])
SERIES = {
    "flair": Series(
        flair_split, flair_patients, LESIONS, tiers=_LESION_TIERS, settings=EvidenceSettings(contrast=1.6)
    ),
    "busi": Series(
        busi_split, ("0", "1", "2", "3"), OBJECTS, ("false_area", "false_objects", "hd95", "dice"),
        settings=EvidenceSettings(epochs=32, edge=EDGE),
    ),
    "slices": Series(slices_split, ("0", "1", "2", "3"), {**LESIONS, "hd95": "HD95 px"}, tiers=_LESION_TIERS),
    "synapses": Series(partial(sections_split, labels="labels_synapses"), THIRDS, OBJECTS),
    "nuclei": Series(
        nuclei_split, THIRDS, {**OBJECTS, **JOINED}, ("f1", "merges", "splits", "dice"), score=nucleus_scores,
    ),
    "vessels": Series(
        vessels_split, ("0", "1", "2", "3", "4"), {**OBJECTS, "thin_recall": "recall of thin vessels"},
        ("thin_recall", "false_objects", "hd95", "dice"), score=vessel_scores,
    ),
    "buildings": Series(
        buildings_split, THIRDS, BUILDINGS, ("boundary_f1", "iou", "false_objects", "false_area"), BY_BOUNDARY_F1,
        building_scores,
    ),
    "phantoms": Series(
        phantoms_split, ("0",), BUILDINGS, ("boundary_f1", "iou", "hd95", "false_objects"), BY_BOUNDARY_F1,
        building_scores,
    ),
    "membranes": Series(
        partial(sections_split, labels="labels"), (*THIRDS, *(f"{part} isbi2012" for part in THIRDS)), MEMBRANES,
        ("voi", "adapted_rand_index", "cremi_score"), BY_CUT, membrane_scores, membrane_agreement, point="threshold",
    ),
    "fibsem": Series(
        fibsem_split, COLUMNS, MEMBRANES, ("voi", "adapted_rand_index", "cremi_score"), BY_CUT, membrane_scores,
        membrane_agreement, EvidenceSettings(epochs=32, batch=2, edge=48, features=(16, 32, 64, 64)), "threshold",
    ),
    "gaps": Series(
        gaps_split, THIRDS, {**MEMBRANES, "f1": "nucleus F1", **JOINED}, ("voi", "merges", "f1", "splits"), BY_CUT,
        gap_scores, membrane_agreement, point="threshold",
    ),
}  # fmt: skip
