"""An option that nobody knows is named with those that there are and the nearest, wherever options are handed on."""

# ruff: noqa: E501 - a table reads best with one row per line

from __future__ import annotations

import dataclasses
import re

import pytest

from monai_boundary._options import keyword_names
from monai_boundary.kernels.distance import ROBUST, DistanceMapOptions
from monai_boundary.losses import BoundaryAwareLoss, CrossEntropyBoundaryAwareLoss, GeneralizedDiceBoundaryLoss
from monai_boundary.transforms import BoundaryBandd, LesionCellsd, RegionSeedsd, SignedDistanceMap, SignedDistanceMapd

FIELDS = [field.name for field in dataclasses.fields(DistanceMapOptions)]
OWN = ["keys", "output_keys", "allow_missing_keys"]
CASES = [
    (lambda **k: SignedDistanceMap(2, **k), "SignedDistanceMap", ["num_classes", "spacing", *FIELDS], "clipp", "clip"),
    (lambda **k: SignedDistanceMapd("label", num_classes=3, **k), "SignedDistanceMapd", [*OWN, "spacing", *FIELDS], "clipp", "clip"),
    (lambda **k: SignedDistanceMapd("label", **k), "SignedDistanceMapd", OWN, "output_key", "output_keys"),
    (lambda **k: BoundaryBandd("label", **k), "BoundaryBandd", [*OWN, "num_classes", "theta0", "theta"], "theta2", "theta"),
    (lambda **k: LesionCellsd("label", **k), "LesionCellsd", [*OWN, "num_classes", "spacing"], "spacings", "spacing"),
    (lambda **k: RegionSeedsd("label", **k), "RegionSeedsd", ["seeds_key", "source", "slice_axis"], "slice_axes", "slice_axis"),
    (lambda **k: ROBUST.replace(**k), "DistanceMapOptions", FIELDS, "normalise", "normalize"),
    (lambda **k: GeneralizedDiceBoundaryLoss(**k), "GeneralizedDiceBoundaryLoss", ["alpha", "spacing", "options"], "alfa", "alpha"),
    (lambda **k: CrossEntropyBoundaryAwareLoss(**k), "CrossEntropyBoundaryAwareLoss", ["alpha", "balanced"], "balance", "balanced"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("make", "owner", "known", "wrong", "near"), CASES, ids=lambda case: case if isinstance(case, str) else ""
)
def test_an_unknown_option_is_named_with_the_known_ones_and_the_nearest(make, owner, known, wrong, near):
    with pytest.raises(TypeError) as caught:
        make(**{wrong: 3})
    text = str(caught.value)
    assert text.endswith(f", got {wrong}; did you mean {near}?")
    listed = re.fullmatch(rf"options of {owner} must be of (.*), got .*", text)[1].split(", ")
    assert set(known) <= set(listed)
    assert len(set(listed)) == len(listed)
    with pytest.raises(TypeError, match=rf"got {wrong}, qqqq; did you mean {near}\?$"):
        make(**{wrong: 3, "qqqq": 1})
    with pytest.raises(TypeError, match=r"got qqqq; leave it out$"):
        make(qqqq=1)


def test_each_option_that_is_listed_is_taken():
    for name in FIELDS:
        SignedDistanceMapd("label", num_classes=2, **{name: getattr(ROBUST, name)})
    listed = set(keyword_names(CrossEntropyBoundaryAwareLoss, BoundaryAwareLoss))
    assert {"preset", "connectivity", "slice_axis", "validate"} <= listed
    assert not {"self", "boundary", "args", "kwargs"} & listed
