"""The experiment on membranes: what all losses share, what is scored, and what is kept."""

from __future__ import annotations

import shutil
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage

from experiments.membranes import training as membranes
from experiments.membranes.data import DATA, MembraneImage
from experiments.membranes.losses import LOSSES, set_weights
from experiments.membranes.report import write_membrane_report
from experiments.membranes.settings import MembraneSettings, Stage, settings_for
from experiments.membranes.training import PRETRAINED, predict, run_membranes
from experiments.shared.journal import finished_runs
from monai_boundary.losses import BoundaryAwareLoss
from monai_boundary.metrics import instance_scores
from tests.datasets.em.files import SMALL, STACK, grey, write_slices

# MONAI and Ignite, not this package
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


def image_of(likelihood: np.ndarray, ids: np.ndarray) -> MembraneImage:
    return MembraneImage("one", likelihood[None], (ids == 0).astype(np.uint8)[None], ids)


# The losses


def test_rows_are_compared_with_the_same_loss_without_its_boundary_term() -> None:
    torch.manual_seed(0)
    logits = torch.randn(1, 1, 12, 12)
    membrane = torch.zeros(1, 1, 12, 12)
    membrane[..., 5] = 1
    seeds = torch.zeros(1, 1, 12, 12, dtype=torch.int32)
    seeds[..., 6, 2], seeds[..., 6, 8] = 1, 2
    for name, term, alpha in (
        ("bce+bal", BoundaryAwareLoss(3, "mean"), 1.0),
        ("wbce+bal", BoundaryAwareLoss(3, "published", double_sigmoid=True), 0.1),
        ("wbce+bal-mean", BoundaryAwareLoss(3, "mean"), 1.0),
    ):
        row = LOSSES[name]
        both = row.make()(logits, {"label": membrane, "distance_map": seeds})
        base = LOSSES[row.base].make()(logits, membrane)
        torch.testing.assert_close(both, base + alpha * term(logits, membrane, seeds))
    assert LOSSES["bce"].make()(logits, membrane) == F.binary_cross_entropy_with_logits(logits, membrane)


def test_the_boundary_loss_is_rebalanced_over_the_epochs_and_others_keep_their_weights() -> None:
    loss = LOSSES["gdl+boundary"].make()
    policy = set_weights(loss, 10)
    seen = []
    for epoch in range(10):
        policy(epoch)
        seen.append(loss.term_weights)
    assert seen[0][1] < 0.1 < seen[-1][1]
    assert all(b >= a for (_, a), (_, b) in pairwise(seen))
    assert all(set_weights(row.make(), 10) is None for name, row in LOSSES.items() if name != "gdl+boundary")


def test_the_paper_s_figures_are_those_of_its_table() -> None:
    published = {name: row.published for name, row in LOSSES.items() if row.published}
    assert {name: [value for value, _ in figures] for name, figures in published.items()} == {
        "wbce": [0.7203, 1.5644, 0.6615],
        "wbce+bal": [0.8138, 1.0557, 0.4433],
        "dice": [0.7804, 1.1325, 0.4986],
        "gdl+boundary": [0.7621, 1.4576, 0.5888],
    }


# The scores


class Same(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))

    def forward(self, input):
        assert all(size % 16 == 0 for size in input.shape[2:])
        return self.scale * input


@pytest.mark.parametrize("shape", [(16, 32), (17, 30), (5, 18, 33)])
def test_likelihoods_lie_where_the_image_does(shape) -> None:
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    found = predict(Same(), image_of(values, np.zeros(shape, np.int32)))
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-values)), rtol=1e-5)


def test_a_network_that_diverged_is_not_scored() -> None:
    network = Same()
    torch.nn.init.constant_(network.scale, float("nan"))
    with pytest.raises(RuntimeError, match="output must be finite"):
        predict(network, image_of(np.zeros((16, 16), np.float32), np.ones((16, 16), np.int32)))


