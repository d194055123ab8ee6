"""The probe of extreme imbalance: what trains and what tests, and that a setting trains."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from experiments.collapse.probe import PatientVolume, train_setting, training_items
from monai_boundary.kernels.distance import PUBLISHED


@pytest.fixture
def patients(rng) -> list[PatientVolume]:
    found = []
    for width in (16, 24):
        lesion = np.zeros((16, width, 30), bool)
        lesion[4:8, 5:9, 3:28] = True
        image = rng.normal(0, 0.1, (3, *lesion.shape)).astype(np.float32) + lesion
        found.append(PatientVolume(image.astype(np.float32), lesion))
    return found


def test_no_slice_is_on_both_sides_and_maps_are_those_of_the_volume(patients):
    train, test = (patients[0].slices(side) for side in (False, True))
    assert train.tolist() == list(range(12, 24))
    assert test.tolist() == [*range(12), *range(24, 30)]
    items = training_items(patients, PUBLISHED)
    assert len(items) == 24
    whole = distance_transform_edt(~patients[1].lesion)
    last = items[-1]
    assert last["image"].shape == (3, 16, 24)
    outside = ~patients[1].lesion[..., 23]
    np.testing.assert_allclose(last["distance_map"][0][outside], whole[..., 23][outside], rtol=1e-5)
    padded = items[0]
    assert padded["label"].shape == (1, 16, 24)
    assert not padded["label"][..., 16:].any()


def test_a_setting_trains_and_is_scored_on_every_patient(patients):
    row = train_setting({"setting": "gdl+robust-wait", "epochs": 2, "seed": 0}, patients, "")
    assert list(row["scores"]) == ["patient19", "patient07"]
    assert all(0 <= scores["dice"] <= 1 for scores in row["scores"].values())
    again = train_setting({"setting": "gdl+robust-wait", "epochs": 2, "seed": 0}, patients, "")
    assert row["scores"] == again["scores"]
