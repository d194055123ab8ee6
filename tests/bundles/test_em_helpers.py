"""The parts of the bundle for electron microscopy: choosing slices, predicting volumes, scoring them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from monai_boundary.bundles.checkpoints import saved_threshold
from monai_boundary.bundles.em_items import LikelihoodPredictor, crop_that_fits, items_of_split
from monai_boundary.bundles.em_prediction import predict_volumes
from monai_boundary.bundles.em_scores import evaluate_volumes
from monai_boundary.datasets.em import Stored, cremi_volumes, isbi2012_volumes
from monai_boundary.inference.volume_files import IDS_KEY, LIKELIHOOD_KEY
from monai_boundary.metrics import LikelihoodSegmentation, instance_scores
from tests.browser import assert_page_works
from tests.datasets.em import files

h5py = pytest.importorskip("h5py", reason="h5py is not installed")


def places(items) -> list[tuple[str, int]]:
    return sorted((volume.image.path.name, z) for volume, low, high in items.data for z in range(low, high))


@pytest.mark.parametrize("dims", [2, 3])
def test_each_slice_validates_in_one_fold_and_trains_in_the_others(cremi: Path, dims: int) -> None:
    volumes = cremi_volumes(cremi)
    all_slices = [("sample_A_20160501.hdf", z) for z in range(6)]
    seen = []
    for fold in range(3):
        held, rest = (places(items_of_split(volumes, split, dims, fold)) for split in ("validation", "training"))
        assert not set(held) & set(rest)
        assert sorted(held + rest) == all_slices
        seen += held
    assert sorted(seen) == all_slices
    assert len(places(items_of_split(volumes, "validation", dims, 0, 2))) == 3
    assert places(items_of_split(volumes, "test", dims)) == [("sample_A+_20160601.hdf", z) for z in range(2)]
    assert len(places(items_of_split(volumes, "all", dims))) == 8


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"split": "validation", "fold": 3}, r"fold must lie in \[0, folds\) with folds >= 2, got fold 3 of 3"),
        ({"split": "training", "folds": 1}, "got fold 0 of 1"),
        ({"split": "train"}, "split must be one of 'training', 'validation', 'test', 'all', got 'train'"),
        ({"split": "test", "target": "membrane"}, r"must have labels .*, got none for sample_A\+"),
        ({"split": "training", "target": "cells"}, "target must be one of 'membrane', 'ids', got 'cells'"),
        ({"split": "training", "dims": 4}, "spatial_dims must be one of 2, 3, got 4"),
    ],
)
def test_choices_that_are_none_are_refused(cremi: Path, settings: dict, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        items_of_split(cremi_volumes(cremi), **settings)


def test_volumes_without_the_split_or_without_ids_are_told(tmp_path: Path) -> None:
    volumes = isbi2012_volumes(files.write_isbi2012(tmp_path))
    with pytest.raises(ValueError, match="some of the split 'test', got those of training, validation; only"):
        items_of_split(volumes, "test")
    with pytest.raises(
        ValueError, match="target must be 'membrane' for volumes with masks, got 'ids' for isbi2012_000"
    ):
        items_of_split(volumes, "validation", target="ids")


@pytest.mark.parametrize(
    ("size", "strides", "text"),
    [
        ([40, 48], [2, 2], r"square within slices, a multiple of \(4, 4\) voxels .*, got \(40, 48\)"),
        ([42, 42], [2, 2], r"a multiple of \(4, 4\) voxels"),
        ([8, 8], [2, 4], r"and larger than that for this network, got \(8, 8\)"),
        ([2, 18, 18], [[1, 2, 2], [2, 2, 2]], r"a multiple of \(2, 4, 4\) voxels"),
        ([64, 64], [2, 2], r"fit into sample_A, \(56, 48\) voxels, got \(64, 64\); pass --crop_size \"\[48, 48\]\""),
        ([8, 32, 32], [2, 2], r"fit into sample_A, \(6, 56, 48\) voxels, got .*; pass --crop_size \"\[4, 32, 32\]\""),
        ([16, 32, 32], [8], r"got \(16, 32, 32\); it is too small for this network"),
    ],
)
def test_a_crop_that_does_not_fit_is_refused(cremi: Path, size: list, strides: list, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        crop_that_fits(size, cremi_volumes(cremi / "sample_A_20160501.hdf"), strides)


def test_a_crop_of_the_whole_slice_fits(cremi: Path) -> None:
    volumes = cremi_volumes(cremi / "sample_A_20160501.hdf")
    assert crop_that_fits((48, 48), volumes, [2, 2, 2]) == [48, 48]
    assert crop_that_fits([6, 48, 48], volumes, [[1, 2, 2], [2, 2, 2]]) == [6, 48, 48]


def test_the_threshold_is_that_of_the_file_unless_given(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save({"model": {}, "validation": {"threshold": 0.3}}, path)
    assert (saved_threshold(path), saved_threshold(path, 0.7)) == (0.3, 0.7)
    with pytest.raises(ValueError, match="threshold must"):
        saved_threshold(path, 1.5)
    torch.save({"model": {}}, path)
    with pytest.raises(ValueError, match=r"model.pt must hold the threshold .*, got none; pass --threshold 0.5"):
        saved_threshold(path)
    with pytest.raises(FileNotFoundError, match=r"absent\.pt must be a file of weights, got none"):
        saved_threshold(tmp_path / "absent.pt")


class Dark(nn.Module):
    """Membrane where the image is dark."""

    def __init__(self, level: float = 110.0) -> None:
        super().__init__()
        self.level = level

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return (self.level - batch) / 20


def predictor(network: nn.Module | None = None) -> LikelihoodPredictor:
    return LikelihoodPredictor(network or Dark(), dict, lambda image, net: net(image))


def expected(image: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp((image.astype(np.float32) - 110) / 20))


def test_slices_get_ids_of_their_own_and_volumes_one_set(cremi: Path, tmp_path: Path) -> None:
    volumes = cremi_volumes(cremi)
    segment = LikelihoodSegmentation(0.4)
    for dims, out in ((2, tmp_path / "slices"), (3, tmp_path / "volumes")):
        predict_volumes(items_of_split(volumes, "validation", dims, 1), predictor(), out, segment, progress=False)
        (path,) = out.iterdir()
        assert path.name == "sample_A_002-003.hdf"
        likelihood, ids = (Stored(path, key).read() for key in (LIKELIHOOD_KEY, IDS_KEY))
        truth = expected(files.cells()[0][2:4])
        np.testing.assert_allclose(likelihood, truth, atol=1e-5)
        if dims == 3:
            np.testing.assert_array_equal(ids, segment(likelihood))
        else:
            for z in range(2):
                np.testing.assert_array_equal(ids[z] > 0, likelihood[z] <= 0.4)
                assert len(np.unique(ids[z])) == segment(likelihood[z]).max() + 1
            assert not set(np.unique(ids[0])) & set(np.unique(ids[1])) - {0}
        with h5py.File(path) as file:
            assert file[IDS_KEY].attrs["offset"].tolist() == [80.0, 0.0, 0.0]
            assert file[IDS_KEY].attrs["per_slice"] == (dims == 2)


@pytest.mark.parametrize("origin", [None, (400.0, 40.0, 80.0)])
def test_padded_images_are_predicted_where_their_labels_lie(tmp_path: Path, origin) -> None:
    image, ids = files.cells()
    path = tmp_path / "sample_B_padded_20160501.hdf"
    offset = tuple(np.add(origin or 0.0, (40.0, 16.0, 8.0)))
    files.write_cremi(path, ids[:3, :40, :40], image, origin=origin, offset=offset)
    predict_volumes(items_of_split(cremi_volumes(path), "all"), predictor(), tmp_path, progress=False)
    found = Stored(tmp_path / "sample_B.hdf", LIKELIHOOD_KEY).read()
    np.testing.assert_allclose(found, expected(image[1:4, 4:44, 2:42]), atol=1e-5)
    with h5py.File(tmp_path / "sample_B.hdf") as file:
        assert file[LIKELIHOOD_KEY].attrs["offset"].tolist() == list(offset)


def test_predictions_are_not_overwritten_unasked(cremi: Path, tmp_path: Path, capsys) -> None:
    items = items_of_split(cremi_volumes(cremi), "test")
    (tmp_path / "sample_A+.hdf").write_bytes(b"earlier")
    predict_volumes(items, predictor(), tmp_path, progress=False)
    assert "kept 1 volume of an earlier run" in capsys.readouterr().out
    assert (tmp_path / "sample_A+.hdf").read_bytes() == b"earlier"
    predict_volumes(items, predictor(), tmp_path, formats=["hdf5", "tiff"], overwrite=True, progress=False)
    assert (
        Stored(tmp_path / "sample_A+.hdf", IDS_KEY).shape == Stored(tmp_path / "sample_A+_ids.tif").shape == (2, 56, 48)
    )


def test_a_network_that_returns_nan_leaves_no_file(cremi: Path, tmp_path: Path) -> None:
    items = items_of_split(cremi_volumes(cremi), "test")
    with pytest.raises(ValueError, match="network must return finite values"):
        predict_volumes(items, predictor(Dark(float("nan"))), tmp_path / "out", progress=False)
    assert not list((tmp_path / "out").glob("*"))


@pytest.mark.parametrize(("dims", "target"), [(2, "membrane"), (2, "ids"), (3, "ids")])
def test_tables_hold_the_scores_of_each_volume_and_their_mean(tmp_path: Path, dims: int, target: str, capsys) -> None:
    for name, seed in (("A", 0), ("B", 20)):
        image, ids = files.cells(seed=seed)
        files.write_cremi(tmp_path / f"sample_{name}.hdf", ids, image)
    items = items_of_split(cremi_volumes(tmp_path), "validation", dims, target=target)
    out = tmp_path / "eval"
    summary = evaluate_volumes(items, predictor(), 0.35, out, target, thresholds=(0.2,), progress=False)
    by_volume: dict[str, list] = {}
    for item in items:
        truth = item[target][0] if target == "ids" else LikelihoodSegmentation()(item["membrane"][0])
        found = LikelihoodSegmentation(0.35)(expected(item["image"][0]))
        by_volume.setdefault(item["case"], []).append(instance_scores(found, truth))
    means = {name: np.mean([one.cremi_score for one in scores]) for name, scores in by_volume.items()}
    scores, sweep, each = (pd.read_csv(out / f"{name}.csv") for name in ("scores", "thresholds", "items"))
    assert scores.volume.tolist() == ["sample_A_000-001", "sample_B_000-001", "mean"]
    assert set(scores.scored) == {"mean of slices" if dims == 2 else "volume"}
    expected_scores = [*means.values(), np.mean(list(means.values()))]
    assert scores.cremi_score.tolist() == pytest.approx(expected_scores, abs=1e-6)
    assert summary["mean"]["cremi_score"] == pytest.approx(scores.cremi_score.iloc[-1])
    assert sweep.threshold[sweep.volume == "mean"].tolist() == [0.2, 0.35, 0.5]
    assert summary["mean_at_0.5"]["voi_split"] == pytest.approx(sweep.voi_split.iloc[-1])
    assert len(each) == 3 * len(items)
    assert json.loads((out / "summary.json").read_text()) == summary
    assert "threshold 0.35" in capsys.readouterr().out
    page = (out / "report.html").read_text()
    assert page.count("<img") == 1 + page.count(": VOI merge ") >= 1


def test_the_report_shows_the_worst_leaks_and_works_in_a_browser(tmp_path: Path) -> None:
    image, ids = files.cells()
    files.write_cremi(tmp_path / "sample_A.hdf", ids, image)
    items = items_of_split(cremi_volumes(tmp_path), "all", target="membrane")
    evaluate_volumes(items, predictor(), 0.9, tmp_path / "out", thresholds=(0.2,), progress=False, worst=2)
    each = pd.read_csv(tmp_path / "out" / "items.csv")
    worst = each[each.threshold == 0.9].sort_values("voi_merge", ascending=False).first_slice.tolist()
    page = (tmp_path / "out" / "report.html").read_text()
    assert re.findall(r"from slice (\d+): VOI merge", page) == [str(number) for number in worst[:2]]
    assert_page_works(tmp_path / "out" / "report.html", tmp_path, pictures=3)


def test_shards_predict_every_volume_once_and_as_one_run_does(tmp_path: Path) -> None:
    image, ids = files.cells()
    for letter, shift in zip("ABC", (0, 7, 19), strict=True):
        files.write_cremi(tmp_path / f"sample_{letter}.hdf", ids, np.roll(image, shift, axis=1))
    items = items_of_split(cremi_volumes(tmp_path), "all")
    whole = predict_volumes(items, predictor(), tmp_path / "whole", progress=False)
    found = [
        path.name
        for shard in ("1/2", "2/2", "7/9")
        for path in predict_volumes(items, predictor(), tmp_path / "shards", progress=False, shard=shard)
    ]
    assert found == ["sample_A.hdf", "sample_C.hdf", "sample_B.hdf"]
    for path in whole:
        for key in (IDS_KEY, LIKELIHOOD_KEY):
            pair = [Stored(one, key).read() for one in (path, tmp_path / "shards" / path.name)]
            np.testing.assert_array_equal(*pair)
    with pytest.raises(ValueError, match=r"shard must be I/N with I from 1 to N, such as 3/8, got '4/3'"):
        predict_volumes(items, predictor(), tmp_path / "shards", progress=False, shard="4/3")
