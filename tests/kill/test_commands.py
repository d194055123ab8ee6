"""Commands that end by kill -9 at a step of their work: no file is half, and the same command again finishes.

`precompute-maps` and `WeightSearch` are killed in tests/precompute and tests/weight_search.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

from monai_boundary.datasets import lesion_phantom, write_volume
from tests.datasets.convert import trees
from tests.evaluation.test_compare import write_run
from tests.kill.dying import KILLED, Steps, command, in_child, needs_fork

pytestmark = [pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning"), needs_fork]

POINTS = 8


@pytest.fixture(autouse=True)
def _same_names_in_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else two reports differ in the ids inside their SVG."""
    for settings in (mpl.rcParams, mpl.rcParamsDefault):
        monkeypatch.setitem(settings, "svg.hashsalt", "salt")


def tree(folder: Path) -> dict[str, bytes]:
    """Names and content of what others read."""
    files = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
    return {str(name): path.read_bytes() for name, path in files.items() if not any(p[0] == "." for p in name.parts)}


def evaluate(inputs: Path) -> Callable[[Path, bool], list]:
    for number in range(4):
        one, other = (lesion_phantom(seed, (12, 40, 36)) for seed in (number, number + 2))
        for kind, labels in (("gt", one.labels), ("pred0", other.labels), ("pred1", np.roll(one.labels, 1, 2))):
            write_volume(inputs / kind / f"p{number}.nii.gz", labels, one.spacing)
    return lambda out, again: ["evaluate", inputs / f"pred{again:d}", inputs / "gt", "-o", out, "--worst", 1]


def compare(inputs: Path) -> Callable[[Path, bool], list]:
    steps = np.array([0.01, 0.02, 0.03, 0.04, 0.05, 0.06, -0.01, 0.0])
    runs = [write_run(inputs / name, {"dice": 0.5 + k * steps}) for k, name in enumerate("ab")]
    return lambda out, again: ["compare", *runs, "-o", out, "--seed", int(again)]


def convert(inputs: Path) -> Callable[[Path, bool], list]:
    for number in (0, 1):
        trees.wmh(inputs / f"wmh{number}")
        for path in (inputs / f"wmh{number}").rglob("FLAIR.nii.gz"):
            trees.volume(path, seed=1000 + 100 * number + int(path.parents[1].name))
    return lambda out, again: ["convert", "wmh", inputs / f"wmh{again:d}", out]


#: Command, and whether its files take their places together
COMMANDS = {"evaluate": (evaluate, True), "compare": (compare, True), "convert": (convert, False)}


@pytest.mark.parametrize("earlier", [False, True], ids=["new folder", "over earlier results"])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_is_killed_leaves_whole_files_and_finishes_when_it_is_run_again(
    name: str, earlier: bool, tmp_path: Path
) -> None:
    make, together = COMMANDS[name]
    call, says = make(tmp_path / "inputs"), tmp_path / "says.txt"
    force = ["--force"] if earlier else []

    def killed(out: Path, last: int | None) -> int:
        steps = Steps(out, last)
        code = command(*call(out, True), *force)
        (tmp_path / "steps").write_text(str(steps.count))
        return code

    assert in_child(lambda: command(*call(tmp_path / "old", False))) == 0
    old = tree(tmp_path / "old") if earlier else {}
    out = tmp_path / "whole"
    assert in_child(lambda: killed(out, None)) == 0
    new, count = tree(out), int((tmp_path / "steps").read_text())
    assert count > 10
    allowed = {file: {old.get(file), new.get(file), None if together else b"null\n"} for file in {*old, *new}}
    for last in range(1, count + 1, -(-count // POINTS)):
        out = tmp_path / str(last)
        if earlier:
            assert in_child(lambda out=out: command(*call(out, False))) == 0
        assert in_child(lambda out=out, last=last: killed(out, last)) == KILLED
        found = tree(out)
        assert [file for file, content in found.items() if content not in allowed[file]] == []
        noted = sum(json.loads(path.read_text()) is not None for path in out.rglob("conversion/*.json"))
        again = ["--force"] if together and found == new else force  # killed when all was in its place
        code = in_child(lambda out=out, again=again: command(*call(out, True), *again, output=says))
        assert code == 0, says.read_text()
        assert tree(out) == new
        assert not list(out.rglob(".*"))
        if name == "convert" and not earlier:
            assert int(re.search(r"from an earlier run: (\d+)", says.read_text())[1]) == noted
