"""What pages say about the code is so: messages that troubleshooting explains, names in code."""

from __future__ import annotations

import ast
import importlib
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from monai_boundary import cli

ROOT = Path(__file__).parents[2]
FOREIGN = {"Could not find requested nnunet trainer", "Failed to instantiate component"}  # of nnU-Net and of MONAI
EXPLAINED = [
    text
    for text in re.findall(r"^### .*?`(.+?)`$", (ROOT / "docs" / "troubleshooting.md").read_text(), re.MULTILINE)
    if text not in FOREIGN
]


def texts_of_the_code() -> str:
    """All texts of the packages; values that are filled in at run time are a few words that pages may use."""
    texts = []
    for package in ("monai_boundary", "nnunet_trainers"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.JoinedStr):
                    texts.append(
                        "".join(part.value if isinstance(part, ast.Constant) else "\0" for part in node.values)
                    )
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    texts.append(node.value)
    return "\n".join(texts)


@pytest.fixture(scope="module")
def texts() -> str:
    return texts_of_the_code()


def test_troubleshooting_explains_messages() -> None:
    assert len(EXPLAINED) > 15


@pytest.mark.parametrize("message", EXPLAINED)
def test_a_message_that_troubleshooting_explains_is_one_of_the_code(message: str, texts: str) -> None:
    words = re.escape(message)
    for value in ("8", "distance_map", "cases"):  # filled in
        words = re.sub(rf"\b{value}\b", f"(?:{value}|\0)", words)
    assert re.search(words, texts)


GROUPS = {"monai-boundary": cli.main, "python -m experiments": importlib.import_module("experiments.__main__").main}
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "monai_boundary" / "bundles").glob("*/docs/README.md")),
]


def shown_commands(page: Path) -> Iterator[tuple[str, list[str]]]:
    """Program and words of every command in the code of a page, up to what the shell does next."""
    for code in re.findall(r"```.*?```|`[^`]+`|^ {4}.*$", page.read_text(), re.DOTALL | re.MULTILINE):
        for program, words in re.findall(
            rf"(?:^|[\s`(])({'|'.join(GROUPS)}) ([a-z][^\n`&|;>)]*)", code.replace("\\\n", " ")
        ):
            yield program, shlex.split(words, comments=True)


def misuse(program: str, words: list[str]) -> str | None:
    """What is wrong with a command, as click tells: its name, an option, a value that is not a choice."""
    command, name = GROUPS[program], ""
    while isinstance(command, click.Group) and words:
        name, *words = words
        command = command.get_command(click.Context(command), name)
        if command is None:
            return f"no command {name}"
    if program == "monai-boundary" and name == "run":  # a bundle's name, then options or keys of its files
        files = (ROOT / "monai_boundary" / "bundles" / words[0] / "configs").glob("*.json")
        keys = {f"--{key}" for file in files for key in json.loads(file.read_text())}
        keys.update(option for parameter in command.params for option in parameter.opts)
        return next((f"no key {word}" for word in words if word.startswith("--") and word not in keys), None)
    try:
        context = click.Context(command)
        given = command.make_parser(context).parse_args(words)[0]
        for parameter in command.params:
            if isinstance(parameter.type, click.Choice) and isinstance(given.get(parameter.name), str):
                parameter.type_cast_value(context, given[parameter.name])
    except click.BadOptionUsage:  # the text names an option without a value
        return None
    except click.UsageError as error:
        return error.format_message()
    return None


def test_pages_show_commands() -> None:
    assert sum(len(list(shown_commands(page))) for page in PAGES) > 80


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_command_of_a_page_is_one_that_the_program_takes(page: Path) -> None:
    wrong = {shlex.join(words): misuse(program, words) for program, words in shown_commands(page)}
    assert not {command: reason for command, reason in wrong.items() if reason}
