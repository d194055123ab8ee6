"""The experiment on membranes: which images train and are scored, what all losses share, what is kept and printed."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from monai.data import Dataset
from scipy import ndimage

from experiments.membranes.commands import membrane_report
from experiments.membranes.data import DATA, MembraneImage, check_same_images, membrane_transforms
from experiments.membranes.losses import LOSSES, PRETRAINED
from experiments.membranes.settings import MembraneSettings, Stage, settings_for
from experiments.membranes.tables import chosen_threshold, membrane_tables, scores_at
from experiments.membranes.training import MembraneTraining, image_scores, membrane_runs, predict
from experiments.shared.journal import finished_runs, run_missing
from monai_boundary.losses import BoundaryAwareLoss
from monai_boundary.metrics import instance_scores
from tests.datasets.em.files import grey, interior, write_hdf5, write_slices
from tests.experiments.conftest import STACK

# The images


def test_folds_score_every_slice_once_and_never_train_with_it(isbi, small) -> None:
    scored = []
    for fold in range(2):
        train, test = DATA["isbi2012"](isbi, fold, small)
        assert not {one.case for one in train} & {one.case for one in test}
        assert len(train) + len(test) == STACK[0]
        scored += [one.case for one in test]
    assert scored == ["slice00", "slice01", "slice02", "slice03"]


def test_an_image_is_the_file_s_and_its_regions_are_the_cells(isbi, small) -> None:
    (_, second), _ = DATA["isbi2012"](isbi, 1, small)
    pixels, cells = grey(1, STACK)[1].astype(float), interior(2, STACK)[1]
    np.testing.assert_allclose(second.image[0], (pixels - pixels.mean()) / pixels.std(), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(second.ids > 0, cells == 255)
    np.testing.assert_array_equal(second.membrane[0], cells == 0)


def test_other_images_of_the_same_names_are_refused(isbi, small, tmp_path) -> None:
    known = tmp_path / "out" / "images.json"
    train, test = DATA["isbi2012"](isbi, 0, small)
    check_same_images(known, "isbi2012", [*train, *test])
    check_same_images(known, "gala", [replace(train[0], image=-train[0].image)])
    before = known.read_bytes()
    for other in (replace(test[0], image=-test[0].image), replace(test[0], ids=test[0].ids + 1)):
        with pytest.raises(ValueError, match=f"must be those of the runs in .*got another image .* {test[0].case};"):
            check_same_images(known, "isbi2012", [train[1], other])
    assert known.read_bytes() == before


def write_gala(folder, ids):
    write_hdf5(folder / "image.h5", {"stack": grey(0, ids.shape)})
    write_hdf5(folder / "gt.h5", {"stack": ids})


def test_halves_of_a_volume_part_it_and_cut_objects_in_pieces(tmp_path, small) -> None:
    ids = np.zeros((4, 8, 12), np.uint32)
    ids[:, 1:3, 1:] = 5
    ids[:, 4:7, :] = 9
    ids[:, 4:6, 8] = 0  # the right half of object 9 is joined below this notch
    ids[:, :, 9] = 0  # and both are cut here
    write_gala(tmp_path, ids)
    parts = [DATA["gala"](tmp_path, fold, small) for fold in range(2)]
    (left,), (right,) = parts[0][1], parts[1][1]
    assert ([one.case for one in parts[0][0]], left.case) == (["x6-11"], "x0-5")
    np.testing.assert_array_equal(np.concatenate([left.ids > 0, right.ids > 0], -1), ids > 0)
    assert (left.ids.max(), right.ids.max()) == (2, 4)
    assert left.image.shape == (1, 4, 8, 6)


def test_membranes_to_learn_are_wider_than_those_that_score(tmp_path, small) -> None:
    ids = np.ones((4, 8, 12), np.uint32)
    ids[:, :, 6:] = 2
    ids[:, :, 5] = 0
    write_gala(tmp_path, ids)
    image = DATA["gala"](tmp_path, 0, replace(small, membrane_width=10.0))[0][0]  # nm, the size of a voxel
    # the half from x = 6 on: the membrane at 5 is beyond it, its neighbour at 6 is not
    assert image.membrane[0, 0, 0].tolist() == [1, 0, 0, 0, 0, 0]
    assert (image.ids > 0).all()
    assert image.training_item["ids"][0, 0, 0].tolist() == [0, 1, 1, 1, 1, 1]


def batches(isbi, small, companion, seed=3):
    items = [one.training_item for one in DATA["isbi2012"](isbi, 0, small)[0]]
    data = Dataset(items, membrane_transforms((16, 24), 2, companion, 0, seed))
    return [data[index % 2] for index in range(6)]


def test_all_losses_see_the_same_crops_with_seeds_or_maps_of_their_own(isbi, small) -> None:
    plain, seeds, maps = (batches(isbi, small, companion) for companion in (None, "seeds", "distance_map"))
    for one, two, three in zip(plain, seeds, maps, strict=True):
        for other in (two, three):
            torch.testing.assert_close(one["image"], other["image"])
            torch.testing.assert_close(one["label"], other["label"])
        found = two["seeds"][two["seeds"] > 0]
        assert not (two["seeds"] > 0)[two["label"] > 0].any()
        assert sorted(found.tolist()) == list(range(1, len(found) + 1))
        torch.testing.assert_close((three["distance_map"] < 0).float(), (three["label"] > 0).float())
    other = batches(isbi, small, None, 4)
    assert any(not torch.equal(a["image"], b["image"]) for a, b in zip(plain, other, strict=True))


# The losses


def test_rows_are_compared_with_the_same_loss_without_its_boundary_term() -> None:
    torch.manual_seed(0)
    logits, membrane = torch.randn(1, 1, 12, 12), torch.zeros(1, 1, 12, 12)
    membrane[..., 5] = 1
    seeds = torch.zeros(1, 1, 12, 12, dtype=torch.int32)
    seeds[..., 6, 2], seeds[..., 6, 8] = 1, 2
    for name, term, alpha in (
        ("bce+bal", BoundaryAwareLoss(3, "mean"), 1.0),
        ("wbce+bal", BoundaryAwareLoss(3, "published", double_sigmoid=True), 0.1),
        ("wbce+bal-mean", BoundaryAwareLoss(3, "mean"), 1.0),
    ):
        both = LOSSES[name].make()(logits, {"label": membrane, "seeds": seeds})
        base = LOSSES[LOSSES[name].base].make()(logits, membrane)
        torch.testing.assert_close(both, base + alpha * term(logits, membrane, seeds))
    assert LOSSES["bce"].make()(logits, membrane) == F.binary_cross_entropy_with_logits(logits, membrane)


# The scores


class Same(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))

    def forward(self, input):
        assert all(size % 16 == 0 for size in input.shape[2:])
        return self.scale * input


def image_of(likelihood: np.ndarray, ids: np.ndarray) -> MembraneImage:
    return MembraneImage("one", likelihood[None], (ids == 0).astype(np.uint8)[None], ids)


@pytest.mark.parametrize("shape", [(17, 30), (5, 18, 33)])
def test_likelihoods_lie_where_the_image_does_and_a_diverged_network_is_not_scored(shape) -> None:
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    network, image = Same(), image_of(values, np.zeros(shape, np.int32))
    np.testing.assert_allclose(predict(network, image), 1 / (1 + np.exp(-values)), rtol=1e-5)
    torch.nn.init.constant_(network.scale, float("nan"))
    with pytest.raises(RuntimeError, match="output must be finite"):
        predict(network, image)


def test_scores_are_those_of_the_thresholded_map() -> None:
    ids = np.zeros((9, 9), np.int32)
    ids[:, :4], ids[:, 5:] = 1, 2
    likelihood = np.where(ids == 0, 0.55, 0.1).astype(np.float32)
    likelihood[4, 4] = 0.3  # a gap
    row = image_scores(likelihood, image_of(likelihood, ids), (0.2, 0.5))
    assert row["sweep"]["0.2"] == [0, 0, 1]
    merged = instance_scores((likelihood <= 0.5).astype(np.int32), ids)
    expected = [merged.voi_split, merged.voi_merge, merged.adapted_rand_index]
    np.testing.assert_allclose(row["sweep"]["0.5"], expected, atol=1e-5)
    truth = (ids == 0).astype(float)
    by_hand = -(truth * np.log(likelihood) + (1 - truth) * np.log(1 - likelihood)).mean()
    assert row["bce"] == pytest.approx(by_hand, abs=1e-5)


# The runs


def train(isbi, out, losses, seeds, shared) -> list[dict]:
    run_missing(
        out, membrane_runs("isbi2012", losses, seeds, shared), MembraneTraining("isbi2012", isbi, out.parent, shared)
    )
    return finished_runs(out)


def test_losses_start_from_the_same_kept_weights_and_finished_runs_stay(isbi, small, tmp_path, monkeypatch) -> None:
    out = tmp_path / "out" / "results.jsonl"
    rows = train(isbi, out, ["bce", "bce+bal"], [0], small)
    names = (PRETRAINED, "bce", "bce+bal")
    assert [(row["loss"], row["fold"]) for row in rows] == [(name, fold) for fold in (0, 1) for name in names]
    kept, before, starts = sorted((out.parent / "pretrained").iterdir()), out.read_text(), []
    assert len(kept) == 2
    original = MembraneTraining._train

    def spy(self, network, run, name, stage, title):
        starts.append((name, stage, [value.clone() for value in network.state_dict().values()]))
        return original(self, network, run, name, stage, title)

    monkeypatch.setattr(MembraneTraining, "_train", spy)
    train(isbi, out, ["bce", "bce+bal", "dice", "gdl+boundary"], [0], small)
    assert out.read_text().startswith(before)
    more = [(name, small.further) for _ in (0, 1) for name in ("dice", "gdl+boundary")]
    assert [(name, stage) for name, stage, _ in starts] == more
    for number, (_, _, start) in enumerate(starts):
        weights = torch.load(kept[number // 2], weights_only=True).values()
        assert all(torch.equal(one, two) for one, two in zip(start, weights, strict=True))


def test_a_run_repeats_itself_and_its_maps_are_kept(isbi, small, tmp_path) -> None:
    shared = replace(small, further=Stage(5, 1, 0.05, 3))  # two orders of the images in each epoch, the same in all
    results = []
    for folder in ("trains", "goes on"):
        out = tmp_path / folder / "results.jsonl"
        if folder == "goes on":  # from kept weights, without a pretraining that draws before
            shutil.copytree(tmp_path / "trains" / "pretrained", out.parent / "pretrained")
        results.append(train(isbi, out, ["bce+bal"], [1], shared))
    for one, two in zip(*results, strict=True):
        assert (one["cases"], one["curve"]) == (two["cases"], two["curve"])
    last = results[0][-1]
    assert last["curve"][-1]["cases"][0]["bce"] == last["cases"][0]["bce"]
    assert [case["case"] for case in last["train_cases"]] == ["slice00", "slice01"]
    maps = np.load(tmp_path / "trains" / last["maps"])
    assert sorted(maps) == ["slice02", "slice03"]
    found = instance_scores(ndimage.label(maps["slice02"] <= 127)[0], DATA["isbi2012"](isbi, 1, small)[1][0].ids)
    np.testing.assert_allclose([found.voi_split, found.voi_merge], last["cases"][0]["sweep"]["0.5"][:2], atol=0.1)


def test_another_pretraining_has_weights_of_its_own_and_other_images_are_refused(isbi, small, tmp_path) -> None:
    out = tmp_path / "results.jsonl"
    train(isbi, out, [], [0], small)
    rows = train(isbi, out, [], [0], replace(small, pretrain=Stage(2, 2, 1e-3, 3, (16, 16))))
    assert len(list((tmp_path / "pretrained").iterdir())) == 4
    assert rows[0]["cases"] != rows[2]["cases"]
    write_slices(isbi / "images", grey(9, STACK))
    train(isbi, out, [], [0], small)  # nothing to train: nothing is read
    with pytest.raises(ValueError, match="name another output folder"):
        train(isbi, out, ["bce"], [0], small)


def test_the_command_prints_the_paper_s_table_and_draws_where_maps_are_kept(tmp_path, run) -> None:
    write_slices(tmp_path / "images", grey(1, (4, 64, 80)))
    write_slices(tmp_path / "labels", interior(2, (4, 64, 80)))
    out = tmp_path / "out"
    call = ("isbi2012", "--data", tmp_path, "--quick", "--results", out / "r.jsonl")
    result = run(*call, "--losses", "wbce,wbce+bal")
    assert result.exit_code == 0, result.stderr
    assert "SMOKE RUN, too small to compare losses. isbi2012, 2 of 2 folds, 1 seed, 1 + 1 epochs" in result.stdout
    assert "| 0.814 ± 0.019 | 1.056 ± 0.026 | 0.443 ± 0.029 |" in result.stdout
    assert "| weighted BCE + BAL, published | weighted BCE | 2 |" in result.stdout
    assert all((out / f"isbi2012_{name}.png").stat().st_size > 10_000 for name in ("thresholds", "leaks"))
    assert run(*call, "--losses", "wbce").stdout == result.stdout
    training = MembraneTraining("isbi2012", tmp_path, out, MembraneSettings())
    with pytest.raises(ValueError, match="of these settings, got none"):
        membrane_report(finished_runs(out / "r.jsonl"), None, training)


def test_wrong_names_and_settings_are_refused_and_options_replace_what_they_name(isbi, small, tmp_path) -> None:
    for arguments, text in ((("isbi", []), "data must be"), (("isbi2012", ["bal"]), "losses must be")):
        with pytest.raises(ValueError, match=text):
            membrane_runs(*arguments, [0], small)
    with pytest.raises(ValueError, match="root must hold"):
        MembraneTraining("isbi2012", tmp_path, tmp_path, small).images(0)
    with pytest.raises(ValueError, match="folds must be at least 2, got 1"):
        MembraneSettings(1)
    with pytest.raises(ValueError, match="features must hold at least 3 numbers"):
        MembraneSettings(features=(4, 8))
    changed = settings_for("gala", folds=4, epochs=8, pretrain_epochs=3, width=2)
    assert (changed.folds, changed.features) == (4, (2, 4, 8))
    assert (changed.further.epochs, changed.further.score_every, changed.pretrain.epochs) == (8, 2, 3)
    assert settings_for("isbi2012") == MembraneSettings()


# The tables


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
    cremi = pytest.approx(math.sqrt(0.3 * 0.1))
    found = scores_at(row["cases"], "0.3")
    assert found == {"ari": 0.9, "voi": pytest.approx(0.3), "split": 0.1, "merge": 0.2, "cremi": cremi}


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
    assert "| BCE | 2 | 0.700 ± 0.141 | 0.900 ± 0.141 | 0.516 ± 0.164 | 0.200 ± 0.000 | 0.700 ± 0.141 |" in text
    assert text.count("| 0.720 ± 0.042 | 1.564 ± 0.042 | 0.661 ± 0.072 |") == 1
    # ARI +0.1 and +0.04; VOI -0.4 and +0.1; at 0.5 one better, one worse
    own = "| BCE + BAL, mean, alpha 1 | BCE | 2 | +0.070 ± 0.042 (2/2) | -0.150 ± 0.354 (1/2) | -0.114 ± 0.133 (2/2) |"
    assert own in text
    assert "weighted BCE + BAL" not in text.split("Difference")[1]
    # sqrt(0.6 * 0.3) - sqrt(1.0 * 0.4) and sqrt(0.9 * 0.16) - sqrt(0.8 * 0.2); at 0.5 as above
    assert text.endswith("| BCE + BAL, mean, alpha 1 | -0.114 ± 0.133 (2/2) | -0.001 ± 0.050 (1/2) |")
    assert "SMOKE" not in text
