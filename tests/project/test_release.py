"""What a release hands over: a changelog that is short, versions that fit, and archives that hold what they must."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

tomllib = pytest.importorskip("tomllib", reason="tomllib comes with Python 3.11")
requirements = pytest.importorskip("packaging.requirements", reason="packaging is not installed")

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
#: Two minutes at 250 words a minute, and some for names of classes.
LONGEST_SECTION = 600


def pins(name: str) -> dict[str, str]:
    """Name to version of a file of constraints."""
    lines = (ROOT / "constraints" / f"{name}.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def test_the_changelog_of_this_version_reads_in_two_minutes() -> None:
    version, section = re.search(r"^## \[(\d.*?)\].*?$(.*?)(?=^## |\Z)", CHANGELOG, re.MULTILINE | re.DOTALL).groups()
    assert version == PROJECT["version"]
    assert 100 < len(section.split()) <= LONGEST_SECTION


def test_the_oldest_constraints_are_the_floors_of_the_package() -> None:
    floors = dict(requirement.split(">=") for requirement in PROJECT["dependencies"])
    assert {name: re.sub(r"(\.0)+$", "", version) for name, version in pins("minimum").items()} == {
        name: re.sub(r"(\.0)+$", "", version) for name, version in floors.items()
    }


def test_the_latest_constraints_are_versions_that_the_package_takes() -> None:
    latest, extras = pins("latest"), PROJECT["optional-dependencies"]
    named = [*PROJECT["dependencies"], *(line for extra in extras if extra != "peers" for line in extras[extra])]
    for requirement in map(requirements.Requirement, named):
        if requirement.name != "monai-boundary":
            assert requirement.specifier.contains(latest[requirement.name]), requirement


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist of this checkout, and the wheel that was made from it."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    return folder


def test_archives_pass_the_check_of_twine(archives: Path) -> None:
    pytest.importorskip("twine", reason="twine is not installed")
    command = [sys.executable, "-m", "twine", "check", "--strict", *map(str, archives.iterdir())]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
    assert result.stdout.count("PASSED") == 2


def test_the_wheel_holds_the_packages_and_all_that_they_read(archives: Path) -> None:
    names = set(zipfile.ZipFile(next(archives.glob("*.whl"))).namelist())
    data = {
        path.relative_to(ROOT).as_posix()
        for package in ("monai_boundary", "nnunet_trainers")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    info = f"monai_boundary-{PROJECT['version']}.dist-info"
    assert {f"{info}/licenses/LICENSE", f"{info}/entry_points.txt", "monai_boundary/py.typed"} <= names
    assert sum("/bundles/" in name and name.endswith("/configs/train.json") for name in names) == 4
    assert {name for name in names if not name.startswith(info)} == data


def test_the_sdist_holds_tutorials_and_pages_but_no_experiment_and_no_data(archives: Path) -> None:
    with tarfile.open(next(archives.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    tutorials = {f"tutorials/{path.name}" for path in (ROOT / "tutorials").glob("*.ipynb")}
    assert (
        tutorials | {"LICENSE", "CITATION.cff", "docs/architecture.md", "tests/conftest.py", "pyproject.toml"} <= names
    )
    assert not {
        name for name in names if name.startswith(("experiments/", "docs/results/", ".git/", "tests/experiments/"))
    }
    assert not {name for name in names if name.endswith((".nii", ".gz", ".tif", ".hdf", ".h5", ".npy", ".pt", ".pth"))}
