"""Predictions as GeoTIFFs: whole or not there, in the place of their tile, in the codes of its masks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from monai_boundary.datasets.remote import MaskCodes, inria_tiles, potsdam_tiles
from monai_boundary.inference import TileInferer, predict_tile
from tests.datasets.remote import files

SMALL = TileInferer(16)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return files.write(tmp_path / "in.tif", files.image(3, (300, 41)))


def identity(batch: torch.Tensor) -> torch.Tensor:
    return batch


def test_the_file_lies_where_the_tile_lies_and_is_tiled_and_compressed(source: Path, tmp_path: Path) -> None:
    path = predict_tile(source, tmp_path / "out.tif", identity, SMALL)
    with files.rasterio.open(path) as file:
        assert (file.crs.to_epsg(), file.transform) == (32633, files.PLACE)
        assert (file.count, file.dtypes, file.shape) == (1, ("uint8",), (300, 41))
        assert file.profile["tiled"]
        assert file.compression.name == "deflate"
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == ["out.tif"]


def test_a_large_file_is_cloud_optimised_and_has_overviews_of_its_own_labels(tmp_path: Path) -> None:
    values = np.kron(files.image(1, (60, 70), 1)[0] % 2, np.ones((16, 16), np.uint8))
    source = files.write(tmp_path / "in.tif", values * 255)
    for output, codes in (("labels", MaskCodes({0: 0, 255: 1})), ("values", None)):
        path = predict_tile(
            source, tmp_path / f"{output}.tif", lambda batch: batch / 255, TileInferer(512), output, codes
        )
        with files.rasterio.open(path) as file:
            assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
            assert file.overviews(1) == [2, 4, 8]
            small = file.read(1, out_shape=(120, 140))
        truth = values[4::8, 4::8]
        assert set(np.unique(small)) == ({0, 255} if codes else {0, 1})
        np.testing.assert_array_equal(small > 0.5, truth > 0)


def test_a_tile_without_georeference_gives_a_file_without(tmp_path: Path) -> None:
    source = files.write(tmp_path / "in.tif", files.image(), place=None)
    path = predict_tile(source, tmp_path / "out.tif", identity, SMALL)
    with files.without_georeference_warning(), files.rasterio.open(path) as file:
        assert file.crs is None
        assert file.transform.is_identity


def test_labels_are_the_largest_class_or_above_the_threshold(source: Path, tmp_path: Path) -> None:
    values = files.image(3, (300, 41))
    path = predict_tile(source, tmp_path / "many.tif", identity, SMALL)
    np.testing.assert_array_equal(files.read(path)[0], values.argmax(0))
    path = predict_tile(source, tmp_path / "one.tif", lambda batch: batch[:, 1:2], SMALL, threshold=100)
    np.testing.assert_array_equal(files.read(path)[0], values[1] > 100)


def test_labels_are_stored_in_the_codes_of_the_masks(tmp_path: Path) -> None:
    tile = inria_tiles(files.inria(tmp_path))[0]
    truth = files.read(tile.mask)
    path = predict_tile(tile.mask, tmp_path / "inria.tif", lambda batch: batch / 255, SMALL, codes=tile.codes)
    np.testing.assert_array_equal(files.read(path), truth)
    tile = potsdam_tiles(files.potsdam(tmp_path / "potsdam"), "rgbir_dsm")[0]
    path = predict_tile(tile.layers, tmp_path / "potsdam.tif", lambda batch: batch[:, :5], SMALL, codes=tile.codes)
    values = files.image(0, channels=4).astype(np.float32)
    labels = np.concatenate([values, values[:1] / 7]).argmax(0)
    np.testing.assert_array_equal(files.read(path), files.colours(labels))


def test_a_module_predicts_in_evaluation_mode_and_trains_on(source: Path, tmp_path: Path) -> None:
    network = torch.nn.Dropout()  # the identity in evaluation mode
    path = predict_tile(source, tmp_path / "out.tif", network, TileInferer(32, overlap=0.6), output="values")
    np.testing.assert_array_equal(files.read(path), files.image(3, (300, 41)))
    assert network.training


@pytest.mark.parametrize("cause", ["network", "file", "user"])
def test_a_run_that_fails_leaves_what_was_there(cause: str, source: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.tif"
    target.write_bytes(b"old")
    errors = {"network": RuntimeError, "file": ValueError, "user": KeyboardInterrupt}
    calls = []

    def network(batch: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        if len(calls) == 20 and cause != "file":
            raise errors[cause]
        return batch

    if cause == "file":
        source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    with pytest.raises(errors[cause]):
        predict_tile(source, target, network, SMALL, overwrite=True)
    assert target.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.tif", "out.tif"]


FULL = """
import resource, signal, sys
from monai_boundary.inference import TileInferer, predict_tile
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
for limit in sys.argv[3:]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), resource.RLIM_INFINITY))
    try:
        predict_tile(sys.argv[1], sys.argv[2], lambda batch: batch.sin(), TileInferer(16), output="values")
    except OSError as error:
        print("refused:", error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="file sizes are limited on POSIX systems only")
def test_a_full_disk_is_told_even_when_it_fills_up_at_the_last_byte(source: Path, tmp_path: Path) -> None:
    """GDAL writes the last blocks when the file is closed, and is silent about errors then."""
    whole = predict_tile(source, tmp_path / "whole.tif", lambda batch: batch.sin(), SMALL, output="values")
    limits = [str(int(whole.stat().st_size * share)) for share in (0.3, 0.9, 0.999)]
    target = tmp_path / "out.tif"
    child = subprocess.run(
        [sys.executable, "-c", FULL, source, target, *limits], capture_output=True, text=True, check=True
    )
    assert child.stdout.count(f"refused: {target} must be written whole, got: ") == 3
    assert child.stdout.count("; check the free space and the permissions") == 3
    assert not [path for path in tmp_path.iterdir() if "out" in path.name]


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"target": "in.tif", "overwrite": True}, ValueError, "target must not be a file of the source, got .*in.tif"),
        ({"target": "there.tif"}, FileExistsError, "there.tif must not exist yet; choose another name or pass"),
        ({"target": "no/out.tif"}, FileNotFoundError, "folder of target must exist, got .*no; make it first"),
        ({"source": "gone.tif"}, FileNotFoundError, "gone.tif does not exist; check the path"),
        ({"output": "probs"}, ValueError, "output must be one of 'labels', 'values', got 'probs'"),
        ({"threshold": "half"}, TypeError, "threshold must be a number, got str"),
        ({"output": "values", "codes": MaskCodes({0: 0})}, ValueError, "codes must be None for output='values'"),
        ({"codes": MaskCodes({0: 0, 255: 1})}, ValueError, r"labels must be of \[0, 1\], got \[2\] at \d+ pixels"),
        ({"network": lambda batch: batch[:, :1].repeat(1, 300, 1, 1)}, ValueError, "at most 256 classes .* got 300"),
    ],
)  # fmt: skip
def test_unusable_arguments_are_refused(options: dict, kind, message: str, source: Path, tmp_path: Path) -> None:
    (tmp_path / "there.tif").write_bytes(b"x")
    settings = {"network": identity, "inferer": SMALL} | options
    paths = {
        name: tmp_path / settings.pop(name, default) for name, default in (("source", "in.tif"), ("target", "o.tif"))
    }
    with pytest.raises(kind, match=message):
        predict_tile(**paths, **settings)
    assert not [path for path in tmp_path.iterdir() if path.name not in ("in.tif", "there.tif")]
