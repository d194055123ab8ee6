"""The bundle for aerial tiles: its parts, and its configurations from a download to GeoTIFFs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import ConfigWorkflow
from monai.networks.nets import FlexibleUNet
from torch import nn

from monai_boundary.bundles import bundle_folder
from monai_boundary.bundles.aerial import TilePredictor, folder_tiles, predict_tiles, tiles_of_split
from monai_boundary.bundles.checkpoints import load_weights
from monai_boundary.bundles.models import ModelSettings, make_network, saved_settings
from monai_boundary.bundles.running import reason_of
from monai_boundary.datasets.remote import Layer, Tile, inria_tiles, potsdam_tiles
from monai_boundary.inference import TileInferer
from tests.bundles.running import bundle, killed_run_goes_on, refusal, run_page, run_workflow, weights_of_two_ranks
from tests.datasets.remote import files

CONFIGS = bundle_folder("buildings_boundary_f1") / "configs"
# MONAI and Ignite, not this package
pytestmark = pytest.mark.filterwarnings("ignore")

# Parts


def test_named_tiles_validate_and_no_longer_train(tmp_path: Path) -> None:
    tiles = potsdam_tiles(files.potsdam(tmp_path))
    names = {split: [tile.name for tile in tiles_of_split(tiles, split, ["potsdam_7_9"])]
             for split in ("training", "validation", "test")}  # fmt: skip
    assert names == {"training": ["potsdam_2_10"], "validation": ["potsdam_7_9"], "test": ["potsdam_2_13"]}
    inria = inria_tiles(files.inria(tmp_path / "inria"))
    assert [tile.name for tile in tiles_of_split(inria, "validation")] == ["austin1", "austin5", "tyrol-w1", "tyrol-w5"]


def test_the_shipped_validation_tiles_are_training_tiles_of_potsdam(tmp_path: Path) -> None:
    names = json.loads((CONFIGS / "potsdam.json").read_text())["validation_tiles"]
    places = [f"{r}_{c}" for r in range(2, 8) for c in (10, 11, 12)] + [f"{r}_{c}" for r in (6, 7) for c in (7, 8, 9)]
    tiles = [Tile(f"potsdam_{place}", (Layer(tmp_path),), None, "training") for place in places]
    assert len(tiles_of_split(tiles, "validation", names)) == len(names) == 5


@pytest.mark.parametrize(
    ("split", "validation", "message"),
    [
        ("validation", (), "some of the split 'validation', got those of test, training"),
        ("training", ("potsdam_2_13",), "validation must name training tiles, got potsdam_2_13; choose others"),
    ],
)
def test_a_split_without_tiles_is_refused(split: str, validation: tuple, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        tiles_of_split(potsdam_tiles(files.potsdam(tmp_path)), split, validation)


def test_every_geotiff_of_a_folder_is_a_tile(tmp_path: Path) -> None:
    for name in ("b.tif", "a.TIFF", ".hidden.tif"):
        files.write(tmp_path / name, files.image())
    assert [(tile.name, tile.mask, tile.split) for tile in folder_tiles(tmp_path)] == [
        ("a", None, "test"), ("b", None, "test")
    ]  # fmt: skip
    with pytest.raises(ValueError, match=r"folder must be an image or a folder of them \(\.tif, .*\), got none in"):
        folder_tiles(tmp_path / "nowhere")


def state(module: nn.Module) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in module.state_dict().items()}


def network(seed: int, backbone: str = "efficientnet-b0") -> FlexibleUNet:
    torch.manual_seed(seed)
    return FlexibleUNet(3, 1, backbone)


def equal(one: dict, other: dict) -> bool:
    keys = [key for key in one if "fc." not in key]
    return all(torch.equal(one[key], other[key]) for key in keys)


def test_weights_of_the_network_or_of_its_encoder_alone_are_loaded(tmp_path: Path) -> None:
    saved, path = network(1), tmp_path / "weights.pt"
    for content in (state(saved), {"model": state(saved)}, {f"module.{key}": v for key, v in state(saved).items()}):
        torch.save(content, path)
        fresh = network(2)
        assert not equal(state(fresh), state(saved))
        assert load_weights(fresh, path) == "network"
        assert equal(state(fresh), state(saved))
    torch.save(state(saved.encoder), path)
    fresh = network(2)
    before = state(fresh.decoder)
    assert load_weights(fresh, path) == "encoder"
    assert equal(state(fresh.encoder), state(saved.encoder))
    assert equal(state(fresh.decoder), before)
    assert load_weights(fresh, None) == "nothing"


def test_torchvisions_resnet_fits_and_gives_its_features(tmp_path: Path) -> None:
    models = pytest.importorskip("torchvision.models")
    theirs, ours = models.resnet50(weights=None).eval(), network(0, "resnet50").eval()
    old = {key: value for key, value in theirs.state_dict().items() if "num_batches" not in key}  # before torch 0.4.1
    torch.save(old, tmp_path / "resnet50.pth")
    assert load_weights(ours, tmp_path / "resnet50.pth") == "encoder"
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        expected = theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1(image))))
        for layer in (theirs.layer1, theirs.layer2, theirs.layer3, theirs.layer4):
            expected = layer(expected)
        torch.testing.assert_close(ours.encoder(image)[-1], expected)


def resnet34() -> dict:
    return pytest.importorskip("torchvision.models").resnet34(weights=None).state_dict()  # with other shortcuts


@pytest.mark.parametrize(
    ("content", "backbone", "text"),
    [
        (b"not weights", "resnet18", r"weights\.pt must be a file that torch\.save wrote, got: "),
        ([1, 2], "resnet18", "must hold a state dictionary of tensors, got list"),
        (lambda: state(network(0)), "resnet18",
         r"the network: \d+ tensors missing, .*; the encoder: \d+ tensors missing, .*; set "),
        (lambda: state(FlexibleUNet(4, 1, "resnet18")), "resnet18",
         r"the network: 1 tensors of another shape, such as encoder\.conv1\.weight;"),
        (resnet34, "resnet34", r"the encoder: 15 tensors unknown, such as layer2\.0\.downsample"),
    ],
)  # fmt: skip
def test_weights_that_do_not_fit_are_refused(content, backbone: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    fresh = network(2, backbone)
    before = state(fresh)
    with pytest.raises(FileNotFoundError, match=r"weights\.pt must be a file of weights, got none; train first"):
        load_weights(fresh, path)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content() if callable(content) else content, path)
    with pytest.raises(ValueError, match=text):
        load_weights(fresh, path)
    assert equal(before, state(fresh))


def test_a_predictor_scales_as_training_does() -> None:
    predictor = TilePredictor(nn.Conv2d(3, 1, 1), [1.0, 2.0, 3.0], [2.0, 4.0, 8.0])
    batch = torch.rand(2, 3, 5, 6) * 9
    scaled = torch.stack([(batch[:, i] - (i + 1)) / 2 ** (i + 1) for i in range(3)], dim=1)
    torch.testing.assert_close(predictor(batch), torch.sigmoid(predictor.network(scaled)))
    with pytest.raises(ValueError, match="tiles must have 3 channels as in training, got 4"):
        predictor(torch.rand(1, 4, 5, 6))


class Bright(nn.Module):
    """Building where the first channel exceeds 127; counts its calls."""

    calls = 0

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return (batch[:, :1] > 127).float()


def test_a_prediction_run_goes_on_where_it_was_broken_off(tmp_path: Path, capsys) -> None:
    tiles = inria_tiles(files.inria(tmp_path))[:2]
    net, inferer = Bright(), TileInferer(16, overlap=0)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / f"{tiles[0].name}.tif").write_bytes(b"earlier")
    paths = predict_tiles(tiles, net, tmp_path / "out", inferer, progress=False)
    assert "kept 1 prediction of an earlier run" in capsys.readouterr().out
    assert paths[0].read_bytes() == b"earlier"
    first = files.read(tiles[1].layers[0].path)[0]
    np.testing.assert_array_equal(files.read(paths[1])[0], (first > 127) * 255)
    calls = net.calls
    predict_tiles(tiles, net, tmp_path / "out", inferer, overwrite=True, progress=False)
    assert net.calls == 3 * calls
    values = predict_tiles(tiles, net, tmp_path / "values", inferer, "values", progress=False)
    np.testing.assert_array_equal(files.read(values[1])[0], first > 127)


def test_polygons_come_with_their_probabilities_and_without_predicting_again(tmp_path: Path) -> None:
    pyogrio = pytest.importorskip("pyogrio", reason="GeoPackages need pyogrio, the extra remote")
    tiles, net, inferer = inria_tiles(files.inria(tmp_path))[:2], Bright(), TileInferer(16, overlap=0)
    options = {"output_dir": tmp_path / "out", "inferer": inferer, "progress": False}
    paths = predict_tiles(tiles, net, output="polygons", simplify=0, **options)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        f"austin{number}{ending}" for number in (36, 6) for ending in (".gpkg", ".tif")
    ]
    image, calls = files.read(tiles[0].layers[0].path)[0], net.calls
    areas = pyogrio.raw.read(paths[0])[3][0]
    assert sum(areas) == pytest.approx((image > 127).sum() * 0.3**2 / 0.9996**2, rel=1e-5)
    paths[0].unlink()
    predict_tiles(tiles, net, output="polygons", threshold=0.9, **options)
    assert net.calls == calls
    predict_tiles(tiles, net, output="polygons", overwrite=True, **options)
    assert net.calls == 2 * calls
    predict_tiles(tiles, net, tmp_path / "labels", inferer, progress=False)
    with pytest.raises(ValueError, match=r"austin6.tif must hold probabilities .* got 1 of uint8"):
        predict_tiles(tiles, net, tmp_path / "labels", inferer, "polygons", progress=False)


# Configurations

SHAPE = (64, 96)
TINY = {"_target_": "UNet", "spatial_dims": 2, "in_channels": 3, "out_channels": 1, "channels": [4, 8], "strides": [2]}


def building_tile(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Image and labels: a bright block on dark ground."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(SHAPE, np.uint8)
    row, column = rng.integers(4, 30), rng.integers(4, 50)
    labels[row : row + 24, column : column + 30] = 1
    return np.clip(60 + 120 * labels + rng.normal(0, 15, (3, *SHAPE)), 0, 255).astype(np.uint8), labels


@pytest.fixture
def inria(tmp_path: Path) -> Path:
    folder = tmp_path / "AerialImageDataset"
    for number in (1, 6, 7):
        image, labels = building_tile(number)
        files.write(folder / "train" / "images" / f"austin{number}.tif", image)
        files.write(folder / "train" / "gt" / f"austin{number}.tif", labels * 255)
    files.write(folder / "test" / "images" / "sfo1.tif", building_tile(8)[0])
    return tmp_path


@pytest.fixture
def potsdam(tmp_path: Path) -> Path:
    for number, place in enumerate(("2_10", "7_8", "2_13")):
        image, labels = building_tile(number)
        files.write(tmp_path / "2_Ortho_RGB" / f"top_potsdam_{place}_RGB.tif", image)
        coloured = files.colours(labels)  # buildings are class 1
        coloured[:, :3] = 0
        files.write(tmp_path / "5_Labels_all_noBoundary" / f"top_potsdam_{place}_label_noBoundary.tif", coloured)
    return tmp_path


def run(data: Path, root: Path, *names: str, kind: str = "train", **changes) -> ConfigWorkflow:
    settings = {"bundle_root": str(root), "dataset_dir": str(data), "window": 64, **changes}
    if kind == "train":
        settings = {"num_workers": 0, "batch_size": 2, "max_epochs": 1} | settings
    return run_workflow(CONFIGS, names, kind, settings)


def test_the_bundle_trains_evaluates_and_predicts_inria(inria: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    run(inria, root, "train.json", max_epochs=2)
    assert (root / "models" / "model.pt").is_file()
    done = run(inria, root, "train.json", "evaluate.json")
    metrics = done.parser.get_parsed_content("validate#evaluator").state.metrics
    assert (root / "eval" / "val_iou_boundary_f1_raw.csv").is_file()
    run(inria, root, "inference.json", kind="infer", augment="dihedral")
    assert [path.name for path in (root / "predictions").iterdir()] == ["austin1.tif"]
    with files.rasterio.open(root / "predictions" / "austin1.tif") as file:
        assert (file.crs.to_epsg(), file.transform, file.shape) == (32633, files.PLACE, SHAPE)
        assert set(np.unique(file.read())) <= {0, 255}
    run(inria, root, "inference.json", kind="infer", split="test", output="values", augment="none")
    values = files.read(root / "predictions" / "sfo1.tif")
    assert values.dtype == np.float32
    assert 0 <= values.min() < values.max() <= 1
    assert {"val_iou", "val_iou_boundary_f1", "val_iou_boundary_precision", "val_iou_boundary_recall"} <= set(metrics)


def test_validation_and_prediction_see_the_same_picture(inria: Path, tmp_path: Path) -> None:
    """Scaling and network of inference.json are those of train.json."""
    root = tmp_path / "root"
    trained = run(inria, root, "train.json", subtrahend=[90.0, 100.0, 110.0], divisor=[40.0, 50.0, 60.0])
    scores = trained.parser.get_parsed_content("validate#evaluator").state.metrics
    run(inria, root, "inference.json", kind="infer", output="values", augment="none", overlap=0.0)
    net, both, either = trained.parser.get_parsed_content("network").eval(), 0, 0
    windows = list(trained.parser.get_parsed_content("validate#dataset"))
    with torch.no_grad():
        probs = [torch.sigmoid(net(item["image"][None]))[0, 0] for item in windows]
    for prob, item in zip(probs, windows, strict=True):
        both += int(((prob > 0.5) & (item["label"][0] == 1)).sum())
        either += int(((prob > 0.5) | (item["label"][0] == 1)).sum())
    assert scores["val_iou"] == pytest.approx(both / either, abs=1e-3)
    predicted = files.read(root / "predictions" / "austin1.tif")[0]
    # columns that one window alone covers
    torch.testing.assert_close(torch.from_numpy(predicted[:, :32]), probs[0][:, :32], atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.from_numpy(predicted[:, 64:]), probs[1][:, 32:], atol=1e-5, rtol=0)


def test_the_bundle_learns_and_is_the_same_from_one_seed(inria: Path, tmp_path: Path) -> None:
    settings = {"max_epochs": 25, "val_interval": 25, "schedule": {"_target_": "monai_boundary.Increase", "start": 0.1,
                "end": 0.5}, "network_def": TINY, "optimizer#lr": 0.03}  # fmt: skip
    scores = []
    for name in ("one", "two"):
        done = run(inria, tmp_path / name, "train.json", **settings)
        scores.append(done.parser.get_parsed_content("validate#evaluator").state.metrics)
        trainer = done.parser.get_parsed_content("train#trainer")
        assert trainer.state.metrics["alpha"] == pytest.approx(0.5)
    assert scores[0] == scores[1]
    assert scores[0]["val_iou"] > 0.7
    states = [torch.load(tmp_path / name / "models" / "model.pt")["model"] for name in ("one", "two")]
    assert equal(*states)


def test_the_bundle_trains_on_potsdam_without_class_borders(potsdam: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    changes = {"boundaries": "no_boundary", "validation_tiles": ["potsdam_7_8"]}
    done = run(potsdam, root, "train.json", "potsdam.json", **changes)
    assert 255 in np.asarray(done.parser.get_parsed_content("train#dataset")[0]["label"])
    assert np.isfinite(done.parser.get_parsed_content("validate#evaluator").state.metrics["val_iou"])
    run(potsdam, root, "inference.json", "potsdam.json", kind="infer", split="test", **changes)
    found = files.read(root / "predictions" / "potsdam_2_13.tif")
    assert found.shape == (1, *SHAPE)
    assert set(np.unique(found)) <= {0, 255}


def test_the_weight_is_searched_for_as_the_paper_does(inria: Path, tmp_path: Path) -> None:
    changes = {"max_epochs": 3, "search#first": 1, "search#every": 2, "search#candidates": [0.2, 0.8]}
    done = run(inria, tmp_path / "root", "train.json", "weight_search.json", network_def=TINY, **changes)
    (decided,) = done.parser.get_parsed_content("search").rounds
    assert decided.weights == (0.2, 0.8)
    assert len(decided.scores) == 2
    assert done.parser.get_parsed_content("loss").alpha == decided.weights[decided.best]
    assert (tmp_path / "root" / "models" / "model.pt").is_file()
    for path in list(inria.rglob("austin7.tif")):
        path.rename(path.with_name("austin8.tif"))
    with pytest.raises(Exception, match="Failed to evaluate") as caught:
        run(inria, tmp_path / "root", "train.json", "weight_search.json", network_def=TINY, **changes)
    assert "cases of training must be the 2 of the run" in reason_of(caught.value)


def test_images_of_a_folder_are_predicted_without_a_download(inria: Path, tmp_path: Path) -> None:
    small = make_network("UNet", **{name: value for name, value in TINY.items() if name != "_target_"})
    scaling = {"white": "type", "subtrahend": [120.0] * 3, "divisor": [60.0] * 3}
    settings = ModelSettings(small, bands=None, window=64, **scaling)
    torch.save({"model": state(small), "settings": settings.state_dict()}, tmp_path / "model.pt")
    files.write(tmp_path / "own" / "town.tif", building_tile(3)[0])
    run(
        tmp_path / "own", tmp_path, "inference.json", "folder.json", kind="infer", checkpoint=str(tmp_path / "model.pt")
    )
    assert [path.name for path in (tmp_path / "predictions").iterdir()] == ["town.tif"]
    changes = {"checkpoint": str(tmp_path / "model.pt"), "output": "polygons", "simplify": 2.0, "threshold": 0.4}
    run(tmp_path / "own", tmp_path, "inference.json", "folder.json", kind="infer", output_dir=str(tmp_path / "o"),
        **changes)  # fmt: skip
    assert sorted(path.name for path in (tmp_path / "o").iterdir()) == ["town.gpkg", "town.tif"]


def test_four_bands_of_own_ranges_are_measured_and_read_back(tmp_path: Path) -> None:
    """Inference sees the picture of the training, with nothing said twice."""
    for number in (1, 2, 3):
        image, labels = building_tile(number)
        deep = np.concatenate(
            [image * np.uint16(9) + 300, image[:2] * np.uint16(40)]
        )  # five bands, of which four count
        files.write(tmp_path / "images" / f"own_{number}.tif", deep)
        files.write(tmp_path / "masks" / f"own_{number}.tif", labels)
    options = {"masks": str(tmp_path / "masks"), "bands": [4, 3, 2, 1], "validation_tiles": ["own_1"]}
    images, root = tmp_path / "images", tmp_path / "root"
    done = run(images, root, "train.json", "folder.json", percentiles=[2, 98], **options)
    saved = torch.load(root / "models" / "model.pt")["settings"]
    assert saved["bands"] == [4, 3, 2, 1]
    some = np.concatenate([files.read(images / f"own_{n}.tif")[3::-1, ::2].reshape(4, -1) for n in (2, 3)], 1)
    np.testing.assert_allclose(saved["white"], np.percentile(some, [2, 98], axis=1).T, rtol=0.02)
    assert done.parser.get_parsed_content("network").encoder._conv_stem.in_channels == 4
    score = done.parser.get_parsed_content("validate#evaluator").state.metrics["val_iou"]
    again = run(images, root, "train.json", "folder.json", "evaluate.json", masks=options["masks"])
    assert again.parser.get_parsed_content("validate#evaluator").state.metrics["val_iou"] == pytest.approx(score)
    text = refusal("buildings_boundary_f1", "evaluate", "folder", "--dataset_dir", images, "--masks", options["masks"],
                   "--bundle_root", root, "--validation_tiles", "['own_2']")  # fmt: skip
    assert text.startswith("validation_tiles must be ['own_1'] as in the training of")  # that tile trained
    run(images, root, "inference.json", "folder.json", kind="infer", output="values", augment="none", overlap=0.0)
    found = files.read(root / "predictions" / "own_1.tif")[0]
    item = done.parser.get_parsed_content("validate#dataset")[0]
    network = done.parser.get_parsed_content("network").eval()
    with torch.no_grad():
        expected = torch.sigmoid(network(item["image"][None]))[0, 0].numpy()
    np.testing.assert_allclose(found[:, :32], expected[:, :32], atol=1e-5)


@pytest.mark.cli
def test_two_processes_train_with_one_weight_and_one_network(inria: Path, tmp_path: Path) -> None:
    settings = {"window": 64, "max_epochs": 2, "val_interval": 2, "batch_size": 2, "schedule__epochs": 1}
    assert weights_of_two_ranks("buildings_boundary_f1", inria, tmp_path, **settings) == [[1.0, 0.0], [0.9, 0.1]]


@pytest.mark.cli
def test_a_killed_training_goes_on_by_the_same_command_to_the_same_bits(inria: Path, tmp_path: Path) -> None:
    small = ["--window", 64, "--epoch_length", 2, "--batch_size", 1, "--schedule#epochs", 1]
    found = killed_run_goes_on("buildings_boundary_f1", inria, tmp_path, *small)
    assert found["lr_scheduler"]["last_epoch"] == 4
    assert found["log"]["alpha"] == pytest.approx([0.0, 0.1, 0.3, 0.5])
    assert 0 < found["log"]["foreground_true"][-1][0] < 1
    assert (tmp_path / "broken" / "models" / "boundary.png").stat().st_size > 10_000
    assert list((tmp_path / "broken" / "models").glob("events.*"))


def test_a_small_network_is_read_back_as_it_was_trained(inria: Path, tmp_path: Path) -> None:
    there = ["--dataset_dir", inria, "--bundle_root", tmp_path]
    scaled = ["--subtrahend", "[90,100,110]", "--divisor", "[40,50,60]"]
    given = ["--num_workers", 0, "--max_epochs", 1, "--window", 64, "--epoch_length", 1]
    bundle("buildings_boundary_f1", "train", "small", *there, *given, *scaled)
    kept = saved_settings(tmp_path / "models" / "model.pt")
    assert (kept["network"]["channels"], kept["window"], kept["subtrahend"]) == ([8, 16, 32, 64], 64, [90, 100, 110])
    bundle("buildings_boundary_f1", "evaluate", *there, "--num_workers", 0)
    bundle("buildings_boundary_f1", "inference", *there)
    first = (tmp_path / "predictions" / "austin1.tif").read_bytes()
    bundle("buildings_boundary_f1", "inference", *there, *scaled, "--overwrite", True)
    assert (tmp_path / "predictions" / "austin1.tif").read_bytes() == first
    for config in ("evaluate", "inference"):
        text = refusal("buildings_boundary_f1", config, *there, "--subtrahend", "[1,2,3]")
        assert text.startswith("subtrahend must be [90, 100, 110] as in the training of")


def test_the_commands_of_the_page_run_from_an_empty_folder(
    inria: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = ["--num_workers", 0, "--max_epochs", 1, "--window", 64, "--epoch_length", 1]
    data = inria / "AerialImageDataset"
    assert run_page("buildings_boundary_f1", data, tmp_path / "empty", monkeypatch, *small) == 4
    assert (Path("buildings_boundary_f1") / "scores" / "report.html").is_file()
