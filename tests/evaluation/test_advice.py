"""The table of advice claims nothing that no page shows, names what exists, and tells kinds of data apart."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import monai_boundary.bundles
from monai_boundary.datasets.nifti import Volume
from monai_boundary.evaluation.advice import ADVICE, NOTHING_LIKE_IT, STOCK, Advice, advise
from monai_boundary.evaluation.label_figures import FIGURES, case_labels
from monai_boundary.evaluation.label_survey import LabelSurvey, survey_labels
from monai_boundary.kernels.distance import preset_options

ROOT = Path(__file__).resolve().parents[2]
ENTRIES = [*ADVICE, NOTHING_LIKE_IT]
every_entry = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.kind)


@every_entry
def test_the_page_of_an_entry_exists_and_a_claim_has_one(entry):
    assert entry.page or entry.verdict == "none"
    if entry.page:
        assert (ROOT / entry.page).is_file()
        assert entry.page.startswith("docs/")


@every_entry
def test_trainer_and_bundle_of_an_entry_exist(entry):
    if entry.bundle:
        assert (Path(monai_boundary.bundles.__file__).parent / entry.bundle / "configs").is_dir()
    if find_spec("nnunetv2") is None:
        pytest.skip("nnunetv2 is not installed")
    from nnunet_trainers.discovery import monai_boundary_trainer_discovery as trainers

    assert hasattr(trainers, entry.trainer)


@every_entry
def test_settings_of_an_entry_are_those_that_its_trainer_has(entry):
    assert set(entry.when) <= {*FIGURES, "ndim", "empty"}
    if entry.map or entry.share:
        pytest.importorskip("nnunetv2")
        from nnunet_trainers.discovery import monai_boundary_trainer_discovery as trainers

        trainer = getattr(trainers, entry.trainer)
        assert trainer.boundary_map == preset_options(entry.map)
        assert entry.share[0] <= trainer.boundary_schedule.end <= entry.share[1]


def test_kinds_have_names_of_their_own():
    assert len({entry.kind for entry in ENTRIES}) == len(ENTRIES)


def survey_of(*arrays, name="a", spacing=(1.0, 1.0, 1.0)):
    classes = {name: (1,)}
    cases = {
        str(number): case_labels(Volume(np.asarray(array, np.int64), spacing, np.eye(4)), classes, None)
        for number, array in enumerate(arrays)
    }
    return LabelSurvey(Path("set"), classes, cases)


def dots(shape, step):
    array = np.zeros(shape)
    array[..., ::step, ::step] = 1
    return array


def grid(shape):
    array = np.zeros(shape)
    array[..., ::8, :] = array[..., :, ::8] = 1
    return array


def block(shape, size):
    array = np.zeros(shape)
    array[tuple(slice(1, 1 + min(size, length)) for length in shape)] = 1
    return array


EMPTY = np.zeros((1, 64, 64))
LINES = np.zeros((1, 60, 300))
LINES[:, 5::10, :290] = 1
ROOF = np.zeros((1, 64, 64))
ROOF[0, 5:25, 5:25] = 1


@pytest.mark.parametrize(
    ("arrays", "name", "kinds"),
    [
        ([dots((8, 64, 64), 16)], "lesion", ["lesions that are tiny and many"]),
        ([dots((1, 64, 64), 16), EMPTY], "x", ["lesions that are tiny and many", "cases without the class"]),
        ([grid((1, 64, 64))], "x", ["membranes in images"]),
        ([grid((4, 64, 64))], "x", ["membranes in volumes"]),
        ([LINES], "vessel", ["vessels and other thin structures"]),
        ([block((40, 40, 40), 20)], "organ", ["a single compact object in a volume"]),
        ([block((40, 40, 40), 5)], "x", ["other data"]),
        ([ROOF], "Building", ["buildings"]),
        ([ROOF], "nucleus", ["objects in images"]),
        ([EMPTY], "x", []),
    ],
)
def test_kinds_of_data_are_told_apart(arrays, name, kinds):
    assert [finding.advice.kind for finding in advise(survey_of(*arrays, name=name))] == kinds


def test_the_reason_holds_the_figures_that_decided():
    (finding,) = advise(survey_of(block((40, 40, 40), 20), name="organ"))
    assert finding.classes == {"organ": "12.5 % of the voxels, 100 % of it in the largest lesion"}


@every_entry
def test_without_a_gain_or_a_lead_one_starts_from_the_stock_trainer(entry):
    from monai_boundary.evaluation.advice import Finding

    start = Finding(entry, {}).summary()["start_from"]
    assert (start == STOCK) == (entry.verdict == "none")
    assert entry.verdict == "none" or (entry.bundle or entry.trainer) in start


def test_settings_are_told_with_the_trainer():
    entry = Advice("kind", "gain", "", map="clipped", share=(0.1, 0.3))
    assert entry.tool == "nnUNetTrainerDiceCEBoundary, map clipped, share 0.1 to 0.3 of the gradient"


@pytest.mark.real_data
def test_the_hippocampus_is_a_single_compact_object(data_dir):
    survey = survey_labels(data_dir / "Task04_Hippocampus", progress=False)
    (finding,) = advise(survey)
    assert finding.advice.kind == "a single compact object in a volume"
    assert list(finding.classes) == ["Anterior", "Posterior"]
    assert len(survey.cases) == 100
    assert survey.table("Anterior")["lesions"].median() == 1
