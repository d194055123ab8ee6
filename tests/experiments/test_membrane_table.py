"""The tables of the experiment on membranes."""

from __future__ import annotations

import json
import math

import pytest

from experiments.membranes.settings import MembraneSettings
from experiments.membranes.table import chosen_threshold, membrane_tables, scores_at


def line(loss, fold, own, train=None, **more):
    cases = [{"case": "a", "bce": 0.25, "sweep": own}]
    settings = json.loads(json.dumps(MembraneSettings().__dict__, default=lambda stage: stage.__dict__))
    trained = [{"case": "b", "bce": 0.2, "sweep": train or own}]
    return {"data": "isbi2012", "loss": loss, "fold": fold, "seed": 0, **settings, "cases": cases,
            "train_cases": trained, "curve": [], **more}  # fmt: skip


def test_the_threshold_is_chosen_on_the_training_images() -> None:
    good, bad = [0.1, 0.2, 0.9], [0.8, 0.4, 0.5]
    row = line("bce", 0, {"0.3": good, "0.5": bad}, {"0.3": bad, "0.5": good})
    assert chosen_threshold(row) == "0.5"
    found = scores_at(row["cases"], "0.3")
    assert found == {"ari": 0.9, "voi": pytest.approx(0.3), "split": 0.1, "merge": 0.2,
                     "cremi": pytest.approx(math.sqrt(0.3 * 0.1))}  # fmt: skip


def test_cells_follow_from_the_lines() -> None:
    rows = [
        line("bce", 0, {"0.3": [0.2, 0.8, 0.60], "0.5": [0.5, 0.5, 0.5]}),
        line("bce", 1, {"0.3": [0.2, 0.6, 0.80], "0.5": [0.5, 0.5, 0.5]}),
        line("bce+bal", 0, {"0.3": [0.1, 0.5, 0.70], "0.5": [0.5, 0.4, 0.5]}),
        line("bce+bal", 1, {"0.3": [0.2, 0.7, 0.84], "0.5": [0.5, 0.6, 0.5]}),
        line("wbce", 0, {"0.3": [0.2, 0.8, 0.60], "0.5": [0.5, 0.5, 0.5]}),
    ]
    text = membrane_tables(rows)
    assert "isbi2012, 2 of 3 folds, 1 seed, 80 + 12 epochs, 12 to 96 features" in text
    base = "| BCE | 2 | 0.700 ± 0.141 | 0.900 ± 0.141 | 0.516 ± 0.164 | 0.200 ± 0.000 | 0.700 ± 0.141 |"
    assert base in text
    assert text.count("| 0.720 ± 0.042 | 1.564 ± 0.042 | 0.661 ± 0.072 |") == 1
    own = next(one for one in text.splitlines() if one.startswith("| BCE + BAL, mean, alpha 1 | BCE |"))
    # ARI +0.1 and +0.04; VOI -0.4 and +0.1; at 0.5 one better, one worse
    assert own.startswith(
        "| BCE + BAL, mean, alpha 1 | BCE | 2 | +0.070 ± 0.042 (2/2) | -0.150 ± 0.354 (1/2) | -0.114 ± 0.133 (2/2) |"
    )
    assert "weighted BCE + BAL" not in text.split("Difference")[1]
    # sqrt(0.6 * 0.3) - sqrt(1.0 * 0.4) and sqrt(0.9 * 0.16) - sqrt(0.8 * 0.2); at 0.5 as above
    assert text.endswith("| BCE + BAL, mean, alpha 1 | -0.114 ± 0.133 (2/2) | -0.001 ± 0.050 (1/2) |")
    assert "SMOKE" not in text
    assert membrane_tables([line("bce", 0, {"0.5": [0.1, 0.1, 0.9]}, smoke=True)]).startswith("SMOKE RUN")
