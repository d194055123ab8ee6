"""`monai-boundary reproduce` on phantoms."""

import json

import pytest

from monai_boundary.cli.reproduce import _SETTINGS
from monai_boundary.datasets.datalist import write_datalist
from monai_boundary.protocols import SETTINGS
from tests.cli.calling import assert_fails

# MONAI and Ignite, not this package
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


def test_the_command_runs_and_prints_the_table(splits, tmp_path, run):
    write_datalist(tmp_path / "datalist.json", splits)
    out = tmp_path / "out"
    result = run("reproduce", "wmh", "--data", tmp_path, "-o", out, "--quick", "--settings", "gdl")
    assert result.exit_code == 0, result.stderr
    assert "| wmh | gdl | - | 2 | 1 |" in result.stdout
    assert (out / "curves.png").stat().st_size > 10_000
    assert json.loads((out / "results.jsonl").read_text())["preset"] == "published"


def test_the_command_refuses_data_of_another_challenge(splits, tmp_path, run):
    write_datalist(tmp_path / "datalist.json", splits)
    assert_fails(run("reproduce", "isles", "--data", tmp_path), "must hold cases of 3 or 5 channels for isles, got [2]")


def test_the_settings_of_the_command_are_those_of_the_protocol():
    assert tuple(SETTINGS) == _SETTINGS
