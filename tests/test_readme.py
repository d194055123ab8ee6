"""What the README and the first pages show runs."""

import re
from pathlib import Path

import pytest
import torch

from monai_boundary.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def block_of(page: str, word: str) -> str:
    """The one block of Python on a page that holds a word."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / page).read_text(), flags=re.DOTALL)
    (found,) = [block for block in blocks if word in block]
    return found


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_the_first_training_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(compile(block_of("start.md", "CacheDataset"), "start.md", "exec"), names)  # noqa: S102
    lines = capsys.readouterr().out.strip().splitlines()
    assert [line.split()[0] for line in lines] == ["0", "1", "2"]
    assert names["loss"].gradient_share == 0.2
    assert names["loss"].alpha > 0
    assert names["loss"].region_term.isfinite()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_trainer_variant_is_a_class_with_its_settings() -> None:
    names: dict = {}
    exec(compile(block_of("nnunet.md", "boundary_map"), "nnunet.md", "exec"), names)  # noqa: S102
    assert names["nnUNetTrainerDiceCEBoundaryClip5"].boundary_map.clip == 5.0


def test_membrane_example_adds_the_boundary_term_after_the_warm_up(
    capsys: pytest.CaptureFixture[str],
) -> None:
    exec(compile(block_of("em.md", "CrossEntropyBoundaryAwareLoss"), "em.md", "exec"), {})  # noqa: S102
    first, second = (line.split() for line in capsys.readouterr().out.strip().splitlines())
    assert first[1] == second[1]
    assert float(first[2]) == 0 < float(second[1]) < float(second[2])


def test_readme_has_exactly_two_set_up_lines() -> None:
    lines = re.findall(r"^pip install .*$", README, flags=re.MULTILINE)
    assert lines == [
        'pip install -e ".[all]" && monai-boundary demo',
        'pip install -e ".[all,dev]" && pytest',
    ]


def test_any_two_losses_are_joined_as_shown() -> None:
    names: dict = {}
    exec(compile(block_of("which_loss.md", "RegionBoundaryLoss"), "which_loss.md", "exec"), names)  # noqa: S102
    assert names["loss"].alpha is not None


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 120


def test_lines_that_the_readme_adds_to_a_training_run() -> None:
    (diff,) = re.findall(r"```diff\n(.*?)```", README, flags=re.DOTALL)
    after = "".join(f"{line[1:]}\n" for line in diff.splitlines() if line[:1] in "+ ")
    label = torch.zeros(1, 1, 8, 8, 8).index_fill_(2, torch.tensor([3, 4]), 1)
    batch = {"image": torch.randn(1, 1, 8, 8, 8), "label": label, "distance_map": 1 - 2 * label}
    names: dict = {"batch": batch, "network": torch.nn.Conv3d(1, 2, 1)}
    exec(compile(f"from monai.transforms import *\n{after}", "README.md", "exec"), names)  # noqa: S102
    assert names["network"].weight.grad.isfinite().all()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_the_dice_ce_loop_runs_before_and_after_its_ten_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (diff,) = re.findall(r"```diff\n(.*?)```", (ROOT / "docs" / "monai.md").read_text(), flags=re.DOTALL)
    lines = diff.splitlines()
    assert sum(line[:1] in ("+", "-") for line in lines) == 10
    found: dict[str, dict] = {}
    for side in "-+":
        text = "\n".join(line[1:] for line in lines if line[:1] in (side, " ", ""))
        found[side] = {}
        exec(compile(text, "monai.md", "exec"), found[side])  # noqa: S102
    before, after = (found[side]["loss"] for side in "-+")
    assert before.loss is found["-"]["dice_ce"]
    assert after.loss.region is found["+"]["dice_ce"]
    assert after.gradient_share == 0.2
    assert min(after.gradient_norms) > 0
    assert after.boundary_term != 0


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))], ids=lambda page: page.name
)
def test_every_link_to_a_file_exists(page: Path) -> None:
    for target in re.findall(r"\]\((?!http|(?:\.\./)?api/)([^)#]+)", page.read_text()):  # api/ is made for the site
        assert (page.parent / target).exists(), target


def test_every_command_of_the_readme_exists() -> None:
    commands = set(re.findall(r"monai-boundary ([a-z][a-z-]+)", README))
    assert {"convert", "evaluate"} <= commands <= set(main.commands)
