"""What the README shows runs."""

import re
from pathlib import Path

import pytest

from monai_boundary.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_training_loop_of_the_readme_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(compile(BLOCKS[1], "README.md", "exec"), names)  # noqa: S102
    lines = capsys.readouterr().out.strip().splitlines()
    assert [line.split()[0] for line in lines] == ["0", "1", "2"]
    assert names["loss"].term_weights == pytest.approx((0.1, 1.0))
    assert names["loss"].region_term.isfinite()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_trainer_variant_of_the_readme_is_a_class_with_its_settings() -> None:
    names: dict = {}
    exec(compile(BLOCKS[0], "README.md", "exec"), names)  # noqa: S102
    assert names["nnUNetTrainerDiceCEBoundaryClip5"].boundary_map.clip == 5.0


def test_membrane_example_of_the_readme_adds_the_boundary_term_after_the_warm_up(
    capsys: pytest.CaptureFixture[str],
) -> None:
    (block,) = [block for block in BLOCKS if "CrossEntropyBoundaryAwareLoss" in block]
    exec(compile(block, "README.md", "exec"), {})  # noqa: S102
    first, second = (line.split() for line in capsys.readouterr().out.strip().splitlines())
    assert first[1] == second[1]
    assert float(first[2]) == 0 < float(second[1]) < float(second[2])


def test_readme_has_exactly_two_set_up_lines() -> None:
    lines = re.findall(r"^pip install .*$", README, flags=re.MULTILINE)
    assert lines == [
        'pip install -e ".[all]" && monai-boundary demo',
        'pip install -e ".[all,dev]" && pytest',
    ]


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))], ids=lambda page: page.name
)
def test_every_link_to_a_file_exists(page: Path) -> None:
    for target in re.findall(r"\]\((?!http|(?:\.\./)?api/)([^)#]+)", page.read_text()):  # api/ is made for the site
        assert (page.parent / target).exists(), target


def test_every_command_of_the_readme_exists() -> None:
    commands = set(re.findall(r"monai-boundary ([a-z][a-z-]+)", README))
    assert {"convert", "evaluate"} <= commands <= set(main.commands)
