"""The bundle for electron microscopy runs from a file of CREMI, and from other data sets, to ids and scores."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from monai.bundle import ConfigWorkflow
from scipy.ndimage import binary_dilation
from torch import nn

from monai_boundary.bundles import bundle_folder
from monai_boundary.bundles.checkpoints import load_weights, saved_threshold
from monai_boundary.datasets import membrane_phantom
from monai_boundary.datasets.em import Stored
from monai_boundary.inference.volume_files import IDS_KEY, LIKELIHOOD_KEY
from monai_boundary.metrics import LikelihoodSegmentation
from tests.bundles.running import (
    bundle,
    killed_run_goes_on,
    last_state,
    refusal,
    run_page,
    run_workflow,
    weights_of_two_ranks,
)
from tests.datasets.em import files

h5py = pytest.importorskip("h5py", reason="h5py is not installed")
pytest.importorskip("numba", reason="numba is not installed")

CONFIGS = bundle_folder("em_boundary_aware") / "configs"
# MONAI and Ignite, not this package
pytestmark = pytest.mark.filterwarnings("ignore")


def run(data: Path, root: Path, *names: str, kind: str = "train", **changes) -> ConfigWorkflow:
    settings = {"bundle_root": str(root), "dataset_dir": str(data), "crop_size": [32, 32],
                "network_def#channels": [4, 8, 8, 8], **changes}  # fmt: skip
    if kind == "train":
        settings = {"num_workers": 0, "max_epochs": 2, "warmup": 1} | settings
    return run_workflow(CONFIGS, names, kind, settings)


def test_the_bundle_trains_evaluates_and_predicts_cremi(cremi: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    changes = {"max_epochs": 4, "warmup": 0.5, "val_interval": 1, "optimizer#lr": 0.02}
    done = run(cremi, root, "train.json", fold=1, **changes)
    trained = done.parser.get_parsed_content("train#trainer").state.metrics
    assert (trained["region_weight"], trained["alpha"]) == (1.0, 1.0)
    assert trained["boundary_term"] > 0
    saved = torch.load(root / "models" / "fold_1" / "model.pt", weights_only=True)
    chosen = saved["validation"]["threshold"]
    state = done.parser.get_parsed_content("validate#evaluator").state
    assert state.key_metric_name == "val_slice_cremi_score"
    assert {"val_slice_cremi_score_threshold", "val_slice_cremi_score_voi_merge"} <= set(state.metrics)
    assert state.best_metric <= state.metrics["val_slice_cremi_score"]
    summary_of = run(cremi, root, "train.json", "evaluate.json", fold=1)
    summary = json.loads((root / "eval" / "fold_1" / "summary.json").read_text())
    # What the best checkpoint scored while training it scores when it is loaded again.
    assert (summary["threshold"], summary["items"]) == (chosen, 2)
    assert summary["mean"]["cremi_score"] == pytest.approx(state.best_metric, abs=1e-5)
    run(cremi, root, "inference.json", kind="infer", fold=1, formats=["hdf5", "tiff"])
    path = root / "predictions" / "fold_1" / "sample_A_002-003.hdf"
    likelihood, ids = (Stored(path, key).read() for key in (LIKELIHOOD_KEY, IDS_KEY))
    np.testing.assert_array_equal(ids > 0, likelihood <= chosen)
    items, predict = (summary_of.parser.get_parsed_content(name) for name in ("validate#items", "predictor"))
    for one, item in zip(likelihood, items, strict=True):
        np.testing.assert_allclose(one, predict(item), atol=1e-5)
    run(cremi, root, "inference.json", kind="infer", fold=1, split="test", threshold=0.5)
    assert Stored(path.with_name("sample_A+.hdf"), IDS_KEY).shape == (2, 56, 48)


def test_the_bundle_trains_and_scores_where_somebody_labelled(tmp_path: Path) -> None:
    image, ids = files.cells()
    ids = ids.astype(np.uint64)
    ids[:, :, 30:] = np.uint64(2**64 - 3)
    files.write_cremi(tmp_path / "sample_A_20160501.hdf", ids, image)
    for target in ("membrane", "ids"):
        border = 4.0 if target == "ids" else None
        done = run(tmp_path, tmp_path / target, "train.json", max_epochs=1, warmup=0, target=target, border=border)
        assert done.parser.get_parsed_content("train#trainer").state.metrics["boundary_term"] > 0
        assert np.isfinite(done.parser.get_parsed_content("validate#evaluator").state.best_metric)
    item = done.parser.get_parsed_content("train#items")[0]
    assert (item["membrane"][0] == 255).tolist() == (ids[2] == 2**64 - 3).tolist()


def test_crops_turn_with_their_membranes_and_have_seeds_of_their_own(cremi: Path, tmp_path: Path) -> None:
    done = run(cremi, tmp_path, "train.json", max_epochs=1, crops=8, **{"optimizer#lr": 0.0})
    crops = [crop for crops in done.parser.get_parsed_content("train#dataset") for crop in crops]
    assert len(crops) == 32
    for crop in crops:
        assert crop["image"].shape == crop["membrane"].shape == crop["seeds"].shape == (1, 32, 32)
        inside = crop["image"][crop["membrane"] == 0].mean()
        assert crop["image"][crop["membrane"] == 1].mean() < inside - 0.5  # membranes are dark
        assert (crop["membrane"][crop["seeds"] > 0] == 0).all()
        sizes = np.unique(LikelihoodSegmentation()(crop["membrane"][0].numpy()), return_counts=True)[1][1:]
        assert int((crop["seeds"] > 0).sum()) == (sizes >= 20).sum()


def test_the_bundle_trains_on_isbi_2012(tmp_path: Path) -> None:
    data = files.write_isbi2012(tmp_path / "isbi")
    run(data, tmp_path, "train.json", "isbi2012.json", fold=2)
    run(data, tmp_path, "train.json", "isbi2012.json", "evaluate.json", fold=2)
    assert pd.read_csv(tmp_path / "eval" / "fold_2" / "scores.csv").volume[0] == "isbi2012_004-005"
    run(data, tmp_path, "inference.json", "isbi2012.json", kind="infer", fold=2)
    assert (tmp_path / "predictions" / "fold_2" / "isbi2012_004-005.hdf").is_file()


def write_snemi3d(folder: Path) -> None:
    image, ids = files.cells()
    ids[:, 1:][ids[:, 1:] != ids[:, :-1]] = 0
    ids[:, :, 1:][ids[:, :, 1:] != ids[:, :, :-1]] = 0
    for name, array in (("train-input", image), ("train-labels", ids.astype(np.uint16))):
        files.write_tiff(folder / f"{name}.tif", array)


def write_without_attributes(folder: Path) -> None:
    image, ids = files.cells()
    files.write_hdf5(folder / "sample_A.hdf", {"volumes/raw": image, "volumes/labels/neuron_ids": ids})


@pytest.mark.parametrize(
    ("write", "names", "changes"),
    [(write_snemi3d, ["snemi3d.json"], {}), (write_without_attributes, [], {"spacing": [40, 4, 4]})],
)
def test_the_bundle_trains_on_other_files(tmp_path: Path, write, names: list, changes: dict) -> None:
    write(tmp_path)
    run(tmp_path, tmp_path / "root", "train.json", *names, max_epochs=1, warmup=0, **changes)
    assert (tmp_path / "root" / "models" / "fold_0" / "model.pt").is_file()


@pytest.mark.parametrize("slice_axis", [None, 0])
def test_the_bundle_trains_on_volumes(tmp_path: Path, slice_axis: int | None) -> None:
    phantom = membrane_phantom(0, (18, 32, 32), cell_size=16)
    for name, array in (("image", (phantom.image * 255).astype(np.uint8)), ("gt", phantom.ids)):
        files.write_hdf5(tmp_path / f"{name}.h5", {"stack": array})
    settings = {"fold": 1, "crop_size": [4, 32, 32], "network_def#channels": [4, 8], "network_def#strides": [2]}
    done = run(tmp_path, tmp_path, "train.json", "fibsem_3d.json", slice_axis=slice_axis, crops=2, **settings)
    evaluator = done.parser.get_parsed_content("validate#evaluator")
    assert evaluator.state.key_metric_name == "val_volume_cremi_score"
    if slice_axis is None:
        run(tmp_path, tmp_path, "train.json", "fibsem_3d.json", "evaluate.json", **settings)
        row, _ = pd.read_csv(tmp_path / "eval" / "fold_1" / "scores.csv").to_dict("records")
        assert (row["volume"], row["scored"]) == ("gala_006-011", "volume")
        assert row["cremi_score"] == pytest.approx(evaluator.state.best_metric, abs=1e-5)
        run(tmp_path, tmp_path, "inference.json", "fibsem_3d.json", kind="infer", **settings)
        with h5py.File(tmp_path / "predictions" / "fold_1" / "gala_006-011.hdf") as file:
            assert file[IDS_KEY].shape == (6, 32, 32)
            assert file[IDS_KEY].attrs["resolution"].tolist() == [10.0, 10.0, 10.0]
            assert (file[IDS_KEY][()] > 0).all()  # by the watershed
        learnt = done.parser.get_parsed_content("train#items")[0]["membrane"][0].astype(bool)
        np.testing.assert_array_equal(learnt, binary_dilation(phantom.ids[:6] == 0))  # a voxel to each side


def test_the_bundle_learns_and_is_the_same_from_one_seed(cremi: Path, tmp_path: Path) -> None:
    scores = []
    for name in ("one", "two"):
        done = run(cremi, tmp_path / name, "train.json", max_epochs=12, val_interval=12, crops=4,
                   **{"optimizer#lr": 0.01})  # fmt: skip
        scores.append(done.parser.get_parsed_content("validate#evaluator").state.metrics)
    assert scores[0] == scores[1]
    assert scores[0]["val_slice_cremi_score"] < 0.8


def test_weights_of_an_earlier_training_start_another(cremi: Path, tmp_path: Path) -> None:
    run(cremi, tmp_path / "first", "train.json", max_epochs=1)
    weights = tmp_path / "first" / "models" / "fold_0" / "model.pt"
    done = run(cremi, tmp_path / "second", "train.json", weights=str(weights), warmup=0, **{"optimizer#lr": 0.0})
    network = done.parser.get_parsed_content("network_def")
    for key, value in torch.load(weights)["model"].items():
        torch.testing.assert_close(network.state_dict()[key], value)
    with pytest.raises(ValueError, match=r"the weights of this network, got others .*set network_def#channels"):
        load_weights(nn.Conv2d(1, 1, 3), weights)


@pytest.mark.parametrize(
    ("data", "changes", "text"),
    [
        (None, {"fold": 5}, "got fold 5 of 3"),
        ("absent", {}, "absent does not exist; check the path"),
        ("bare", {}, r"of volumes/raw must be > 0 along each axis, got None; pass spacing="),
    ],
)
def test_what_is_wrong_is_told_as_the_reason(cremi: Path, tmp_path: Path, data, changes: dict, text: str) -> None:
    (tmp_path / "bare").mkdir()
    write_without_attributes(tmp_path / "bare")
    folder = tmp_path / data if data else cremi
    with pytest.raises(RuntimeError) as failure:
        run(folder, tmp_path, "train.json", **changes)
    assert re.search(text, str(failure.value.__cause__))  # MONAI's own message comes last


@pytest.mark.cli
def test_two_processes_train_with_one_alpha_and_one_network(cremi: Path, tmp_path: Path) -> None:
    settings = {"crop_size": [32, 32], "network_def__channels": [4, 8, 8, 8], "max_epochs": 2, "warmup": 1,
                "val_interval": 2, "batch_size": 1}  # fmt: skip
    assert weights_of_two_ranks("em_boundary_aware", cremi, tmp_path, **settings) == [[1.0, 0.0], [1.0, 1.0]]
    assert 0 <= saved_threshold(tmp_path / "root" / "models" / "fold_0" / "model.pt") <= 1


@pytest.mark.cli
def test_a_killed_training_goes_on_by_the_same_command_to_the_same_bits(cremi: Path, tmp_path: Path) -> None:
    small = ["--crop_size", "[32,32]", "--network_def#channels", "[4,8,8,8]", "--warmup", 1]
    state = killed_run_goes_on("em_boundary_aware", cremi, tmp_path, *small, models="models/fold_0")
    assert state["lr_scheduler"]["last_epoch"] == 4
    assert state["log"]["alpha"] == [0.0, 1.0, 1.0, 1.0]
    assert all(value > 0 for value in state["log"]["boundary_term"][1:])
    assert 0 < state["log"]["foreground_true"][-1][0] < 1
    assert (tmp_path / "broken" / "models" / "fold_0" / "boundary.png").stat().st_size > 10_000
    assert list((tmp_path / "broken" / "models" / "fold_0").glob("events.*"))


def test_a_small_network_is_read_back_as_it_was_trained(cremi: Path, tmp_path: Path) -> None:
    there = ["--dataset_dir", cremi, "--bundle_root", tmp_path]
    given = ["--num_workers", 0, "--max_epochs", 1, "--crop_size", "[32,32]"]
    bundle("em_boundary_aware", "train", "small", *there, *given)
    folder = tmp_path / "models" / "fold_0"
    assert last_state(folder)[1][0]["network"]["model.0.conv.unit0.conv.weight"].shape[0] == 8
    bundle("em_boundary_aware", "evaluate", *there)
    bundle("em_boundary_aware", "inference", *there)
    assert (tmp_path / "predictions" / "fold_0" / "sample_A_000-001.hdf").is_file()
    text = refusal("em_boundary_aware", "inference", *there, "--network_def#channels", "[4,8,8,8]")
    assert text.startswith("channels must be [8, 16, 32, 64] as in the training of")


def test_the_commands_of_the_page_run_from_an_empty_folder(
    cremi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = ["--num_workers", 0, "--max_epochs", 1, "--crop_size", "[32,32]", "--network_def#channels", "[4,8,8,8]"]
    assert run_page("em_boundary_aware", cremi, tmp_path / "empty", monkeypatch, *small) == 3
    assert (Path("em_boundary_aware") / "eval" / "fold_0" / "report.html").is_file()


def test_evaluation_and_inference_take_the_folds_of_the_training(cremi: Path, tmp_path: Path) -> None:
    run(cremi, tmp_path, "train.json", folds=6, max_epochs=1, warmup=0)
    run(cremi, tmp_path, "train.json", "evaluate.json")
    assert pd.read_csv(tmp_path / "eval" / "fold_0" / "scores.csv").volume[0] == "sample_A_000-000"
    run(cremi, tmp_path, "inference.json", kind="infer")
    assert (tmp_path / "predictions" / "fold_0" / "sample_A_000-000.hdf").is_file()
    there = ["--dataset_dir", cremi, "--bundle_root", tmp_path, "--ckpt_dir", tmp_path / "models" / "fold_0"]
    for option, value, trained in (("fold", 1, 0), ("folds", 3, 6)):
        text = refusal("em_boundary_aware", "evaluate", *there, f"--{option}", value)
        assert re.match(rf"{option} must be {trained} as in the training of .*model\.pt, got {value}", text)


def test_a_longer_run_goes_on_with_the_learning_rates_of_its_new_length(
    cremi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right, seen = torch.optim.Adam.step, []

    def step(self, *args, **given):
        seen.append(self.param_groups[0]["lr"])
        return right(self, *args, **given)

    monkeypatch.setattr(torch.optim.Adam, "step", step)
    for root, length in (("whole", 4), ("longer", 2), ("longer", 4)):
        run(cremi, tmp_path / root, "train.json", max_epochs=length, val_interval=4)
    whole, short, rest = seen[: len(seen) // 2], seen[len(seen) // 2 : -len(seen) // 4], seen[-len(seen) // 4 :]
    assert short[-1] == pytest.approx(0.00025)
    assert rest == pytest.approx(whole[len(whole) // 2 :])
