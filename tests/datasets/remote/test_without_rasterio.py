"""Without the extra: tiles are listed, and reading says what to install."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from monai_boundary.datasets.remote import TileReader, TileWindows, inria_tiles
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
