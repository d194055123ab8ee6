"""What mkdocs takes from outside of ``docs``: files of the repository, tutorials, and every public name."""

from __future__ import annotations

import ast
import os
import re
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
#: Files of the repository, and the pages that they become.
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CODE_OF_CONDUCT.md": "conduct.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
}
#: Pages of the reference: title, what it holds, and the modules whose ``__all__`` it lists.
REFERENCE = {
    "losses": ("Losses", "One class for each boundary term, and the combined losses.", ["monai_boundary.losses"]),
    "schedules": (
        "Schedules",
        "The weight of the boundary term over the epochs, and the search for it.",
        ["monai_boundary.schedules", "monai_boundary.weight_search"],
    ),
    "transforms": (
        "Transforms",
        "From labels to distance maps, target boundaries and seeds. A class that ends in `d` is for dictionaries; "
        "`...D` and `...Dict` are other names of it.",
        ["monai_boundary.transforms"],
    ),
    "kernels": (
        "Kernels",
        "Arrays in, arrays out, for 1 to 3 axes.",
        [f"monai_boundary.kernels{part}" for part in ("", ".barrier", ".components", ".regions")],
    ),
    "trainers": (
        "nnU-Net trainers",
        "For an unmodified nnU-Net. Settings are class attributes.",
        [f"nnunet_trainers.{name}" for name in ("boundary", "refine", "challenges", "mixin")],
    ),
    "engines": (
        "MONAI's engines",
        "Handlers for training, and metrics for evaluators.",
        ["monai_boundary.engines", "monai_boundary.metrics.ignite", "monai_boundary.bundles"],
    ),
    "metrics": ("Metrics", "Scores as functions and as MONAI metrics.", ["monai_boundary.metrics"]),
    "evaluation": (
        "Evaluation",
        "Scores of folders, comparisons of models, pictures.",
        ["monai_boundary.evaluation", "monai_boundary.evaluation.compare", "monai_boundary.reports"],
    ),
    "datasets": (
        "Data sets",
        "Readers, conversion, phantoms, caches.",
        [f"monai_boundary.datasets{part}" for part in ("", ".cache", ".convert", ".em", ".remote")],
    ),
    "files": (
        "Stored maps and prediction",
        "Maps of whole volumes on disk, and predictions of large images.",
        ["monai_boundary.precompute", "monai_boundary.map_store", "monai_boundary.inference"],
    ),
}


def public_names(module: str) -> list[str]:
    """Names in the ``__all__`` of a module, without the second names of dictionary transforms; imports nothing."""
    path = ROOT.joinpath(*module.split("."))
    tree = ast.parse((path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text("utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            names: list[str] = ast.literal_eval(node.value)
            return [name for name in names if re.sub(r"D(ict)?$", "d", name) not in {*names} - {name}]
    raise ValueError(f"{module} must have an __all__ of plain names, got none")


def reference_page(title: str, text: str, modules: list[str]) -> str:
    """The source of one page of the reference."""
    names = [f"::: {module}.{name}\n" for module in modules for name in public_names(module)]
    return "\n".join(
        [f"# {title}\n", f"{text} Import from {', '.join(f'`{module}`' for module in modules)}.\n", *names]
    )


def reference_index() -> str:
    """The source of the first page of the reference: every public name, by page."""
    lines = [
        "# API reference\n",
        "Every public name. Losses, schedules and transforms can be imported from `monai_boundary` itself, too.\n",
    ]
    for page, (title, text, modules) in REFERENCE.items():
        names = [f"[`{name}`][{module}.{name}]" for module in modules for name in public_names(module)]
        lines += [f"## {title}\n", f"{text} [All on one page]({page}.md)\n", " · ".join(names) + "\n"]
    return "\n".join(lines)


def gallery() -> str:
    """The source of the gallery: every picture of the pages, with the page that explains it."""
    lines = ["# Gallery\n", "Every picture of the pages, and where it is explained. The tutorials have more.\n"]
    for path in sorted((ROOT / "docs").rglob("*.md")):
        page = path.relative_to(ROOT / "docs")
        for text, target in re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", path.read_text("utf-8")):
            picture = os.path.normpath(page.parent / target)
            lines.append(f"**{text}** ([more]({page.as_posix()}))\n\n![{text}]({picture})\n")
    return "\n".join(lines)


@event_priority(100)  # before the plugins look for notebooks
def on_files(files: Files, config: Any) -> Files:
    """Add what lies outside of the folder of the pages."""
    for source, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text("utf-8")))
    for path in sorted((ROOT / "tutorials").glob("*.ipynb")):
        place = f"tutorials/{path.name}"
        files.append(File(place, str(ROOT), config.site_dir, config.use_directory_urls))
    files.append(File.generated(config, "gallery.md", content=gallery()))
    files.append(File.generated(config, "api/index.md", content=reference_index()))
    for page, entry in REFERENCE.items():
        files.append(File.generated(config, f"api/{page}.md", content=reference_page(*entry)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Let links that are right in the repository be right in the site."""
    here = page.file.src_uri
    source = {place: name for name, place in PAGES.items()}.get(here, f"docs/{here}")

    def moved(match: re.Match[str]) -> str:
        target = os.path.normpath(PurePosixPath(source).parent / match[1])
        place = PAGES.get(target, target.removeprefix("docs/"))
        return f"]({os.path.relpath(place, PurePosixPath(here).parent)}"

    return (
        re.sub(r"\]\((?![a-z]+:|#)([^)#\s]+)", moved, markdown)
        if here != "gallery.md" and not here.startswith("api/")
        else markdown
    )
