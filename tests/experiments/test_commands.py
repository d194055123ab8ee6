"""``python -m experiments`` on phantoms."""

import json

import pytest
from click.testing import CliRunner

from experiments import EXPERIMENTS
from experiments.__main__ import main
from experiments.buildings.losses import LOSSES
from monai_boundary.datasets.datalist import write_datalist
from tests.cli.calling import assert_fails
from tests.datasets.em.files import grey, interior, write_slices

# MONAI and Ignite, not this package
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


@pytest.fixture
def run():
    """A caller of the experiments."""

    def invoke(*arguments):
        return CliRunner().invoke(main, [str(argument) for argument in arguments])

    return invoke


def test_every_experiment_is_listed_and_has_a_command(run):
    shown = run("--help").stdout
    for name, (_, text) in EXPERIMENTS.items():
        assert name in shown
        assert text.split(";")[0][:30] in shown
        assert run(name, "--help").exit_code == 0


def test_the_command_runs_and_prints_the_table(splits, tmp_path, run):
    write_datalist(tmp_path / "datalist.json", splits)
    out = tmp_path / "out"
    result = run("wmh", "--data", tmp_path, "-o", out, "--quick", "--settings", "gdl")
    assert result.exit_code == 0, result.stderr
    assert "| wmh | gdl | - | 2 | 1 |" in result.stdout
    assert (out / "curves.png").stat().st_size > 10_000
    assert json.loads((out / "results.jsonl").read_text())["preset"] == "published"


def test_the_command_refuses_data_of_another_challenge(splits, tmp_path, run):
    write_datalist(tmp_path / "datalist.json", splits)
    assert_fails(run("isles", "--data", tmp_path), "must hold cases of 3 or 5 channels for isles, got [2]")


def test_the_synthetic_experiment_runs_without_data_and_is_labelled_a_smoke_run(tmp_path, run):
    call = ("aicd", "--quick", "--images", 40, "--epochs", 1, "--width", 2, "-o", tmp_path)
    result = run(*call, "--losses", "iou", "--losses", "bf1+iou")
    assert result.exit_code == 0, result.stderr
    assert "SMOKE RUN, too small to compare losses. 40 images of 64 x 64, 1 epochs" in result.stdout
    assert "20 images scored, 5 of them cut by the image edge" in result.stdout
    assert "| 86.91 | 71.51 |" in result.stdout
    assert all((tmp_path / name).stat().st_size > 10_000 for name in ("curves.png", "edge.png"))
    rows = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert [(row["loss"], row["epochs"], row["features"]) for row in rows] == [
        ("iou", 1, [2, 4, 8, 16]),
        ("bf1+iou", 1, [2, 4, 8, 16]),
    ]
    again = run(*call, "--losses", "iou")
    assert again.exit_code == 0, again.stderr
    assert len((tmp_path / "results.jsonl").read_text().splitlines()) == 2
    assert again.stdout == result.stdout


def test_the_experiment_on_membranes_prints_the_paper_s_table(tmp_path, run):
    write_slices(tmp_path / "images", grey(1, (4, 64, 80)))
    write_slices(tmp_path / "labels", interior(2, (4, 64, 80)))
    call = ("isbi2012", "--data", tmp_path, "--quick", "-o", tmp_path / "out")
    result = run(*call, "--losses", "wbce", "--losses", "wbce+bal")
    assert result.exit_code == 0, result.stderr
    assert "SMOKE RUN, too small to compare losses. isbi2012, 2 of 2 folds, 1 seed, 1 + 1 epochs" in result.stdout
    assert "| 0.814 ± 0.019 | 1.056 ± 0.026 | 0.443 ± 0.029 |" in result.stdout
    assert "| weighted BCE + BAL, published | weighted BCE | 2 |" in result.stdout
    assert all((tmp_path / "out" / name).stat().st_size > 10_000 for name in ("thresholds.png", "leaks.png"))
    again = run(*call, "--losses", "wbce")
    assert again.stdout == result.stdout


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["aicd", "--quick", "--images", "50"], "images must be a multiple of 20"),
        (["aicd", "--losses", "vgg"], "'vgg' is not one of 'bf1+iou'"),
        (["wmh"], "Missing option '--data'"),
        (["acdc"], "No such command 'acdc'"),
        (["gala"], "Missing option '--data'"),
        (["isbi2012", "--data", ".", "--folds", "1"], "1 is not in the range x>=2"),
        (["isbi2012", "--data", "nowhere"], "'nowhere' does not exist"),
    ],
)
def test_a_wrong_call_is_named(run, arguments, text):
    assert_fails(run(*arguments), text)


def test_the_published_set_up_is_the_default(tmp_path, run, monkeypatch):
    seen = []
    monkeypatch.setattr("experiments.buildings.commands.run_aicd", lambda *arguments: seen.append(arguments))
    monkeypatch.setattr("experiments.buildings.commands.write_aicd_report", lambda *_: "tables")
    for options in ([], ["--full"]):
        assert run("aicd", *options, "-o", tmp_path).stdout == "tables\n"
    for _, losses, seeds, shared in seen:
        assert (losses, list(seeds)) == (tuple(LOSSES), [0, 1, 2])
        assert (shared.images, shared.size, shared.epochs, shared.features[0]) == (800, 256, 100, 16)
        assert not shared.smoke
