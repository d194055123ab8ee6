"""The synthetic experiment: which images are scored, how, which runs are kept, and what the tables say."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from experiments.buildings.aicd import (
    AicdSettings,
    aicd_phantoms,
    edge_band,
    example_cases,
    predict,
    run_aicd,
    score_cases,
    unpack_mask,
)
from experiments.buildings.aicd_report import write_aicd_report
from experiments.buildings.aicd_table import aicd_tables
from experiments.shared.journal import finished_runs
from monai_boundary.datasets import BuildingPhantom, BuildingPhantoms

# MONAI and Ignite, not this package
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
SMALL = AicdSettings(images=40, size=64, epochs=2, features=(2, 2, 4, 4), score_every=1, smoke=True)


# The images


def test_the_last_quarter_is_scored_and_none_of_it_trains() -> None:
    assert [AicdSettings(images=count).scored for count in (40, 80, 160, 400, 800)] == [20, 20, 40, 100, 200]
    train, test = aicd_phantoms(SMALL)
    whole = BuildingPhantoms(40, 0, (64, 64))
    assert (len(train), len(test)) == (20, 20)
    for index, phantom in enumerate([*train, *test]):
        np.testing.assert_array_equal(phantom.image, whole[index]["image"])


def test_the_images_named_as_cut_by_the_edge_are_those_whose_mask_touches_it() -> None:
    _, test = aicd_phantoms(SMALL)
    outer = np.ones((64, 64), bool)
    outer[1:-1, 1:-1] = False
    touching = [index for index, phantom in enumerate(test) if phantom.mask[outer].any()]
    rows = score_cases([phantom.mask > 0 for phantom in test], test, 4)
    assert [index for index, row in enumerate(rows) if row["at_edge"]] == touching
    assert len(touching) == 5
    assert example_cases(test) == touching[:4]


@pytest.mark.parametrize(("images", "size", "text"), [
    (50, 64, "images must be a multiple of 20 and at least 40, got 50"),
    (20, 64, "images must be a multiple of 20 and at least 40, got 20"),
    (40, 72, "size must be a multiple of 16 and at least 64, got 72"),
    (40, 48, "size must be a multiple of 16 and at least 64, got 48"),
])  # fmt: skip
def test_sizes_that_break_the_balance_or_the_network_are_refused(images: int, size: int, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        AicdSettings(images=images, size=size)


# The scores


def test_the_edge_band_is_what_lies_near_the_edge() -> None:
    band = edge_band((7, 9), 2)
    for (row, column), inside in np.ndenumerate(band):
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


def test_a_network_that_diverged_is_not_scored() -> None:
    network = torch.nn.Conv2d(3, 1, 1)
    torch.nn.init.constant_(network.weight, float("nan"))
    with pytest.raises(RuntimeError, match="output must be finite"):
        predict(network, [np.zeros((3, 8, 8), np.float32)], torch.device("cpu"))


# The runs


def test_finished_runs_are_kept_and_only_the_others_are_trained(tmp_path) -> None:
    out = tmp_path / "deep" / "results.jsonl"
    run_aicd(out, ["iou", "bf1+iou"], [0], SMALL)
    first = out.read_text()
    run_aicd(out, ["iou", "bf1+iou"], [0, 1], SMALL)
    assert out.read_text().startswith(first)
    rows = finished_runs(out)
    assert [(row["loss"], row["seed"]) for row in rows] == [("iou", 0), ("bf1+iou", 0), ("iou", 1), ("bf1+iou", 1)]
    assert rows[0]["examples"] != rows[2]["examples"]
    again = tmp_path / "again.jsonl"
    run_aicd(again, ["bf1+iou"], [1], SMALL)
    assert finished_runs(again)[0]["cases"] == rows[3]["cases"]
    assert finished_runs(again)[0]["curve"] == rows[3]["curve"]
    for row in rows:
        assert [point["epoch"] for point in row["curve"]] == [1, 2]
        assert row["curve"][-1]["iou"] == pytest.approx(np.mean([case["iou"] for case in row["cases"]]), abs=1e-4)
    # one epoch less is another run
    run_aicd(again, ["bf1+iou"], [1], AicdSettings(**{**SMALL.__dict__, "epochs": 1}))
    assert [row["epochs"] for row in finished_runs(again)] == [2, 1]


def test_kept_predictions_are_those_that_were_scored(tmp_path) -> None:
    out = tmp_path / "results.jsonl"
    run_aicd(out, ["iou"], [0], SMALL)
    (row,) = finished_runs(out)
    _, test = aicd_phantoms(SMALL)
    for index, packed in row["examples"].items():
        mask, true = unpack_mask(packed, (64, 64)), test[int(index)].mask > 0
        assert row["cases"][int(index)]["iou"] == round((mask & true).sum() / (mask | true).sum(), 4)
    assert len(row["examples"]) == 4


def test_the_report_is_made_of_the_kept_lines_alone(tmp_path) -> None:
    out = tmp_path / "results.jsonl"
    with pytest.raises(ValueError, match="must hold finished runs, got none"):
        write_aicd_report(out, tmp_path)
    run_aicd(out, ["iou"], [0], SMALL)
    (row,) = finished_runs(out)
    others = [{**row, "loss": "bf1+iou", "ramp": False}, {**row, "loss": "ss+iou"}]
    out.write_text("\n".join(map(json.dumps, [row, *others])))
    text = write_aicd_report(out, tmp_path, "x_")
    assert text.count("| L_IoU | 1 |") == text.count("| L_SS,IoU | 1 |") == text.count("| L_BF1,IoU | 1 |") == 2
    assert all((tmp_path / name).stat().st_size > 10_000 for name in ("x_curves.png", "x_edge.png"))


def test_an_unknown_loss_is_named(tmp_path) -> None:
    with pytest.raises(ValueError, match=r"losses must be among bf1\+iou, iou, .* got vgg"):
        run_aicd(tmp_path / "r", ["iou", "vgg"], [0], SMALL)


def test_a_line_that_was_cut_off_is_named(tmp_path) -> None:
    (tmp_path / "r.jsonl").write_text('{"loss": "iou"}\n\n{"loss": "i')
    with pytest.raises(ValueError, match=r"r\.jsonl must hold one finished run per line, got a damaged line 3; delete"):
        finished_runs(tmp_path / "r.jsonl")


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
    assert "SMOKE" not in text


def test_runs_of_other_settings_get_tables_of_their_own() -> None:
    rows = [row_of("iou", 0, 0.8, 0.4), row_of("iou", 0, 0.2, 0.2, smoke=True), row_of("iou", 1, 0.8, 0.4)]
    text = aicd_tables(rows)
    assert "weight of BF1 0.5, with cross-entropy" in aicd_tables(
        [row_of("iou", 0, 1, 1, ramp=False, cross_entropy=True)]
    )
    assert text.count("SMOKE RUN, too small to compare losses.") == 1
    assert "| L_IoU | 2 | 70.00 ± 0.00 |" in text
    assert "| L_IoU | 1 | 20.00 |" in text
