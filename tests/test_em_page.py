"""The walk-through of docs/em.md, as printed there and in an empty folder."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from monai_boundary import cli

PAGE = (Path(__file__).parents[1] / "docs" / "em.md").read_text()


def section(title: str) -> list[tuple[str, str]]:
    """Language and text of the blocks of a section, in order."""
    text = PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    return re.findall(r"```(\w*)\n(.*?)```", text, flags=re.DOTALL)


@pytest.mark.filterwarnings("ignore")  # of MONAI and Ignite
def test_volumes_beyond_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    pytest.importorskip("zarr", minversion="3", reason="zarr 3 is not installed")
    monkeypatch.chdir(tmp_path)
    shown = section("Volumes beyond memory")
    assert [language for language, _ in shown] == ["python", "", "python"]
    names: dict = {}
    for language, text in shown:
        if language:
            exec(compile(text, "em.md", "exec"), names)  # noqa: S102
            continue
        for line in text.replace("\\\n", "").strip().splitlines():
            program, *words = shlex.split(line)
            assert program == "monai-boundary"
            done = CliRunner().invoke(cli.main, words)
            assert done.exit_code == 0, done.output
    result = names["result"]
    assert (result.spacing, result.image.shape) == ((10.0, 10.0, 10.0), (48, 64, 64))
    assert (names["ids"] > 0).all()
    assert 0 <= float(capsys.readouterr().out.split()[-1]) < 10


def test_objects_across_slices(capsys: pytest.CaptureFixture) -> None:
    ((_, text),) = section("Objects across slices")
    exec(compile(text, "em.md", "exec"), {})  # noqa: S102
    assert capsys.readouterr().out.strip() == "[[1, 1, 0, 2, 2], [1, 1, 0, 0, 0], [1, 1, 0, 3, 3]]"
