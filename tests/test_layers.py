"""Imports inside the packages go one way."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(path for name in ("monai_boundary", "nnunet_trainers") for path in (ROOT / name).rglob("*.py"))
# Left to right; a part may import the parts of lower rank. Parts of one rank do not know each other.
RANK = {
    "_labels": -1, "_options": -1, "_words": -1,
    "_check": 0, "_checksums": 0, "_files": 0, "_geometry": 0,
    "_jobs": 0.5,
    "kernels": 1,
    "map_store": 1.5,
    "transforms": 2, "datasets": 2,
    "losses": 3,
    "schedules": 4,
    "engines": 5, "weight_search": 5,
    "metrics": 6, "export": 6, "inference": 6, "precompute": 6,
    "reports": 7,
    "nnunet_trainers": 7.5,
    "bundles": 8, "evaluation": 8,
    "demo": 8.5,
    "cli": 9,
}  # fmt: skip
ALSO = {("losses", "schedules")}
# Outermost parts speak of the package as its users do.
MAY_IMPORT_THE_PACKAGE = 5


def part_of(dotted: str) -> str | None:
    """The part that a dotted module name lies in; ``""`` for the package itself, ``None`` for other packages."""
    head, *rest = dotted.split(".")
    if head == "nnunet_trainers":
        return head
    if head != "monai_boundary":
        return None
    return rest[0] if rest else ""


def imports(path: Path) -> set[str]:
    """Dotted names that a file imports, wherever in the file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module)
            if node.module == "monai_boundary":
                names.discard(node.module)
                names |= {f"monai_boundary.{a.name}" if a.name in RANK else "monai_boundary" for a in node.names}
    return names


def home_of(path: Path) -> str:
    return part_of(".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_file_imports_only_from_its_left(path):
    home = home_of(path)
    if not home or home == "__main__":  # the package's own __init__ gathers the parts
        return
    for name in imports(path):
        part = part_of(name)
        if part is None or part == home:
            continue
        if part == "":
            assert RANK[home] >= MAY_IMPORT_THE_PACKAGE, f"{home} imports the whole package"
        else:
            assert RANK[part] < RANK[home] or (home, part) in ALSO, f"{home} imports {name}"


def test_every_part_has_its_place():
    homes = {home_of(path) for path in FILES} - {"", "__main__"}
    assert homes <= set(RANK), f"give these a rank in tests/test_layers.py: {homes - set(RANK)}"


@pytest.mark.parametrize("part", ["kernels", "_check", "_geometry"])
def test_kernels_know_no_monai(part):
    found = {name for path in FILES if home_of(path) == part for name in imports(path)}
    assert not [name for name in found if name.split(".")[0] in ("monai", "nibabel", "nnunetv2", "logging")]


def test_reports_import_no_torch():
    found = {name for path in FILES if home_of(path) == "reports" for name in imports(path)}
    assert not [name for name in found if name.split(".")[0] in ("torch", "monai")]


def test_nothing_but_trainers_imports_nnunet():
    for path in FILES:
        if home_of(path) not in ("nnunet_trainers", "cli", "demo", "export"):
            assert not [name for name in imports(path) if name.split(".")[0] in ("nnunetv2", "batchgenerators")]


def test_the_packages_know_no_experiment_and_no_benchmark():
    for path in FILES:
        assert not [name for name in imports(path) if name.split(".")[0] in ("experiments", "benchmarks", "tests")], (
            path
        )


def test_no_file_is_named_utils():
    assert not [path for path in FILES if "utils" in path.stem]


def test_layers_are_seen_to_be_crossed(tmp_path):
    wrong = tmp_path / "wrong.py"
    wrong.write_text("def f():\n    from monai_boundary.losses import BoundaryLoss\n    import monai_boundary.cli\n")
    assert {part_of(name) for name in imports(wrong)} == {"losses", "cli"}


def written_into(path: Path) -> set[str]:
    """Names of a file that come from nnU-Net or its loaders and have an attribute set, deleted or patched."""
    tree = ast.parse(path.read_text())
    foreign = {
        (alias.asname or alias.name).split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
        if (getattr(node, "module", None) or alias.name).split(".")[0].startswith(("nnunetv2", "batchgenerators"))
    }
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del):
            found.add(ast.unparse(node.value).split(".")[0])
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("setattr", "delattr"):
            found.add(ast.unparse(node.args[0]).split(".")[0])
    return found & foreign


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_in_nnunet_is_replaced(path):
    assert not written_into(path)


def test_a_replaced_loader_would_be_seen(tmp_path):
    wrong = tmp_path / "wrong.py"
    wrong.write_text("from nnunetv2.training import module as m\ndef f():\n    m.a, m.Loader = 1, None\n")
    assert written_into(wrong) == {"m"}
