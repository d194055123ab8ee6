"""The boundary F1 paper's experiments: its four losses, which images are scored and how, and what the tables say."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from experiments.buildings.aicd import (
    AicdSettings,
    aicd_phantoms,
    aicd_runs,
    edge_band,
    example_cases,
    predict,
    score_cases,
    scored_masks,
    train_aicd,
)
from experiments.buildings.aicd_report import aicd_tables, pinhole_table
from experiments.buildings.losses import LOSSES, building_loss, iou, raise_alpha, score_building
from experiments.buildings.real_tiles import alignment_scores
from monai_boundary.datasets import BuildingPhantom, BuildingPhantoms
from monai_boundary.losses import BoundaryF1IoULoss, BoundaryF1Loss

SMALL = AicdSettings(2, images=40, size=64, features=(2, 2, 4, 4), score_every=1, smoke=True)

# The losses


@pytest.fixture
def pair(rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    mask = torch.zeros(2, 1, 12, 12)
    mask[0, 0, 2:7, 3:9] = 1
    mask[1, 0, 5:12, 0:4] = 1
    return torch.from_numpy(rng.normal(0, 2, (2, 1, 12, 12))), mask.double()


def by_hand(name: str, logits: torch.Tensor, mask: torch.Tensor, alpha: float) -> float:
    """Section 2 of the paper, image by image."""
    values = []
    for one, true in zip(1 / (1 + np.exp(-logits.numpy())), mask.numpy(), strict=True):
        tp, fp = (one * true).sum(), (one * (1 - true)).sum()
        fn, tn = ((1 - one) * true).sum(), ((1 - one) * (1 - true)).sum()
        region = 1 - tp / (tp + fp + fn)
        other = {
            "iou": region,
            "ss+iou": 1 - 0.5 * tn / (tn + fp) - 0.5 * tp / (tp + fn),
            "dice+iou": 1 - 2 * tp / (2 * tp + fp + fn),
            "bf1+iou": float(BoundaryF1Loss(theta=5)(torch.from_numpy(one)[None], torch.from_numpy(true)[None])),
        }[name]
        values.append(alpha * other + (1 - alpha) * region)
    return float(np.mean(values))


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("alpha", [0.5, 0.2])
def test_a_row_is_the_weighted_sum_of_the_paper_with_cross_entropy_where_asked_for(name, alpha, pair) -> None:
    assert float(building_loss(name, alpha)(*pair)) == pytest.approx(by_hand(name, *pair, alpha), abs=1e-5)
    probs, mask = torch.sigmoid(pair[0]).numpy(), pair[1].numpy()
    entropy = -np.mean(mask * np.log(probs) + (1 - mask) * np.log(1 - probs))
    value = float(building_loss(name, alpha, cross_entropy=True)(*pair))
    assert value == pytest.approx(by_hand(name, *pair, alpha) + entropy, abs=1e-5)
    assert isinstance(building_loss("bf1+iou", cross_entropy=True), BoundaryF1IoULoss)


@pytest.mark.parametrize("cross_entropy", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_pixels_without_data_count_as_little_as_pixels_beyond_the_edge(name, cross_entropy, pair) -> None:
    logits, mask = pair[0].clone().requires_grad_(), pair[1].clone()
    mask[..., 8:] = 255
    value = building_loss(name, cross_entropy=cross_entropy, ignore_index=255)(logits, mask)
    value.backward()
    assert not logits.grad[..., 8:].any()
    assert logits.grad[..., :8].any()
    cropped = building_loss(name, cross_entropy=cross_entropy)(pair[0][..., :8], pair[1][..., :8])
    assert value.item() == pytest.approx(cropped.item(), abs=1e-5)


def test_alpha_rises_from_nothing_to_its_value_in_the_last_epoch() -> None:
    loss = building_loss("bf1+iou", 0.8)
    before, seen = raise_alpha(loss, 0.8, 5), []
    for epoch in range(5):
        before(epoch)
        seen.append(loss.alpha)
    assert seen == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])


def test_wrong_rows_weights_and_sizes_are_named() -> None:
    for arguments, text in (
        (("vgg",), r"name must be one of 'bf1\+iou', .* got 'vgg'"),
        (("iou", 1.5), "alpha must"),
    ):
        with pytest.raises(ValueError, match=text):
            building_loss(*arguments)
    for settings, text in (
        ({"images": 50}, "images must be a multiple of 20 and at least 40, got 50"),
        ({"images": 20}, "images must be a multiple of 20 and at least 40, got 20"),
        ({"size": 72}, "size must be a multiple of 16 and at least 64, got 72"),
        ({"size": 48}, "size must be a multiple of 16 and at least 64, got 48"),
    ):
        with pytest.raises(ValueError, match=text):
            AicdSettings(**settings)


# The images and their scores


def test_the_last_quarter_is_scored_and_none_of_it_trains() -> None:
    assert [AicdSettings(images=count).scored for count in (40, 80, 160, 400, 800)] == [20, 20, 40, 100, 200]
    train, test = aicd_phantoms(40, 64)
    whole = BuildingPhantoms(40, 0, (64, 64))
    assert (len(train), len(test)) == (20, 20)
    for index, phantom in enumerate([*train, *test]):
        np.testing.assert_array_equal(phantom.image, whole[index]["image"])


def test_the_images_named_as_cut_by_the_edge_are_those_whose_mask_touches_it() -> None:
    _, test = aicd_phantoms(40, 64)
    outer = edge_band((64, 64), 1)
    touching = [index for index, phantom in enumerate(test) if phantom.mask[outer].any()]
    rows = score_cases([phantom.mask > 0 for phantom in test], test, 4)
    assert [index for index, row in enumerate(rows) if row["at_edge"]] == touching
    assert len(touching) == 5
    assert example_cases(test) == touching[:4]
    for (row, column), inside in np.ndenumerate(edge_band((7, 9), 2)):
        assert inside == (min(row, column, 6 - row, 8 - column) < 2)


def test_scores_of_an_image_follow_from_counting() -> None:
    truth = np.zeros((16, 16), np.uint8)
    truth[0:8, 4:8] = 1  # 32 pixels, 8 of them in the two outer rows
    pred = np.zeros((16, 16), bool)
    pred[1:9, 4:8] = True  # 28 shared of 36; in the band 4 of 8
    inner = np.zeros((16, 16), np.uint8)
    inner[6:10, 6:10] = 1
    image = np.zeros((3, 16, 16), np.float32)
    cut, whole = BuildingPhantom(image, truth, "rectangle", True), BuildingPhantom(image, inner, "rectangle", False)
    rows = score_cases([pred, np.zeros((16, 16), bool)], [cut, whole], 2)
    assert rows[0]["iou"] == round(28 / 36, 4)
    assert rows[0]["edge_iou"] == 0.5
    assert rows[0]["f1_3"] == 1  # every boundary pixel is moved by one
    assert rows[1] == {"at_edge": False, "iou": 0, "f1_3": 0, "f1_5": 0, "edge_iou": None}


def test_scores_count_only_pixels_with_data() -> None:
    pred, target = np.zeros((2, 8, 8), bool)
    pred[2:6, 2:6], target[2:6, 2:8] = True, True
    valid = np.ones((8, 8), bool)
    valid[:, 6:] = False
    assert score_building(pred, target)["iou"] == round(16 / 24, 4)
    assert score_building(pred, target, valid)["iou"] == 1
    assert score_building(~pred & False, target, valid) == {"iou": 0, "f1_3": 0, "f1_5": 0}
    assert math.isnan(iou(pred & False, target & False))


def test_a_network_that_diverged_is_not_scored() -> None:
    network = torch.nn.Conv2d(3, 1, 1)
    torch.nn.init.constant_(network.weight, float("nan"))
    with pytest.raises(RuntimeError, match="output must be finite"):
        predict(network, [np.zeros((3, 8, 8), np.float32)])


def test_a_mask_in_its_place_stands_out_from_all_its_shifts(rng) -> None:
    mask = np.zeros((64, 64), np.uint8)
    mask[20:35, 30:50] = 1
    image = (100 + 50 * mask + rng.normal(0, 5, mask.shape))[None]
    place, best = alignment_scores(image, mask)
    assert place == best > 10
    moved, best = alignment_scores(image, np.roll(mask, 20, 0))
    assert moved < best


# The runs


def test_a_seed_gives_the_same_run_and_keeps_the_predictions_that_were_scored() -> None:
    runs = json.loads(json.dumps(aicd_runs(["bf1+iou"], [1], SMALL)))
    row, again = ({**run, **train_aicd(run, "")} for run in runs * 2)
    assert (row["cases"], row["curve"]) == (again["cases"], again["curve"])
    assert [point["epoch"] for point in row["curve"]] == [1, 2]
    assert row["curve"][-1]["iou"] == pytest.approx(np.mean([case["iou"] for case in row["cases"]]), abs=1e-4)
    assert len(row["examples"]) == 4
    for index, (phantom, mask) in scored_masks(row).items():
        assert row["cases"][int(index)]["iou"] == round(iou(mask, phantom.mask > 0), 4)
    assert "| L_BF1,IoU | 5 x 5 median | 4 |" in pinhole_table([row])


def test_the_command_needs_no_data_and_labels_a_smoke_run(tmp_path, run) -> None:
    results = tmp_path / "aicd.jsonl"
    call = ("aicd", "--quick", "--images", 40, "--epochs", 1, "--width", 2, "--results", results)
    result = run(*call, "--losses", "iou,bf1+iou")
    assert result.exit_code == 0, result.stderr
    assert "SMOKE RUN, too small to compare losses. 40 images of 64 x 64, 1 epochs" in result.stdout
    assert "20 images scored, 5 of them cut by the image edge" in result.stdout
    assert "| 86.91 | 71.51 |" in result.stdout
    assert all((tmp_path / name).stat().st_size > 10_000 for name in ("aicd_curves.png", "aicd_edge.png"))
    assert run(*call, "--losses", "iou").stdout == result.stdout
    assert len(results.read_text().splitlines()) == 2


# The tables


def row_of(loss: str, seed: int, whole: float, cut: float, **changes) -> dict:
    def case(value, at_edge):
        scores = {"iou": value, "f1_3": value / 2, "f1_5": value / 4}
        return {**scores, "at_edge": at_edge, "edge_iou": value if at_edge else None}

    cases = [case(whole, False), case(whole, False), case(whole, False), case(cut, True)]
    curve = [{"epoch": 4, "iou": 0.1 * seed, "f1_3": 0}, {"epoch": 8, "iou": 0.9, "f1_3": 0}]
    settings = json.loads(json.dumps(AicdSettings(epochs=16).__dict__))
    return {"loss": loss, "seed": seed, **settings, "cases": cases, "curve": curve, **changes}


def test_the_tables_give_mean_and_spread_over_seeds_of_all_whole_and_cut_buildings() -> None:
    # all images: (3 * 0.8 + 0.4) / 4 = 0.7 and (3 * 0.6 + 0.2) / 4 = 0.5: mean 60, standard deviation 14.14
    rows = [row_of("iou", 1, 0.8, 0.4), row_of("bf1+iou", 1, 1.0, 1.0), row_of("iou", 2, 0.6, 0.2)]
    text = aicd_tables(rows)
    assert "| L_IoU | 2 | 60.00 ± 14.14 | 30.00 ± 7.07 | 15.00 ± 3.54 | 15.00 ± 7.07 | 85.66 | 68.01 |" in text
    assert "| L_IoU | 2 | 70.00 ± 14.14 | 30.00 ± 14.14 | 30.00 ± 14.14 | 35.00 ± 7.07 | 15.00 ± 7.07 |" in text
    assert "| L_BF1,IoU | 1 | 100.00 | 50.00 | 25.00 | 10.00 | 86.91 | 71.51 |" in text
    assert "| difference of the first two | 1 | +30.00 | +15.00 | +7.50 | +0.00 | +1.25 | +3.50 |" in text
    more = aicd_tables([*rows, row_of("bf1+iou", 2, 0.5, 0.5)])  # seed by seed 100 - 70 and 50 - 50
    assert "| difference of the first two | 2 | +15.00 ± 21.21 | +7.50 ± 10.61 |" in more
    assert "800 images of 256 x 256, 16 epochs, 16 to 128 features, weight of BF1 0 to 0.5; 4 images scored" in text
    assert "1 of them cut by the image edge" in text


def test_runs_of_other_settings_get_tables_of_their_own() -> None:
    rows = [row_of("iou", 0, 0.8, 0.4), row_of("iou", 0, 0.2, 0.2, smoke=True), row_of("iou", 1, 0.8, 0.4)]
    text = aicd_tables(rows)
    assert text.count("SMOKE RUN, too small to compare losses.") == 1
    assert "| L_IoU | 2 | 70.00 ± 0.00 |" in text
    assert "| L_IoU | 1 | 20.00 |" in text
    other = aicd_tables([row_of("iou", 0, 1, 1, ramp=False, cross_entropy=True)])
    assert "weight of BF1 0.5, with cross-entropy" in other
