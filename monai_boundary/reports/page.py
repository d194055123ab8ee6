"""A page: one HTML file that needs nothing beside it, whose tables sort by a click and which prints. Needs jinja2."""

from __future__ import annotations

import base64
import io
import math
import os
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from monai_boundary._files import write_text

__all__ = ["data_uri", "write_page"]


def write_page(path: str | os.PathLike[str], package: str, template: str, **content: Any) -> Path:
    """Write a page.

    Args:
        path: File to write; its pictures are inside.
        package: Where the template lies.
        template: Its name; it extends ``page.html.j2``, which takes a ``title``.
        **content: What it shows.

    Returns:
        The path.
    """
    loaders = [PackageLoader("monai_boundary.reports", "."), PackageLoader(package, ".")]
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, loader=ChoiceLoader(loaders)
    )
    environment.filters["score"] = _score
    write_text(path, environment.get_template(template).render(version=version("monai-boundary"), **content))
    return Path(path)


def data_uri(figure: Figure, kind: str = "png") -> str:
    """Return a figure as the text that shows it in a page; `kind` is ``"png"`` or ``"svg"``."""
    buffer = io.BytesIO()
    write: Callable = figure.savefig
    write(buffer, format=kind, dpi=110, facecolor="white", metadata={"Date": None} if kind == "svg" else None)
    mime = "image/svg+xml" if kind == "svg" else "image/png"
    return f"data:{mime};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def _score(value: float | None, places: int) -> str:
    return "-" if value is None or not math.isfinite(value) else f"{value:.{places}f}"
