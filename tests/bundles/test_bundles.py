"""The shipped bundles: their text is harmless and complete, and they run as MONAI runs them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser

from monai_boundary.bundles import bundle_folder, list_bundles
from monai_boundary.evaluation import EvaluationSettings, evaluate_folder
from tests.bundles.running import start, weights_of_two_ranks
from tests.cli.calling import assert_fails

CHANNELS = {"wmh_boundary": 2, "isles_boundary": 5}  # the others have files of their own
CONFIGS = sorted(path for name in list_bundles() for path in bundle_folder(name).glob("configs/*.json"))
FORBIDDEN = ("$import", "lambda", "__", "eval(", "exec(", "compile(", "open(", "os.", "sys.", "subprocess", "getattr")
ALLOWED = ("monai.", "torch.", "ignite.", "monai_boundary.", "operator.lt")
# MONAI's documented mandatory fields; its schema file is on the network
METADATA = {
    "schema", "version", "changelog", "monai_version", "pytorch_version", "numpy_version", "required_packages_version",
    "task", "description", "authors", "copyright", "network_data_format",
}  # fmt: skip
TENSOR = {
    "type", "format", "num_channels", "spatial_shape", "dtype", "value_range", "is_patch_data", "channel_def"
}  # fmt: skip


def entries(value: object, key: str = ""):
    """Every text inside a configuration with its key, and every key with itself."""
    for name, item in value.items() if isinstance(value, dict) else ((key, one) for one in value):
        yield name, name
        if isinstance(item, str):
            yield name, item
        elif isinstance(item, dict | list):
            yield from entries(item, name)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: f"{path.parents[1].name}/{path.name}")
def test_configuration_holds_no_code(path: Path) -> None:
    for key, text in entries(json.loads(path.read_text())):
        if text.startswith("$"):
            assert not [word for word in FORBIDDEN if word in text], text
        if key == "_target_" != text:  # short names are found in MONAI only
            assert text.startswith(ALLOWED) or re.fullmatch(r"[A-Z]\w+", text), text


@pytest.mark.parametrize("name", list_bundles())
def test_metadata_is_complete_and_names_this_package(name: str) -> None:
    content = json.loads((bundle_folder(name) / "configs" / "metadata.json").read_text())
    assert content.keys() >= METADATA
    assert re.fullmatch(r"\d+\.\d+\.\d+", content["version"])
    assert "monai-boundary" in content["required_packages_version"]
    formats = content["network_data_format"]
    assert formats.keys() == {"inputs", "outputs"}
    assert all(tensor.keys() >= TENSOR for side in formats.values() for tensor in side.values())
    image = formats["inputs"]["image"]
    train = json.loads((bundle_folder(name) / "configs" / "train.json").read_text())
    named = train.get("subtrahend") or train.get("channels")  # one of each channel
    channels = len(named) if named else train["network_def"]["in_channels"]
    expected = {**CHANNELS, "buildings_boundary_f1": 3, "em_boundary_aware": 1}[name]
    assert image["num_channels"] == len(image["channel_def"]) == channels == expected


@pytest.mark.parametrize("name", list_bundles())
def test_what_sets_weights_stands_before_what_ranks_cut_off(name: str) -> None:
    read = lambda file: json.loads((bundle_folder(name) / "configs" / file).read_text())  # noqa: E731
    train = read("train.json")["train"]
    listed = [train[one.partition("#")[2]] if isinstance(one, str) else one for one in train["handlers"]]
    handlers = [handler["_target_"].rpartition(".")[2] for handler in listed]
    assert handlers[:3] == ["RestoreLabelHandler", "AlphaScheduleHandler", "LossTermsHandler"]
    # MONAI's model zoo cuts the last two
    assert "AlphaScheduleHandler" in handlers[:-2]
    cut = read("multi_gpu_train.json")["train#trainer#train_handlers"]["first_rank_only"]
    assert handlers[len(handlers) - cut :] == ["StatsHandler", "TensorBoardStatsHandler"][:cut]


def test_wmh_patches_are_not_centred_on_what_the_loss_ignores() -> None:
    config = ConfigParser(json.loads((bundle_folder("wmh_boundary") / "configs" / "train.json").read_text()))
    config["patch_size"] = [4, 4, 4]
    config["train"]["random_transforms"][0]["num_samples"] = 200
    config.parse()
    crop = config.get_parsed_content("train#random_transforms#0").set_random_state(0)
    label = torch.zeros(1, 16, 16, 16)
    label[0, 2, 2, 2], label[0, 6:, 6:, 6:] = 1, 2
    patches = [patch["label"] for patch in crop({"image": label, "label": label, "distance_map": label})]
    assert 80 < sum(bool((patch == 1).any()) for patch in patches) < 130


# Running


SMALL = {"network_def__channels": [4, 8, 8, 8], "patch_size": [16, 16, 8]}
SHORT = {"max_epochs": 1, "val_interval": 1}


@pytest.mark.cli
@pytest.mark.parametrize("name", CHANNELS)
def test_bundle_trains_evaluates_and_predicts(name: str, lesion_dataset, tmp_path: Path) -> None:
    data, root = lesion_dataset(CHANNELS[name]), tmp_path / "root"
    start(name, data, root, "train.json", **SMALL, **SHORT)
    assert (root / "models" / "model.pt").is_file()
    assert "val_dice_lesion_f1" in start(name, data, root, "train.json", "evaluate.json")
    assert (root / "eval" / "val_dice_hd95_mm_raw.csv").is_file()
    start(name, data, root, "inference.json")
    predictions = sorted((root / "predictions").iterdir())
    for path, number in zip(predictions, (2, 3), strict=True):
        truth, found = nib.load(data / "labels" / f"p{number}.nii.gz"), nib.load(path)
        assert found.shape == truth.shape
        np.testing.assert_allclose(found.affine, truth.affine, atol=1e-4)
    scored = evaluate_folder(root / "predictions", data / "labels", EvaluationSettings("wmh"), progress=False)
    assert [row.case for row in scored.rows] == ["p2", "p3"]
    assert scored.without_prediction == ["p0", "p1"]


@pytest.mark.cli
@pytest.mark.parametrize("name", CHANNELS)
def test_two_processes_train_with_one_alpha_and_one_network(name: str, lesion_dataset, tmp_path: Path) -> None:
    settings = SMALL | {"max_epochs": 2, "val_interval": 2, "batch_size": 1}
    found = weights_of_two_ranks(name, lesion_dataset(CHANNELS[name]), tmp_path, **settings)
    regions, alphas = zip(*found, strict=True)
    assert regions == (1.0, 1.0)
    assert 0 < alphas[0] < alphas[1] < 10


# The command


def test_the_command_lists_and_copies(run, tmp_path: Path) -> None:
    listed = run("bundle", "list")
    assert listed.exit_code == 0
    assert all(name in listed.stdout for name in CHANNELS)
    assert run("bundle", "copy", "wmh_boundary", tmp_path).exit_code == 0
    copied = tmp_path / "wmh_boundary"
    source = bundle_folder("wmh_boundary")
    inside = [{path.relative_to(folder) for path in folder.rglob("*")} for folder in (copied, source)]
    assert inside[0] == inside[1]
    (copied / "configs" / "train.json").write_text("{}")
    (copied / "notes.txt").write_text("mine")
    assert_fails(run("bundle", "copy", "wmh_boundary", tmp_path), copied, "--force")
    assert (copied / "configs" / "train.json").read_text() == "{}"
    assert run("bundle", "copy", "wmh_boundary", tmp_path, "--force").exit_code == 0
    assert len((copied / "configs" / "train.json").read_text()) > 100
    assert (copied / "notes.txt").read_text() == "mine"


def test_the_command_says_where_a_bundle_is_and_refuses_an_unknown_one(run, tmp_path: Path) -> None:
    assert run("bundle", "path", "isles_boundary").stdout == f"{bundle_folder('isles_boundary')}\n"
    names = "buildings_boundary_f1, em_boundary_aware, isles_boundary, wmh_boundary"
    assert_fails(run("bundle", "copy", "brats", tmp_path), f"name must be one of {names}, got 'brats'")
