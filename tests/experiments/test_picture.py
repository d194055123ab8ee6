"""The picture of the first page."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from experiments.picture.draw import picture


def test_the_command_trains_and_draws(tmp_path: Path) -> None:
    file = tmp_path / "a" / "map.png"
    done = CliRunner().invoke(picture, ["--steps", "1", "--picture", str(file)])
    assert done.exit_code == 0, done.output
    assert "Dice of the prediction: 0." in done.output
    assert file.stat().st_size > 10_000
