"""The journal, the commands, and the tables of docs/ from the committed lines."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from experiments import EXPERIMENTS
from experiments.shared.journal import finished_runs, missing_runs, run_missing
from experiments.shared.tables import markdown, spread
from tests.cli.calling import assert_fails

DOCS = Path(__file__).parents[2] / "docs"
#: The page that shows the table of each experiment.
PAGES = {
    "ms": "published_protocol.md", "wmh-phantoms": "published_protocol.md", "collapse": "collapse.md",
    "patch-maps": "patch_maps.md", "hippocampus": "nnunet.md", "ms-nnunet": "nnunet.md",
    "isbi2012": "electron_microscopy.md", "gala": "electron_microscopy.md", "aicd": "remote_sensing.md",
    "buildings": "remote_sensing.md", "evidence flair": "lesions.md",
    "evidence slices": "lesions.md", "evidence busi": "ultrasound.md",
    "evidence synapses": "objects.md", "evidence settings": "objects.md",
    "evidence nuclei": "objects.md", "evidence vessels": "objects.md", "evidence gaps": "objects.md",
    "evidence phantoms": "remote_sensing.md", "evidence fibsem": "electron_microscopy.md",
    "evidence buildings": "remote_sensing.md", "evidence membranes": "electron_microscopy.md",
}  # fmt: skip


@pytest.mark.parametrize("name", PAGES)
def test_the_tables_of_the_docs_are_made_of_the_committed_lines(name, run, tmp_path):
    result = run(*name.split(), "--table", DOCS / "results" / f"{name.replace('-', '_').replace(' ', '_')}.jsonl")
    assert result.exit_code == 0, result.output
    printed = [line for line in result.stdout.splitlines() if line.startswith("|")]
    page = (DOCS / "evidence" / PAGES[name]).read_text().splitlines()
    assert len(printed) > 4
    assert not [line for line in printed if line not in page]


@pytest.mark.parametrize("name", ["flair", "busi", "slices"])
def test_the_tables_of_the_constant_share_are_made_of_its_lines(name, run):
    result = run("evidence", name, "--table", DOCS / "results" / "evidence_constant_share.jsonl")
    printed = [line for line in result.stdout.splitlines() if line.startswith("|")]
    page = (DOCS / "evidence" / "constant_share.md").read_text().splitlines()
    assert len(printed) > 10
    assert not [line for line in printed if line not in page]


def test_the_agreement_of_loss_and_score_is_that_of_the_docs(run):
    shown = run("surrogate", "--table", DOCS / "results" / "surrogate.json").stdout
    correlations = [float(line.split("|")[4]) for line in shown.splitlines()[2:]]
    assert [round(value, 2) for value in correlations] == [0.99, 0.98, 0.98, 0.98, 0.98, 0.98]


def test_the_converged_hippocampus_is_that_of_the_docs(run):
    shown = run("hippocampus-converged", "--table", DOCS / "results" / "hippocampus_converged.jsonl").stdout
    assert "lower with share .2 beside from scratch, Dice+CE (-0.004 of 0.864, p 0.006)" in shown
    assert "| from scratch, Dice+CE | control | 60 | 0.864 | 1.50 | 0.937 |" in shown
    page = (DOCS / "evidence" / "nnunet.md").read_text()
    assert "| from scratch, Dice+CE | control | 60 | 0.878 | 1.47 | 0.927 | 0.864 | 1.50 | 0.937 |" in page


def test_every_experiment_is_listed_and_explains_itself(run):
    shown = run("--help").stdout
    for name, (_, text) in EXPERIMENTS.items():
        assert re.search(rf"^  {name} +{re.escape(text.split(';')[0][:30])}", shown, flags=re.MULTILINE)
        assert run(name, "--help").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["aicd", "--quick", "--images", "50"], "images must be a multiple of 20"),
        (["aicd", "--losses", "iou,vgg"], "'vgg' is not one of 'bf1+iou'"),
        (["wmh", "--settings", "focal"], "'focal' is not one of 'gdl'"),
        (["wmh"], "Missing option '--data'"),
        (["gala"], "Missing option '--data'"),
        (["acdc"], "No such command 'acdc'"),
        (["isbi2012", "--data", ".", "--folds", "1"], "1 is not in the range x>=2"),
        (["isbi2012", "--data", "nowhere"], "nowhere"),
        (["ms", "--table", "none.jsonl"], "none.jsonl must hold finished runs, got none"),
        (["patch-maps", "--data", "nowhere", "--parts", "difference"], "must hold the data set 'hippocampus', got"),
    ],
)
def test_a_wrong_call_is_named(run, arguments, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_fails(run(*arguments), text)


def test_finished_runs_are_not_repeated_and_each_is_written_at_once(tmp_path):
    out, trained = tmp_path / "deep" / "r.jsonl", []

    def train(given, title):
        trained.append(title)
        if given["seed"] == 2:
            raise KeyboardInterrupt
        return {"score": given["seed"]}

    runs = [{"loss": "iou", "seed": seed, "features": (2, 4)} for seed in range(4)]
    with pytest.raises(KeyboardInterrupt):
        run_missing(out, runs, train)
    assert [row["score"] for row in finished_runs(out)] == [0, 1]
    assert [given["seed"] for given in missing_runs(out, runs)] == [2, 3]
    assert missing_runs(out, runs, ("loss",)) == []
    run_missing(out, runs[:2], train)
    assert trained == ["iou 0 (1/4)", "iou 1 (2/4)", "iou 2 (3/4)"]


def test_a_line_that_was_cut_off_is_named(tmp_path):
    (tmp_path / "r.jsonl").write_text('{"loss": "iou"}\n\n{"loss": "i')
    with pytest.raises(ValueError, match=r"r\.jsonl must hold one finished run per line, got a damaged line 3; delete"):
        finished_runs(tmp_path / "r.jsonl")


def test_a_table_and_a_spread():
    assert markdown(("a", "b"), [[1, "x"]]) == "| a | b |\n|---|---|\n| 1 | x |"
    assert spread([1.0, 2.0, 3.0], "+.1f") == "+2.0 ± 1.0"
    assert spread([1.0], ".2f") == "1.00"
