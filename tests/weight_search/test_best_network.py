"""The network that a search saves as the best of all its candidates."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
import torch
from ignite.engine import Events
from monai.handlers import MeanIoUHandler

from monai_boundary.bundles.training import BestNetwork
from tests.weight_search.test_handler import Run, pytestmark  # noqa: F401 - MONAI and Ignite, not this package

NAN = float("nan")


def search_with(scores: list[float], folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """Search until the scores are used up, as a kill would end it, and return a weight of each scored network."""
    run, seen, left = Run(folder / "search"), [], list(scores)
    BestNetwork(folder, {"model": run.network}).attach(run.evaluator)
    run.evaluator.add_event_handler(Events.COMPLETED, lambda _: seen.append(run.network[0].weight.detach().clone()))
    monkeypatch.setattr(MeanIoUHandler, "compute", lambda _: left.pop(0))
    with suppress(IndexError):
        run.trainer.run()
    return seen


@pytest.mark.parametrize(
    "runs",
    [
        [[0.8, 0.7, 0.6, 0.8]],  # candidates of one round end at one epoch
        [[0.5, 0.6, 0.9, 0.7]],
        [[0.6, 0.7], [0.3, 0.2]],
        [[0.8], [0.7, 0.9, 0.1]],
        [[NAN, 0.7, 0.6, NAN]],
        [[NAN], [0.7, 0.6, 0.5]],
    ],
)
def test_the_network_of_the_best_score_is_kept_also_across_a_kill(runs, tmp_path, monkeypatch):
    networks = [network for scores in runs for network in search_with(scores, tmp_path, monkeypatch)]
    scores = [-1.0 if score != score else score for scores in runs for score in scores]
    saved = torch.load(tmp_path / "model.pt", weights_only=True)["model"]["0.weight"]
    assert len(networks) == 4
    assert [torch.equal(saved, one) for one in networks] == [n == scores.index(max(scores)) for n in range(4)]


def test_a_search_that_begins_again_keeps_nothing_of_the_one_before(tmp_path, monkeypatch):
    search_with([0.8, 0.7, 0.6, 0.5], tmp_path, monkeypatch)
    (tmp_path / "search" / "weight_search.pt").unlink()
    networks = search_with([0.3, 0.2, 0.1, 0.4], tmp_path, monkeypatch)
    assert torch.equal(torch.load(tmp_path / "model.pt", weights_only=True)["model"]["0.weight"], networks[3])
