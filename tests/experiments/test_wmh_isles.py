"""The boundary loss as published, on phantoms: the data it sees, the runs it keeps, the table it prints."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from experiments.shared.journal import finished_runs
from experiments.wmh_isles.commands import challenge_cases
from experiments.wmh_isles.settings import SETTINGS, RunSettings, make_loss, make_schedule
from experiments.wmh_isles.slices import load_volumes, training_slices
from experiments.wmh_isles.training import planned_runs, protocol_table, train_setting
from monai_boundary import Increase, Rebalance
from monai_boundary.datasets.datalist import write_datalist
from tests.cli.calling import assert_fails

SMALL = RunSettings(2, batch=4, score_every=1, features=(4, 8), size=(32, 32), empty_share=0.5)


def test_volumes_are_scaled_resized_and_keep_their_extent_in_mm(splits):
    whole = load_volumes(splits["training"], None, "")[0]
    small = load_volumes(splits["training"], (32, 20), "")[0]
    assert small.image.shape == (2, 32, 20, 12)
    assert small.label.shape == (32, 20, 12)
    for volume in (whole, small):
        extent = np.array(volume.label.shape) * volume.spacing
        assert extent == pytest.approx((36, 40, 36), rel=0.06)  # right-left, posterior-anterior, slices of 3 mm
    assert [channel.min() for channel in whole.image] == [0, 0]
    assert [channel.max() for channel in whole.image] == [1, 1]
    assert set(np.unique(small.label)) == {0, 1}


def test_maps_of_slices_and_of_the_volume_differ_as_they_must(splits):
    volume = load_volumes(splits["training"][:1], None, "")[0]
    mask = volume.label == 1
    items = {
        maps: training_slices([volume], SETTINGS[f"gdl+boundary{maps}"], "published", 1.0, 0) for maps in ("2d", "3d")
    }
    whole = distance_transform_edt(~mask, sampling=volume.spacing)
    for index in range(mask.shape[-1]):
        plane = mask[..., index]
        slice_map, volume_map = (items[maps][index]["distance_map"][0].numpy() for maps in ("2d", "3d"))
        assert volume_map[~plane] == pytest.approx(whole[..., index][~plane], abs=1e-4)
        if plane.any():
            alone = distance_transform_edt(~plane, sampling=volume.spacing[:2])
            assert slice_map[~plane] == pytest.approx(alone[~plane], abs=1e-4)
        else:
            assert not slice_map.any()  # the published map of a slice without the class
        assert (items["3d"][index]["label"][0].numpy() == plane).all()


def test_a_share_of_the_slices_without_foreground_is_kept(splits):
    volumes = load_volumes(splits["training"], None, "")
    occupied = sum(int((volume.label == 1).any((0, 1)).sum()) for volume in volumes)
    counts = [len(training_slices(volumes, SETTINGS["gdl"], "robust", share, 0)) for share in (0.0, 0.5, 1.0)]
    assert counts[0] == occupied
    assert counts[0] < counts[1] < counts[2] == 24


def test_weights_are_the_published_ones_or_those_of_the_trainers():
    assert make_schedule(SETTINGS["gdl"], "published").weights(50, 100) == (1.0, 0.0)
    for name in ("gdl+boundary3d", "scale-free gdl+boundary3d"):
        assert make_schedule(SETTINGS[name], "published") == Rebalance(pace=100)
        assert make_loss(SETTINGS[name], "published").region.scale_free == name.startswith("scale-free")
    assert make_schedule(SETTINGS["dicece+boundary3d"], "robust") == Increase(end=0.3)


@pytest.mark.parametrize(("setting", "alphas"), [("gdl", [0.0, 0.0]), ("gdl+boundary2d", [0.01, 0.02])])
def test_a_seed_gives_the_same_run_and_its_last_point_is_the_result(splits, setting, alphas):
    train, test = (load_volumes(splits[name], SMALL.size, "") for name in ("training", "validation"))
    (run,) = planned_runs(["wmh"], [setting], [3], SMALL)
    first, again = (train_setting(run, train, test, "") for _ in range(2))
    assert first["curve"] == again["curve"]
    assert [point["epoch"] for point in first["curve"]] == [1, 2]
    assert [point["alpha"] for point in first["curve"]] == alphas
    assert first["cases"] == first["curve"][-1]["cases"]
    assert [case["case"] for case in first["cases"]] == ["p2"]


def test_the_command_trains_once_and_prints_the_table(splits, tmp_path, run):
    write_datalist(tmp_path / "datalist.json", splits)
    out = tmp_path / "out" / "wmh.jsonl"
    call = ("wmh", "--data", tmp_path, "--results", out, "--quick", "--settings", "gdl")
    result = run(*call)
    assert result.exit_code == 0, result.stderr
    assert "| wmh | gdl | - | 2 | 1 |" in result.stdout
    assert (out.parent / "wmh_curves.png").stat().st_size > 10_000
    first = out.read_text()
    assert run(*call).stdout == result.stdout
    assert out.read_text() == first
    assert finished_runs(out)[0]["preset"] == "published"
    assert_fails(
        run("isles", "--data", tmp_path, "--results", tmp_path / "isles.jsonl"), "3 or 5 channels for isles, got [2]"
    )


def test_a_datalist_without_cases_to_score_is_named(splits, tmp_path):
    write_datalist(tmp_path / "datalist.json", {"training": splits["training"]})
    with pytest.raises(ValueError, match="must hold validation cases, got none"):
        challenge_cases(tmp_path, "wmh", {2})


def test_the_table_gives_mean_and_spread_over_seeds_and_counts_empty_predictions():
    def row(setting, seed, dice, missed):
        cases = [
            {"dice": dice, "hd95_mm": 10.0 * seed, "missed": missed},
            {"dice": math.nan, "hd95_mm": 4.0, "missed": False},
        ]
        return {"data": "d", "setting": setting, "preset": "robust", "epochs": 5, "seed": seed, "cases": cases}

    table = protocol_table([row("gdl", 0, 0.5, True), row("gdl", 1, 0.7, False), row("gdl+boundary2d", 0, 0.1, False)])
    assert "| d | gdl | - | 5 | 2 | 0.600 ± 0.141 | 4.5 ± 3.5 | 1/4 |" in table
    assert "| d | gdl+boundary2d | robust | 5 | 1 | 0.100 | 2.0 | 0/2 |" in table