def test_scores_are_those_of_the_thresholded_map() -> None:
    ids = np.zeros((9, 9), np.int32)
    ids[:, :4], ids[:, 5:] = 1, 2
    likelihood = np.where(ids == 0, 0.55, 0.1).astype(np.float32)
    likelihood[4, 4] = 0.3  # a gap
    row = membranes.image_scores(likelihood, image_of(likelihood, ids), (0.2, 0.5))
    assert row["sweep"]["0.2"] == [0, 0, 1]
    merged = instance_scores((likelihood <= 0.5).astype(np.int32), ids)
    np.testing.assert_allclose(
        row["sweep"]["0.5"], [merged.voi_split, merged.voi_merge, merged.adapted_rand_index], atol=1e-5
    )
    truth = (ids == 0).astype(float)
    by_hand = -(truth * np.log(likelihood) + (1 - truth) * np.log(1 - likelihood)).mean()
    assert row["bce"] == pytest.approx(by_hand, abs=1e-5)


def test_filled_membranes_give_their_voxels_back() -> None:
    ids = np.zeros((9, 9), np.int32)
    ids[:, :4], ids[:, 5:] = 1, 2
    likelihood = np.zeros((9, 9), np.float32)
    likelihood[:, 3:6] = (0.7, 0.9, 0.7)  # one column of each cell is drawn as membrane
    image = image_of(likelihood, ids)
    assert membranes.image_scores(likelihood, image, (0.5,), "watershed")["sweep"]["0.5"] == [0, 0, 1]
    assert membranes.image_scores(likelihood, image, (0.5,))["sweep"]["0.5"][2] < 1


# The runs


