"""The programs of docs/upstream.md print what the page says, before and after its patches."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "upstream.md").read_text()
SECTIONS = {part.partition("\n")[0]: part for part in PAGE.split("\n## ")[1:]}
PROJECTS = {"MONAI": "monai", "nnU-Net": "nnunetv2", "edt": "edt"}


def blocks(section: str, kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", section, flags=re.DOTALL)


def patched_module(diff: str, folder: Path) -> ModuleType:
    """The module that a patch is for, with the patch, under a name of its own."""
    name = re.search(r"^\+\+\+ b/(.*)$", diff, re.MULTILINE)[1]
    dotted = name.removesuffix(".py").replace("/", ".")
    source = importlib.util.find_spec(dotted).origin
    (folder / name).parent.mkdir(parents=True)
    shutil.copy(source, folder / name)
    (folder / "change.diff").write_text(diff)
    subprocess.run(["git", "apply", "change.diff"], cwd=folder, check=True)  # noqa: S607
    spec = importlib.util.spec_from_file_location(f"{dotted}_patched", folder / name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("title", SECTIONS)
def test_a_program_prints_what_the_page_says(
    title: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    section, project = SECTIONS[title], title.partition(":")[0]
    pytest.importorskip(PROJECTS[project])
    if f"{project} {version(PROJECTS[project])}" not in PAGE:
        pytest.skip(f"the page is about another version of {project}")
    (program,), said = blocks(section, "python"), blocks(section, "text")
    exec(compile(program, title, "exec"), {})  # noqa: S102
    assert capsys.readouterr().out == said[0]
    for diff in blocks(section, "diff"):
        module = patched_module(diff, tmp_path)
        for package, name in re.findall(r"^from (\S+) import (\w+)$", program, re.MULTILINE):
            if package.startswith(PROJECTS[project]) and hasattr(module, name):
                monkeypatch.setattr(f"{package}.{name}", getattr(module, name))
        for call in re.findall(r"^With `(.*)`:$", section, re.MULTILINE):
            start = call.partition("(")[0]
            program = re.sub(rf"{start}\(.*?\)", call, program)
        if len(said) == 1:
            with pytest.raises(ValueError, match="argument 2 is shorter than argument 1"):
                exec(compile(program, title, "exec"), {})  # noqa: S102
        else:
            exec(compile(program, title, "exec"), {})  # noqa: S102
            assert capsys.readouterr().out == said[1]
