"""What our evidence supports for which data. `ADVICE` is all of the knowledge; after a new series, edit a line there.

An entry never says more than its page does. `verdict` is the word for it: ``"gain"`` where a paired series shows one
that nothing simpler reaches and that costs no other score; ``"lead"`` where one is shown at a cost that may be worth
it, or no greater than by simpler means; ``"none"`` else, also where one is too small or too dear to try.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from monai_boundary.evaluation.label_figures import FIGURES
from monai_boundary.evaluation.label_survey import LabelSurvey

__all__ = ["ADVICE", "NOTHING_LIKE_IT", "STOCK", "Advice", "Finding", "advise"]

#: The trainer without a boundary term.
STOCK = "nnUNetTrainer"


@dataclass(frozen=True)
class Advice:
    """A kind of data, and what has been shown for it.

    Args:
        kind: Name of the kind.
        verdict: What has been shown: a gain, a lead, or no gain.
        sentence: The verdict in words, with the data that it was shown on.
        page: Where the evidence is, from the root of the repository; empty as long as there is no series.
        when: Smallest and largest value of the figures (`LabelSurvey.figures`) of a class of this kind.
        named: Pattern of the names of such classes, where figures cannot tell; searched without regard to case.
        trainer: Of nnU-Net, with the boundary term.
        bundle: MONAI bundle with it, where no trainer of nnU-Net has the loss.
        map: Preset of the distance map.
        share: Of the gradient, smallest and largest that the evidence supports.
        beside: It is told beside the first other kind that fits, not in its place.
    """

    kind: str
    verdict: Literal["gain", "lead", "none"]
    sentence: str
    page: str = ""
    when: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    named: str = ""
    trainer: str = "nnUNetTrainerDiceCEBoundary"
    bundle: str = ""
    map: str = ""
    share: tuple[float, float] | None = None
    beside: bool = False

    def fits(self, name: str, figures: Mapping[str, float]) -> bool:
        """Whether a class of this name and these figures is of this kind."""
        inside = all(low <= figures[figure] <= high for figure, (low, high) in self.when.items())
        return inside and bool(re.search(self.named, name, re.IGNORECASE))

    def reason(self, figures: Mapping[str, float]) -> str:
        """Return the figures that make a class one of this kind."""
        words = {**FIGURES, "empty": "% of the cases without it"}
        found = [f"{figures[figure]:.3g} {words[figure]}" for figure in self.when if figure in words]
        return ", ".join([*(["its name"] if self.named else []), *found])

    @property
    def tool(self) -> str:
        """What has the boundary term, with its settings."""
        share = "" if self.share is None else f"{self.share[0]:g} to {self.share[1]:g} of the gradient"
        settings = [f"{name} {value}" for name, value in (("map", self.map), ("share", share)) if value]
        return ", ".join([f"bundle {self.bundle}" if self.bundle else self.trainer, *settings])


_MANY = 1e9
#: The first that fits a class is its kind; those that are `beside` come on top.
ADVICE = (
    Advice(
        "membranes in images",
        "lead",
        "The boundary-aware loss at alpha 1, three seeds: on 13 neighbouring sections of a fly larva VOI fell by 10 % "
        "(p .0005), on 20 of another by 4 % (p .007), the CREMI score by 9 and 5 %, at the threshold of the "
        "validation part. Beside a cross-entropy with class weights there was no gain at that threshold.",
        "docs/evidence/electron_microscopy.md",
        when={"ndim": (2, 2), "enclosed": (50, 100), "thin": (3, _MANY)},
        bundle="em_boundary_aware",
    ),
    Advice(
        "membranes in volumes",
        "lead",
        "FIB-SEM, eight blocks of one volume, three seeds, the boundary-aware loss at alpha 1 beside plain "
        "cross-entropy: VOI fell by 6 % (p .016), at the threshold of the validation part. Class weights alone did "
        "more, and beside them there was no gain.",
        "docs/evidence/electron_microscopy.md",
        when={"ndim": (3, 3), "enclosed": (50, 100), "thin": (3, _MANY)},
        bundle="em_boundary_aware",
    ),
    Advice(
        "buildings",
        "lead",
        "216 drone tiles, three seeds, the boundary F1 loss at a weight of .5: boundary F1 .52 to .54 (p 1e-06), "
        "IoU .007 lower (p .005), twice the false pieces. With a size filter .525 to .541 and 1.26 to 1.10 false "
        "pieces, IoU still .007 lower.",
        "docs/evidence/remote_sensing.md",
        when={"ndim": (2, 2)},
        named=r"build|roof|house",
        bundle="buildings_boundary_f1",
    ),
    Advice(
        "vessels and other thin structures",
        "none",
        "Vessels of the retina, 10 children, three seeds: a share of .5 left fewer false pieces, but lost thin vessels "
        "(recall .55 to .48 at a threshold of .5).",
        "docs/evidence/objects.md",
        when={"thin": (3, _MANY)},
    ),
    Advice(
        "lesions that are tiny and many",
        "lead",
        "First try a size filter. Small 2D networks, three seeds. Synapses in 13 sections of one animal "
        "(docs/evidence/objects.md): with a share of .5 33 % fewer false ones (p .0007), F1 .655 to .719, as with a "
        "filter, at a higher recall. MR slices: no gain is established. FLAIR, 13 patients: 24 % fewer false lesions "
        "(p .25), and a filter leaves fewer still (1.59 and 2.93, p .007); T2, where the network finds one lesion in "
        "nine: 87 % fewer (p .003), but recall falls from .11 to .03.",
        "docs/evidence/lesions.md",
        when={"share": (0, 1), "lesions": (2, _MANY)},
        map="clipped",
        share=(0.2, 0.5),
    ),
    Advice(
        "a single compact object in a volume",
        "none",
        "Hippocampus in nnU-Net: no gain. To convergence, 60 cases of three folds, HD95 stayed and Dice of one of two "
        "classes fell from .864 to .860 (p .006, uncorrected, one run a fold).",
        "docs/evidence/nnunet.md",
        when={"ndim": (3, 3), "share": (1, 100), "largest": (90, 100)},
    ),
    Advice(
        "objects in images",
        "none",
        "Nuclei in 223 images, three seeds: F1 .948 to .954 with a share of .5, .971 with a size filter. Breast "
        "ultrasound (docs/evidence/ultrasound.md): no gain beside Dice and cross-entropy; beside generalized Dice 36 % "
        "fewer false objects beside benign tumours (p .012), fewer still with a size filter.",
        "docs/evidence/objects.md",
        when={"ndim": (2, 2), "share": (1, 100)},
    ),
    Advice(
        "cases without the class",
        "none",
        "Breast ultrasound, 28 images without a tumour, three seeds: beside Dice and cross-entropy false "
        "objects .99 to .73 with a share of .5 (p .11, not established), beside generalized Dice 1.05 to .62 (p .020); "
        "a size filter leaves .28 and .35.",
        "docs/evidence/ultrasound.md",
        when={"empty": (10, 100)},
        beside=True,
    ),
)
#: For a class that nothing else fits.
NOTHING_LIKE_IT = Advice("other data", "none", "No series of ours is like your data.")


@dataclass(frozen=True)
class Finding:
    """A kind of data that a data set holds: the entry of `ADVICE`, and the reason by the name of each such class."""

    advice: Advice
    classes: dict[str, str]

    def summary(self) -> dict[str, Any]:
        """Return it as JSON holds it; it starts from the stock trainer unless there is at least a lead."""
        start = STOCK if self.advice.verdict == "none" else self.advice.tool
        return {**asdict(self.advice), "classes": self.classes, "start_from": start}


def advise(survey: LabelSurvey) -> list[Finding]:
    """Return what the evidence supports for a data set, in the order of `ADVICE`; nothing without any foreground."""
    reasons: dict[str, dict[str, str]] = {}
    for name in survey.classes:
        figures = survey.figures(name)
        if figures["empty"] < 100:
            for entry in _fitting(name, figures):
                reasons.setdefault(entry.kind, {})[name] = entry.reason(figures)
    return [Finding(entry, reasons[entry.kind]) for entry in (*ADVICE, NOTHING_LIKE_IT) if entry.kind in reasons]


def _fitting(name: str, figures: Mapping[str, float]) -> list[Advice]:
    found = [entry for entry in ADVICE if entry.fits(name, figures)]
    kind = next((entry for entry in found if not entry.beside), NOTHING_LIKE_IT)
    return [kind, *(entry for entry in found if entry.beside)]
