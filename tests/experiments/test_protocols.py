"""The published protocol on phantoms: the data it sees, the runs it keeps, the table it prints."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from experiments.shared.journal import finished_runs
from experiments.wmh_isles.settings import SETTINGS, make_schedule
from experiments.wmh_isles.slices import load_volumes, training_slices
from experiments.wmh_isles.table import protocol_table
from experiments.wmh_isles.training import RunSettings, run_protocol
from monai_boundary import Increase, Rebalance
from monai_boundary.datasets.datalist import read_datalist, write_datalist

# MONAI and Ignite, not this package
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
SMALL = RunSettings(epochs=2, features=(4, 8), size=(32, 32), empty_share=0.5, score_every=1, batch=4)


# The datalist


def test_a_datalist_is_read_as_it_was_written_and_can_be_moved(splits, tmp_path):
    write_datalist(tmp_path / "datalist.json", splits)
    moved = tmp_path.rename(tmp_path.parent / "elsewhere")
    found = read_datalist(moved)
    assert {k: [case.case for case in v] for k, v in found.items()} == {"training": ["p0", "p1"], "validation": ["p2"]}
    assert all(file.is_file() for cases in found.values() for case in cases for file in (*case.image, case.label))
    moved.rename(tmp_path)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("[]", "must be a datalist"),
        ("{", "must be a datalist"),
        ('{"training": [{"label": "a"}]}', "must be a datalist.*KeyError"),
        ('{"training": []}', "must name files that exist, got none at all"),
        ('{"training": [{"image": ["none.nii.gz"]}]}', "must name files that exist, got none at .*none.nii.gz"),
        ('{"training": [{"image": "d.json"}], "test": [{"image": "d.json"}]}', "every case once, got d more than once"),
    ],
)
def test_a_broken_datalist_is_named(tmp_path, content, text):
    (tmp_path / "d.json").write_text(content)
    with pytest.raises(ValueError, match=text):
        read_datalist(tmp_path / "d.json")


# Slices and maps


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
            assert (volume_map > 0).all()
        assert (items["3d"][index]["label"][0].numpy() == plane).all()


def test_a_share_of_the_slices_without_foreground_is_kept(splits):
    volumes = load_volumes(splits["training"], None, "")
    occupied = sum(int((volume.label == 1).any((0, 1)).sum()) for volume in volumes)
    counts = [len(training_slices(volumes, SETTINGS["gdl"], "robust", share, 0)) for share in (0.0, 0.5, 1.0)]
    assert counts[0] == occupied
    assert counts[0] < counts[1] < counts[2] == 24


def test_weights_are_the_published_ones_or_those_of_the_trainers():
    assert make_schedule(SETTINGS["gdl"], "published").weights(50, 100) == (1.0, 0.0)
    assert make_schedule(SETTINGS["gdl+boundary3d"], "published") == Rebalance(pace=100)
    assert make_schedule(SETTINGS["dicece+boundary3d"], "robust") == Increase(end=0.3)


# Runs


def test_finished_runs_are_kept_and_not_repeated(splits, tmp_path, capsys):
    out = tmp_path / "results.jsonl"
    names = ("gdl", "gdl+boundary2d")
    run_protocol("wmh", splits, out, names, [0], SMALL)
    first = out.read_text()
    rows = finished_runs(out)
    assert [row["setting"] for row in rows] == list(names)
    for row in rows:
        assert [point["epoch"] for point in row["curve"]] == [1, 2]
        assert row["cases"] == row["curve"][-1]["cases"]
        assert [case["case"] for case in row["cases"]] == ["p2"]
        assert 0 <= row["cases"][0]["dice"] <= 1
    assert [point["alpha"] for point in rows[0]["curve"]] == [0.0, 0.0]
    assert [point["alpha"] for point in rows[1]["curve"]] == [0.01, 0.02]
    run_protocol("wmh", splits, out, names, [0, 1], SMALL)
    again = out.read_text()
    assert again.startswith(first)
    assert len(finished_runs(out)) == 4


def test_the_same_seed_gives_the_same_run(splits, tmp_path):
    rows = []
    for name in ("a", "b"):
        run_protocol("wmh", splits, tmp_path / name, ["dicece+boundary3d"], [3], SMALL)
        rows.append(finished_runs(tmp_path / name)[0]["curve"])
    assert rows[0] == rows[1]


def test_unknown_settings_and_empty_splits_are_named(splits, tmp_path):
    with pytest.raises(ValueError, match=r"settings must be among gdl, .* got focal"):
        run_protocol("wmh", splits, tmp_path / "r", ["focal"], [0], SMALL)
    with pytest.raises(ValueError, match="datalist must hold validation cases, got none"):
        run_protocol("wmh", {"training": splits["training"]}, tmp_path / "r", ["gdl"], [0], SMALL)


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
