"""The medical bundles as a user runs them: what is saved is read back, a killed run goes on, an error is one line."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import permutations
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from matplotlib.image import imread
from monai.data import MetaTensor
from monai.transforms import SaveImage

from monai_boundary.bundles.models import ModelSettings, make_network, saved_network, saved_settings
from monai_boundary.bundles.running import reason_of
from monai_boundary.bundles.volumes import WholeNiftiWriter, cases_to_predict
from monai_boundary.datasets import write_volume
from tests.bundles.running import QUIET, bundle, killed_run_goes_on, last_state, refusal, run_page

pytest.importorskip("tensorboard", reason="tensorboard is not installed")
# MONAI, Ignite and TensorBoard, not this package
pytestmark = pytest.mark.filterwarnings("ignore")

SMALL = ["--network_def#channels", "[4,8,8,8]", "--patch_size", "[16,16,8]"]


@pytest.fixture
def data(lesion_dataset: Callable[[int], Path]) -> Path:
    return lesion_dataset(2)


@pytest.fixture
def trained(data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder that one epoch of training leaves, in a folder where nothing else is."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    bundle("wmh_boundary", "train", "--dataset_dir", data, "--num_workers", 0, *SMALL, "--max_epochs", 1)
    return tmp_path / "work" / "wmh_boundary"


# Saved with the model, read back


def test_evaluation_and_inference_need_nothing_of_the_training_and_refuse_what_differs(
    trained: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert [path.name for path in trained.parent.iterdir()] == ["wmh_boundary"]
    settings = saved_settings(trained / "models" / "model.pt")
    assert (settings["network"]["channels"], settings["network"]["in_channels"]) == ([4, 8, 8, 8], 2)
    assert (settings["pixdim"], settings["patch_size"]) == ([1.0, 1.0, 3.0], [16, 16, 8])
    assert (settings["channels"], settings["labels"]["ignore"]) == (["FLAIR", "T1"], 2)
    there = ["--dataset_dir", data, "--num_workers", 0]
    bundle("wmh_boundary", "evaluate", *there)
    assert (trained / "eval" / "val_dice_raw.csv").read_text().count("\n") == 3
    bundle("wmh_boundary", "inference", *there)
    assert sorted(path.name for path in (trained / "predictions").iterdir()) == ["p2.nii.gz", "p3.nii.gz"]
    one, other = (nib.load(folder / "p2.nii.gz") for folder in (trained / "predictions", data / "labels"))
    assert one.shape == other.shape
    np.testing.assert_allclose(one.affine, other.affine, atol=1e-4)
    for split, names in (("training", ["p0", "p1"]), ("validation", ["p2", "p3"])):
        bundle("wmh_boundary", "inference", *there, "--split", split, "--output_dir", trained / split)
        assert sorted(path.name for path in (trained / split).iterdir()) == [f"{name}.nii.gz" for name in names]
    same = [(trained / folder / "p2.nii.gz").read_bytes() for folder in ("predictions", "validation")]
    assert same[0] == same[1]
    for images in (data, data / "p2_0000.nii.gz"):  # no data set is read
        bundle("wmh_boundary", "inference", "--images", images, "--output_dir", trained / "other", "--num_workers", 0)
        assert (trained / "other" / "p2.nii.gz").read_bytes() == same[0]
    assert len(list((trained / "other").iterdir())) == 4
    for config in ("inference", "evaluate"):
        for option, value, text in (
            ("--pixdim", "[1,1,1]", r"pixdim must be \[1\.0, 1\.0, 3\.0\] as in the training of .*model\.pt, got \[1"),
            ("--network_def#channels", "[8,8,8,8]", r"channels must be \[4, 8, 8, 8\] as in the training of"),
        ):
            assert re.match(text, refusal("wmh_boundary", config, *there, option, value))


def test_a_network_of_slices_is_read_back_as_one(data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    there = ["--dataset_dir", data, "--num_workers", 0]
    patch = ["--network_def#channels", "[4,8,8,8]", "--patch_size", "[16,16,1]"]
    bundle("wmh_boundary", "train", "slices_2d", *there, *patch, "--max_epochs", 1)
    assert saved_settings("wmh_boundary/models/model.pt")["network"]["spatial_dims"] == 2
    bundle("wmh_boundary", "evaluate", *there)
    bundle("wmh_boundary", "inference", *there)
    found = nib.load("wmh_boundary/predictions/p3.nii.gz")
    assert found.shape == nib.load(data / "labels" / "p3.nii.gz").shape


def test_settings_of_another_version_or_of_none_are_said(tmp_path: Path) -> None:
    network = make_network("UNet", spatial_dims=2, in_channels=1, out_channels=2, channels=[2, 4], strides=(2,))
    state = ModelSettings(network, pixdim=[1.0, 2.0]).state_dict()
    path = tmp_path / "model.pt"
    torch.save({"model": network.state_dict(), "settings": state | {"version": "0.0.1"}}, path)
    with pytest.warns(UserWarning, match=r"trained by monai-boundary 0\.0\.1, this is"):
        again = saved_network(path, strides=[2])
    assert {key: value.shape for key, value in again.state_dict().items()} == {
        key: value.shape for key, value in network.state_dict().items()
    }
    torch.save({"model": network.state_dict()}, path)
    with pytest.raises(ValueError, match="must hold the settings of its training, got none"):
        saved_settings(path)
    torch.save({"settings": ModelSettings(torch.nn.Conv2d(1, 1, 1)).state_dict()}, path)
    with pytest.raises(ValueError, match=r"must say what network it is of, got none; pass network_def"):
        saved_network(path)
    with pytest.raises(ValueError, match=r"network_def#name must be a network of monai\.networks\.nets.*got 'os'"):
        make_network("os")


def test_images_are_grouped_into_cases_of_the_right_channels(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    write_volume(folder / "a_0000.nii.gz", np.zeros((4, 8, 8), np.float32), (1.0, 1.0, 1.0))
    write_volume(folder / "b.nii.gz", np.zeros((4, 8, 8), np.float32), (1.0, 1.0, 1.0))
    nib.save(nib.Nifti1Image(np.zeros((8, 8, 4, 2), np.float32), np.eye(4)), folder / "c.nii.gz")
    names = ["FLAIR", "T1"]
    found = cases_to_predict("nowhere", ["T1"], images=folder / "b.nii.gz")
    assert [(case.case, len(case.image)) for case in found] == [("b", 1)]
    assert cases_to_predict("nowhere", names, images=folder / "c.nii.gz")[0].case == "c"
    text = r"a must have 2 channels as in training \(FLAIR, T1\), got 1 in a_0000\.nii\.gz; name its files a_0000"
    with pytest.raises(ValueError, match=text):
        cases_to_predict("nowhere", names, images=folder)
    with pytest.raises(FileNotFoundError, match=r"datalist must be the list .*run monai-boundary convert first"):
        cases_to_predict(tmp_path / "datalist.json", names)
    with pytest.raises(ValueError, match=r"split must be one that .* has cases of, training, validation, got 'test'"):
        cases_to_predict(data / "datalist.json", names, "test")
    with pytest.raises(ValueError, match=r"images must be a folder with \.nii\.gz"):
        cases_to_predict("nowhere", names, images=tmp_path)
    with pytest.raises(FileNotFoundError, match=r"missing\.nii\.gz does not exist"):
        cases_to_predict("nowhere", names, images=folder / "missing.nii.gz")
    (folder / "b.nii.gz").write_text("text")
    with pytest.raises(ValueError, match=r"b\.nii\.gz must be a NIfTI file, got"):
        cases_to_predict("nowhere", ["T1"], images=folder / "b.nii.gz")


@pytest.mark.parametrize(
    ("files", "channels"),
    [
        (["MS_0007.nii.gz", "MS_0012.nii.gz"], 2),  # two patients
        (["MS_0007.nii.gz"], 1),
        (["pat_0000.nii.gz", "pat_0002.nii.gz"], 2),  # 0001 is lost
        (["p_0000.nii", "p_0000.nii.gz"], 2),  # one channel twice
        (["p.nii", "p.nii.gz"], 2),
        (["p.nii.gz", "p_0000.nii.gz"], 2),
    ],
)
def test_numbers_that_are_not_those_of_the_channels_are_refused(
    files: list[str], channels: int, tmp_path: Path
) -> None:
    for file in files:
        write_volume(tmp_path / file, np.zeros((4, 8, 8), np.float32), (1.0, 1.0, 1.0))
    for images in (tmp_path, tmp_path / files[0]):
        with pytest.raises(ValueError, match=rf"got {', '.join(files)}; name the files of a case .*_0000\.nii\.gz"):
            cases_to_predict("nowhere", ["FLAIR", "T1"][:channels], images=images)


# A run that is killed


@pytest.mark.cli
def test_a_killed_training_goes_on_by_the_same_command_to_the_same_bits(data: Path, tmp_path: Path) -> None:
    share = "{'_target_':'monai_boundary.GradientShare','end':0.3}"
    state = killed_run_goes_on("wmh_boundary", data, tmp_path, *SMALL, "--batch_size", 1, "--schedule", share)
    assert state["loss"]["balance.norms"].all()


def test_a_finished_run_can_be_made_longer_and_not_be_another(
    trained: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["wmh_boundary", "train", "--dataset_dir", data, "--num_workers", 0, *SMALL]
    best = (trained / "models" / "model.pt").read_bytes()
    bundle(*command, "--max_epochs", 1)
    assert "has 1 epochs and is finished; --max_epochs makes it longer" in capsys.readouterr().out
    assert (trained / "models" / "model.pt").read_bytes() == best
    text = refusal(*command, "--max_epochs", 2, "--patch_size", "[8,8,8]")
    assert re.match(r"patch_size must be \[16, 16, 8\] as in the run that .*training\.pt goes on", text)
    for option, value in (("fold", 1), ("preset", "published")):  # would train on what was held out; half of each
        text = refusal(*command, "--max_epochs", 2, f"--{option}", value)
        assert re.match(rf"{option} must be .* as in the run that .* got {value}; .* in another ckpt_dir", text)
    text = refusal("wmh_boundary", "evaluate", "--dataset_dir", data, "--num_workers", 0, "--fold", 1)
    assert re.match(r"fold must be 0 as in the training of .*model\.pt, got 1", text)  # scores what it was trained on
    bundle(*command, "--max_epochs", 2, "--val_interval", 2)
    assert last_state(trained / "models")[0] == 2
    best_epoch = torch.load(trained / "models" / "training.pt", weights_only=True)["best"][1]
    assert ((trained / "models" / "model.pt").read_bytes() == best) == (best_epoch == 1)
    (trained / "models" / "training.pt").write_bytes(best)
    assert "training.pt must be the state of a training, got another" in refusal(*command, "--max_epochs", 3)


def test_a_training_does_not_go_on_with_other_cases(trained: Path, data: Path) -> None:
    again = ["wmh_boundary", "train", "--dataset_dir", data, "--num_workers", 0, *SMALL, "--max_epochs"]
    assert b"p0.nii.gz" not in (trained / "models" / "model.pt").read_bytes()  # it is given to others
    datalist = (data / "datalist.json").read_text()
    (data / "labels" / "p0.nii.gz").rename(data / "labels" / "q0.nii.gz")
    (data / "datalist.json").write_text(datalist.replace("labels/p0", "labels/q0"))
    for epochs in (1, 2):
        text = refusal(*again, epochs)
        assert re.match(r"cases of training must be the 2 of the run .*training\.pt goes on with, got 2: without "
                        r"p0\.nii\.gz, and with q0\.nii\.gz instead; pass the same dataset_dir", text)  # fmt: skip
    path = trained / "models" / "training.pt"
    content = torch.load(path, weights_only=True)
    del content["cases"]  # as an earlier version wrote it
    torch.save(content, path)
    assert "learning rates must be {'optimizer': [0.001]} as in the run" in refusal(*again, 2, "--optimizer#lr", 0.01)
    bundle(*again, 2)
    assert last_state(trained / "models")[0] == 2


def test_a_training_shorter_than_its_interval_of_validations_leaves_a_model(data: Path, tmp_path: Path) -> None:
    given = ["--dataset_dir", data, "--bundle_root", tmp_path, "--num_workers", 0, *SMALL]
    bundle("wmh_boundary", "train", *given, "--max_epochs", 2, "--val_interval", 5)
    assert last_state(tmp_path / "models")[0] == 2
    assert (tmp_path / "models" / "model.pt").is_file()


def test_curves_are_drawn_and_written_for_tensorboard(trained: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert imread(trained / "models" / "boundary.png").shape[1] == 960
    events = sorted((trained / "models").glob("events.*"))
    tags: set[str] = set()
    for file in events:
        tags |= set(EventAccumulator(str(file)).Reload().Tags()["scalars"])
    assert {"train_loss", "alpha", "region_term", "boundary_term", "val_dice"} <= tags
    log = last_state(trained / "models")[1][0]["log"]
    assert len(log["alpha"]) == len(log["foreground_true"]) == 1
    assert 0 < log["foreground_true"][0][0] < 1


# The command


def test_the_laptop_setting_trains(data: Path, tmp_path: Path) -> None:
    there = ["--dataset_dir", data, "--num_workers", 0, "--bundle_root", tmp_path]
    bundle("wmh_boundary", "train", "small", *there, "--max_epochs", 1)
    assert saved_settings(tmp_path / "models" / "model.pt")["network"]["channels"] == [8, 16, 32, 64]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["wmh_boundary"], "configurations must be of evaluate, inference, multi_gpu_train, slices_2d, small, train"),
        (["wmh_boundary", "predict"], "or files, got predict; such as train"),
        (["brats", "train"], "name must be one of buildings_boundary_f1"),
        (["wmh_boundary", "train", "--max_epoch", "3"], "--max_epoch must be an entry of train.json, got none of this "
         "name; did you mean --max_epochs?"),
        (["wmh_boundary", "train", "--max_epochs"], "--max_epochs must be followed by its value, got nothing"),
        (["wmh_boundary", "train", "--dataset_dir", "nowhere", "--bundle_root", "r"],
         "datalist must be the list of cases, got none at nowhere/datalist.json; run monai-boundary convert first"),
        (["wmh_boundary", "inference", "--dataset_dir", "nowhere", "--bundle_root", "r"],
         "r/models/model.pt must be a file of weights, got none; train first, or check the path"),
    ],
)  # fmt: skip
def test_an_error_is_the_last_line(
    run, arguments: list[str], text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("bundle", "run", *arguments, *(QUIET if len(arguments) > 3 else []))
    assert result.exit_code == 2
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("error: "), result.stderr[-500:]
    assert text in last
    assert "Traceback" not in result.output


def test_the_reason_is_that_of_the_process_that_failed() -> None:
    worker = RuntimeError("Caught ValueError in DataLoader worker process 0.\nOriginal Traceback (most recent call "
                          "last):\n  File x\nValueError: labels must be 0 or 1, got 7\n")  # fmt: skip
    assert reason_of(worker) == "labels must be 0 or 1, got 7"
    inner, outer = ValueError("alpha must be > 0"), RuntimeError("applying transform <x>")
    outer.__cause__ = inner
    assert reason_of(outer) == "alpha must be > 0"
    ours = ValueError("f must be a file")
    ours.__cause__ = OSError("zip")
    assert reason_of(ours) == "f must be a file"
    assert reason_of(KeyError("id='a' is not found")) == "id='a' is not found"


@pytest.mark.parametrize("name", ["wmh_boundary", "isles_boundary"])
def test_the_commands_of_the_page_run_from_an_empty_folder(
    name: str, lesion_dataset: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data = lesion_dataset(2 if name == "wmh_boundary" else 5)
    (data / "labels").rename(data / "labelsTr")
    text = (data / "datalist.json").read_text()
    (data / "datalist.json").write_text(text.replace('"labels/', '"labelsTr/'))
    assert run_page(name, data, tmp_path / "empty", monkeypatch, *SMALL, "--num_workers", 0, "--max_epochs", 1) == 4
    assert (Path(name) / "scores" / "report.html").is_file()


@pytest.mark.parametrize("order", [*permutations(range(3))])
def test_predictions_are_written_in_whatever_order_the_axes_are_stored(order, tmp_path: Path) -> None:
    affine = np.eye(4)
    affine[:3, :3] = np.diag([1.0, 1.0, 3.0])[:, order]
    affine[:3, 3] = 5, -4, 3
    labels = torch.randint(0, 2, (1, *np.array([6, 7, 3])[[*order]]))
    image = MetaTensor(labels, affine=torch.tensor(affine), meta={"filename_or_obj": "a.nii.gz"})
    options = {"output_postfix": "", "separate_folder": False, "print_log": False}
    SaveImage(tmp_path, output_dtype="uint8", writer=WholeNiftiWriter, resample=False, **options)(image)
    written = nib.load(tmp_path / "a.nii.gz")
    np.testing.assert_allclose(written.affine, affine)
    np.testing.assert_array_equal(np.asarray(written.dataobj), labels[0])
    assert written.get_data_dtype() == np.uint8
