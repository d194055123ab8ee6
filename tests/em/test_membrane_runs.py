"""The experiment on membranes: which images train, what all losses share, what is kept, and what the tables say."""

from __future__ import annotations

import json
import math
import shutil
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from monai.data import Dataset
from scipy import ndimage

from monai_boundary.losses import BoundaryAwareLoss
from monai_boundary.metrics import instance_scores
from monai_boundary.protocols import membranes
from monai_boundary.protocols.membrane_data import DATA, MembraneImage, membrane_transforms, standardise
from monai_boundary.protocols.membrane_losses import LOSSES, set_weights
from monai_boundary.protocols.membrane_report import write_membrane_report
from monai_boundary.protocols.membrane_settings import MembraneSettings, Stage, settings_for
from monai_boundary.protocols.membrane_table import chosen_threshold, membrane_tables, scores_at
from monai_boundary.protocols.membranes import PRETRAINED, predict, run_membranes
from monai_boundary.protocols.series import finished_runs
from tests.em.files import grey, interior, write_hdf5, write_slices

# MONAI and Ignite, not this package
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
SHAPE = (4, 32, 48)
SMALL = MembraneSettings(2, (2, 2, 2), Stage(1, 2, 1e-3, (16, 16)), Stage(1, 1, 5e-4), min_region_size=4, smoke=True)


@pytest.fixture
def isbi(tmp_path):
    write_slices(tmp_path / "data" / "images", grey(1, SHAPE))
    write_slices(tmp_path / "data" / "labels", interior(2, SHAPE))
    return tmp_path / "data"


def image_of(likelihood: np.ndarray, ids: np.ndarray) -> MembraneImage:
    return MembraneImage("one", likelihood[None], (ids == 0).astype(np.uint8)[None], ids)


# The images


def test_folds_score_every_slice_once_and_never_train_with_it(isbi) -> None:
    scored = []
    for fold in range(2):
        train, test = DATA["isbi2012"](isbi, fold, SMALL)
        assert not {one.case for one in train} & {one.case for one in test}
        assert len(train) + len(test) == SHAPE[0]
        scored += [one.case for one in test]
    assert scored == ["slice00", "slice01", "slice02", "slice03"]


def test_an_image_is_the_file_s_and_its_regions_are_the_cells(isbi) -> None:
    (first, second), _ = DATA["isbi2012"](isbi, 1, SMALL)
    pixels, cells = grey(1, SHAPE)[1].astype(float), interior(2, SHAPE)[1]
    np.testing.assert_allclose(second.image[0], (pixels - pixels.mean()) / pixels.std(), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(second.ids > 0, cells == 255)
    np.testing.assert_array_equal(second.membrane[0], cells == 0)
    assert first.case == "slice00"


def test_a_flat_image_does_not_divide_by_zero() -> None:
    assert not standardise(np.full((1, 4, 4), 7, np.uint8)).any()


def test_halves_of_a_volume_part_it_and_cut_objects_in_pieces(tmp_path) -> None:
    ids = np.zeros((4, 8, 12), np.uint32)
    ids[:, 1:3, 1:] = 5
    ids[:, 4:7, :] = 9
    ids[:, 4:6, 8] = 0  # the right half of object 9 is joined below this notch
    ids[:, :, 9] = 0  # and both are cut here
    write_hdf5(tmp_path / "image.h5", {"stack": grey(0, ids.shape)})
    write_hdf5(tmp_path / "gt.h5", {"stack": ids})
    parts = [DATA["gala"](tmp_path, fold, SMALL) for fold in range(2)]
    (left,), (right,) = parts[0][1], parts[1][1]
    assert ([one.case for one in parts[0][0]], left.case) == (["x6-11"], "x0-5")
    np.testing.assert_array_equal(np.concatenate([left.ids > 0, right.ids > 0], -1), ids > 0)
    assert left.ids.max() == 2
    assert right.ids.max() == 4
    assert left.image.shape == (1, 4, 8, 6)


# The batches


def batches(isbi, companion, seed=3):
    train, _ = DATA["isbi2012"](isbi, 0, SMALL)
    items = [one.training_item for one in train]
    data = Dataset(items, membrane_transforms((16, 24), 2, companion, 0, seed))
    return [data[index % 2] for index in range(6)]


def test_all_losses_see_the_same_crops(isbi) -> None:
    plain, seeds, maps = (batches(isbi, companion) for companion in (None, "seeds", "map"))
    for one, two, three in zip(plain, seeds, maps, strict=True):
        assert one["image"].shape[1:] in {(16, 24), (24, 16)}
        for other in (two, three):
            torch.testing.assert_close(one["image"], other["image"])
            torch.testing.assert_close(one["label"], other["label"])
        assert one["label"].dtype == torch.float32
    assert any(not torch.equal(a["image"], b["image"]) for a, b in zip(plain, batches(isbi, None, 4), strict=True))


def test_seeds_and_maps_belong_to_the_crop(isbi) -> None:
    for one in batches(isbi, "seeds"):
        seeds, membrane = one["distance_map"], one["label"]
        assert not (seeds > 0)[membrane > 0].any()
        assert sorted(seeds[seeds > 0].tolist()) == list(range(1, int((seeds > 0).sum()) + 1))
    for one in batches(isbi, "map"):
        inside = one["distance_map"] < 0
        torch.testing.assert_close(inside.float(), (one["label"] > 0).float())


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
        seen.append(loss.weights)
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


# The table


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
    for folder in ("one", "two", "three"):
        out = tmp_path / folder / "results.jsonl"
        if folder == "three":  # goes on from kept weights, without a pretraining that draws before
            shutil.copytree(tmp_path / "one" / "pretrained", out.parent / "pretrained")
        run_membranes("isbi2012", isbi, out, ["bce+bal"], [1], SMALL)
        results.append(finished_runs(out))
    for runs in zip(*results, strict=True):
        for key in ("cases", "curve"):
            assert all(run[key] == runs[0][key] for run in runs)
    last = results[0][-1]
    assert last["curve"][-1]["cases"][0]["bce"] == last["cases"][0]["bce"]
    assert [case["case"] for case in last["train_cases"]] == ["slice00", "slice01"]
    maps = np.load(tmp_path / "one" / last["maps"])
    assert sorted(maps) == ["slice02", "slice03"]
    assert maps["slice02"].shape == SHAPE[1:]
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