def test_losses_start_from_the_same_kept_weights_and_finished_runs_stay(isbi, tmp_path, monkeypatch) -> None:
    out = tmp_path / "out" / "results.jsonl"
    run_membranes("isbi2012", isbi, out, ["bce", "bce+bal"], [0], SMALL)
    rows = finished_runs(out)
    assert [(row["loss"], row["fold"]) for row in rows] == [
        (name, fold) for fold in (0, 1) for name in (PRETRAINED, "bce", "bce+bal")
    ]
    kept = sorted((out.parent / "pretrained").iterdir())
    assert len(kept) == 2
    assert not list(out.parent.rglob("*.part"))
    before = out.read_text()
    starts = []
    train = membranes._Run._train

    def spy(self, network, name, stage, title):
        starts.append((name, stage, [value.clone() for value in network.state_dict().values()]))
        return train(self, network, name, stage, title)

    monkeypatch.setattr(membranes._Run, "_train", spy)
    run_membranes("isbi2012", isbi, out, ["bce", "bce+bal", "dice", "gdl+boundary"], [0], SMALL)
    assert out.read_text().startswith(before)
    assert [(name, stage) for name, stage, _ in starts] == [
        (name, SMALL.further) for _ in (0, 1) for name in ("dice", "gdl+boundary")
    ]
    for number, (_, _, start) in enumerate(starts):
        weights = torch.load(kept[number // 2], weights_only=True).values()
        assert all(torch.equal(one, two) for one, two in zip(start, weights, strict=True))


def test_a_run_repeats_itself_and_its_maps_are_kept(isbi, tmp_path) -> None:
    results = []
    shared = replace(SMALL, further=Stage(5, 1, 0.05))  # two orders of the images in each epoch, which must be the same
    for folder in ("one", "two", "three"):
        out = tmp_path / folder / "results.jsonl"
        if folder == "two":  # trains the lost weights again right before it goes on from them
            run_membranes("isbi2012", isbi, out, [], [1], shared)
            shutil.rmtree(out.parent / "pretrained")
        if folder == "three":  # goes on from kept weights, without a pretraining that draws before
            shutil.copytree(tmp_path / "one" / "pretrained", out.parent / "pretrained")
        run_membranes("isbi2012", isbi, out, ["bce+bal"], [1], shared)
        results.append(sorted(finished_runs(out), key=lambda row: (row["fold"], row["loss"] != PRETRAINED)))
    for runs in zip(*results, strict=True):
        for key in ("cases", "curve"):
            assert all(run[key] == runs[0][key] for run in runs)
    last = results[0][-1]
    assert last["curve"][-1]["cases"][0]["bce"] == last["cases"][0]["bce"]
    assert [case["case"] for case in last["train_cases"]] == ["slice00", "slice01"]
    maps = np.load(tmp_path / "one" / last["maps"])
    assert sorted(maps) == ["slice02", "slice03"]
    assert maps["slice02"].shape == STACK[1:]
    ids = DATA["isbi2012"](isbi, 1, SMALL)[1][0].ids
    found = instance_scores(ndimage.label(maps["slice02"] <= 127)[0], ids)
    np.testing.assert_allclose([found.voi_split, found.voi_merge], last["cases"][0]["sweep"]["0.5"][:2], atol=0.1)


def test_another_pretraining_has_weights_of_its_own(isbi, tmp_path) -> None:
    out = tmp_path / "results.jsonl"
    for pretrain in (SMALL.pretrain, Stage(2, 2, 1e-3, (16, 16))):
        shared = MembraneSettings(**{**SMALL.__dict__, "pretrain": pretrain})
        run_membranes("isbi2012", isbi, out, [], [0], shared)
    assert len(list((tmp_path / "pretrained").iterdir())) == 4
    bce = [[case["bce"] for case in row["cases"]] for row in finished_runs(out)]
    assert bce[0] != bce[2]


def test_runs_on_other_images_are_refused_in_the_same_folder(isbi, tmp_path) -> None:
    out = tmp_path / "results.jsonl"
    run_membranes("isbi2012", isbi, out, [], [0], SMALL)
    write_slices(isbi / "images", grey(9, STACK))
    run_membranes("isbi2012", isbi, out, [], [0], SMALL)  # nothing to train: nothing is read
    with pytest.raises(ValueError, match="name another output folder"):
        run_membranes("isbi2012", isbi, out, ["bce"], [0], SMALL)


def test_the_report_shows_the_runs_of_its_settings_only(isbi, tmp_path) -> None:
    out = tmp_path / "results.jsonl"
    with pytest.raises(ValueError, match="must hold finished runs on isbi2012 of these settings, got none"):
        write_membrane_report(out, "isbi2012", isbi, SMALL)
    run_membranes("isbi2012", isbi, out, ["bce", "bce+bal"], [0], SMALL)
    text = write_membrane_report(out, "isbi2012", isbi, SMALL)
    assert "SMOKE RUN" in text
    assert "| BCE + BAL, mean, alpha 1 | BCE | 2 |" in text
    for name in ("thresholds.png", "leaks.png"):
        assert (tmp_path / name).stat().st_size > 10_000
    shutil.rmtree(tmp_path / "maps")
    assert write_membrane_report(out, "isbi2012", isbi, SMALL) == text[: text.index("\nleaks: ")]
    with pytest.raises(ValueError, match="of these settings, got none"):
        write_membrane_report(out, "isbi2012", isbi, MembraneSettings())


def test_wrong_names_and_settings_are_refused(isbi, tmp_path) -> None:
    with pytest.raises(ValueError, match="data must be"):
        run_membranes("isbi", isbi, tmp_path / "r.jsonl", ["bce"], [0], SMALL)
    with pytest.raises(ValueError, match="losses must be"):
        run_membranes("isbi2012", isbi, tmp_path / "r.jsonl", ["bal"], [0], SMALL)
    with pytest.raises(ValueError, match="root must hold"):
        run_membranes("isbi2012", tmp_path, tmp_path / "r.jsonl", ["bce"], [0], SMALL)
    with pytest.raises(ValueError, match="folds must be at least 2, got 1"):
        MembraneSettings(1)
    with pytest.raises(ValueError, match="features must hold at least 3 numbers"):
        MembraneSettings(features=(4, 8))


def test_options_replace_what_they_name() -> None:
    base = settings_for("isbi2012")
    assert base == MembraneSettings()
    changed = settings_for("gala", folds=4, epochs=8, pretrain_epochs=3, width=2)
    assert (changed.folds, changed.features) == (4, (2, 4, 8))
    assert (changed.further.epochs, changed.further.score_every, changed.pretrain.epochs) == (8, 2, 3)
    assert changed.further.crop == settings_for("gala").further.crop
    assert settings_for("gala", True).smoke
    assert not settings_for("gala").smoke
