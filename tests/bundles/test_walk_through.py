"""The walk-through of aerial images, from an empty folder, as printed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import torch

from monai_boundary.cli import main

pyogrio = pytest.importorskip("pyogrio", reason="polygons need pyogrio, the extra remote")
PAGE = (Path(__file__).resolve().parents[2] / "docs" / "remote.md").read_text()


@pytest.mark.filterwarnings("ignore")  # MONAI and Ignite, not this package
def test_the_walk_through_of_aerial_images_runs_as_printed(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    section = re.search(r"^## From your images.*?(?=^## )", PAGE, re.MULTILINE | re.DOTALL)[0]
    (code,), (commands,) = (re.findall(rf"```{kind}\n(.*?)```", section, re.DOTALL) for kind in ("python", "bash"))
    exec(compile(code, "remote.md", "exec"), {})  # noqa: S102
    for command in commands.splitlines():
        words = shlex.split(command)
        assert words[0] == "monai-boundary"
        main(words[1:], standalone_mode=False)
    towns = [f"town_{number}" for number in range(4)]
    assert "wrote 4 masks with 4 polygons to masks" in capsys.readouterr().out
    assert sorted(path.stem for path in Path("buildings_boundary_f1/predictions").iterdir()) == towns
    assert sorted(path.name for path in Path("polygons").glob("*.gpkg")) == [f"{town}.gpkg" for town in towns]
    facts = pyogrio.read_info("polygons/town_3.gpkg")
    assert (facts["crs"], list(facts["fields"])) == ("EPSG:25833", ["area_m2", "mean_probability"])
    assert len(torch.load("buildings_boundary_f1/models/model.pt")["settings"]["white"]) == 3
    assert len(Path("scores/cases.csv").read_text().splitlines()) == 5
