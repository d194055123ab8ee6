"""The picture of generalized Dice on patches of real size."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from experiments.dice_scale.gradient import dice_scale, gradient


def test_the_default_does_not_know_the_size_and_monais_fades() -> None:
    for share in (0, 0.3):
        assert gradient(48, share, True) == pytest.approx(gradient(24, share, True), rel=0.1)  # balls of voxels
        assert gradient(48, share, False) < 0.95 * gradient(24, share, False)
        assert gradient(24, share, False) == pytest.approx(gradient(24, share, True), rel=0.1)


def test_the_command_draws_and_prints(tmp_path: Path) -> None:
    done = CliRunner().invoke(dice_scale, ["--sizes", "8,16", "--picture", str(tmp_path / "a" / "scale.png")])
    assert done.exit_code == 0, done.output
    assert "| foreground | generalized Dice | 8^3 | 16^3 |" in done.output
    assert (tmp_path / "a" / "scale.png").stat().st_size > 10_000
