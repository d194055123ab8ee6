"""Without the extra: tiles are listed, and reading says what to install."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from monai_boundary.datasets.remote import TileReader, TileWindows, inria_tiles, read_polygons
from monai_boundary.inference import predict_tile


def test_without_rasterio_one_line_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "rasterio", None)
    for part in ("images", "gt"):
        (tmp_path / "train" / part).mkdir(parents=True)
        (tmp_path / "train" / part / "austin1.tif").touch()
    tiles = inria_tiles(tmp_path)
    calls = (
        lambda: TileWindows(tiles, 16),
        lambda: TileReader(tiles[0].layers),
        lambda: predict_tile(tiles[0].layers, tmp_path / "out.tif", lambda batch: batch),
    )
    for call in calls:
        with pytest.raises(ImportError, match=r'pip install "monai-boundary\[remote\]"') as caught:
            call()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("module", "what"), [("pyogrio", "vector files need pyogrio"), ("shapely", "polygons need")])
def test_without_readers_of_polygons_one_line_names_the_extra(
    module: str, what: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / "a.gpkg").touch()
    with pytest.raises(ImportError, match=rf'^{what}.*pip install "monai-boundary\[remote\]"$'):
        read_polygons(tmp_path / "a.gpkg")
