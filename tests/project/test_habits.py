"""What surrounds the code is well-formed and true: workflows, templates, citation, recipe, hooks."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

tomllib = pytest.importorskip("tomllib", reason="tomllib comes with Python 3.11")
yaml = pytest.importorskip("yaml", reason="pyyaml is not installed")

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SCHEMAS = {
    "vendor.github-workflows": WORKFLOWS,
    "vendor.github-issue-forms": sorted(set((ROOT / ".github" / "ISSUE_TEMPLATE").glob("[!c]*.yml"))),
    "vendor.github-issue-config": [ROOT / ".github" / "ISSUE_TEMPLATE" / "config.yml"],
    "vendor.citation-file-format": [ROOT / "CITATION.cff"],
}
#: Names on conda-forge that differ from those on PyPI.
CONDA = {"torch": "pytorch", "SimpleITK": "simpleitk"}


def recipe() -> dict:
    """The conda recipe as rattler-build renders it, which refuses a key or a version that conda does not know."""
    rattler_build = pytest.importorskip("rattler_build", reason="py-rattler-build is not installed")
    (variant,) = rattler_build.Stage0Recipe.from_file(ROOT / "recipe" / "recipe.yaml").render(
        rattler_build.VariantConfig({})
    )
    return variant.recipe.to_dict()


@pytest.mark.parametrize("schema", SCHEMAS)
def test_files_of_the_repository_follow_their_schema(schema: str) -> None:
    pytest.importorskip("check_jsonschema", reason="check-jsonschema is not installed")
    assert SCHEMAS[schema]
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *map(str, SCHEMAS[schema])]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


def test_citation_is_what_cffconvert_takes() -> None:
    if not shutil.which("cffconvert"):
        pytest.skip("cffconvert is not on the path; it needs an old jsonschema: pipx install cffconvert")
    result = subprocess.run(["cffconvert", "--validate"], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S607
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_needs_jobs_and_files_that_are_there(path: Path) -> None:
    jobs = yaml.safe_load(path.read_text())["jobs"]
    for job in jobs.values():
        needs = job.get("needs", [])
        assert set([needs] if isinstance(needs, str) else needs) <= set(jobs)
        for step in job.get("steps", [{"run": job.get("uses")}]):
            for name in re.findall(r"(?:^|\s)(\.?/?[\w.-]+/[\w./-]*\w\.(?:txt|yml)|\.ci/run)", str(step.get("run"))):
                assert (ROOT / name).is_file(), name


def test_a_release_is_published_after_the_tests_and_without_a_password() -> None:
    publish = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())["jobs"]["publish"]
    assert publish["needs"] == ["tests", "build"]
    assert publish["permissions"] == {"id-token": "write"}
    assert "secrets." not in (ROOT / ".github/workflows/release.yml").read_text()


def test_one_version_is_named_everywhere() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == recipe()["package"]["version"] == PROJECT["version"]
    assert citation["license"] == recipe()["about"]["license"] == PROJECT["license"]


def test_the_recipe_asks_for_what_the_package_asks_for() -> None:
    wanted = {f"python {PROJECT['requires-python']}"}
    for requirement in PROJECT["dependencies"]:
        name, bound = re.fullmatch(r"([\w-]+)(>=.*)", requirement).groups()
        wanted.add(f"{CONDA.get(name, name)} {bound}")
    assert set(recipe()["requirements"]["run"]) == wanted
    assert recipe()["build"]["python"]["entry_points"] == [
        f"{name} = {place}" for name, place in PROJECT["scripts"].items()
    ]


def test_every_hook_is_a_tool_of_the_development_environment() -> None:
    pytest.importorskip("pre_commit", reason="pre-commit is not installed")
    subprocess.run([sys.executable, "-m", "pre_commit", "validate-config"], cwd=ROOT, check=True)
    (repo,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    tools = {re.split(r"[>=\[]", requirement)[0] for requirement in PROJECT["optional-dependencies"]["dev"]}
    assert {hook["entry"].split()[0] for hook in repo["hooks"]} <= tools


def test_contributing_names_every_package_and_the_three_speeds() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    packages = {path.name for path in (ROOT / "monai_boundary").iterdir() if (path / "__init__.py").exists()}
    assert not {name for name in packages | {"nnunet_trainers"} if f"`{name}/`" not in text}
    assert all(f"| `{command}` |" in text for command in ("pytest -m fast", "pytest", "pytest -m slow"))


@pytest.mark.parametrize(
    "name", ["SECURITY.md", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "CITATION.cff", "docs/releasing.md"]
)
def test_no_placeholder_is_left(name: str) -> None:
    assert not re.findall(r"TODO|FIXME|example\.(?:com|org)|<your|OWNER|\[INSERT", (ROOT / name).read_text())
