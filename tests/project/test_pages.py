"""What pages say about the code is so: messages that troubleshooting explains, names in code."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

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
