"""The site builds strictly, holds every public name, asks the network for nothing, and fits small screens."""

from __future__ import annotations

import contextlib
import functools
import html
import http.server
import os
import re
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.browser import browse
from tests.test_public_api import PARTS

pytest.importorskip("material", reason="mkdocs-material is not installed; pip install -e '.[docs]'")

ROOT = Path(__file__).parents[2]
PAGES = ["index.html", "which_loss.html", "api/losses.html"]
#: A page 400 pixels wide that says how wide its content is: a window of Chromium has 500 pixels at least.
NARROW = """<!doctype html><title>narrow</title><iframe width=400 height=900 src="{page}"></iframe><p id=width></p>
<script>document.querySelector("iframe").onload = event => {{ document.querySelector("#width").textContent =
event.target.contentDocument.documentElement.scrollWidth }}</script>"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site where mike puts a version: in a folder beside the list of versions."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder / "0.1")]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    result = subprocess.run(command, cwd=ROOT, env=quiet, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    (folder / "versions.json").write_text('[{"version": "0.1", "title": "0.1", "aliases": []}]')
    return folder / "0.1"


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """Where the site is served."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=site.parent))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/0.1"
    server.shutdown()
    server.server_close()


def test_every_public_name_is_in_the_reference(site: Path) -> None:
    inventory = zlib.decompress((site / "objects.inv").read_bytes().split(b"\n", 4)[4]).decode()
    known = {line.split()[0] for line in inventory.splitlines()}
    second = re.compile(r"D(ict)?$")  # BoundaryBandD and BoundaryBandDict are BoundaryBandd
    wanted = {
        f"{part.__name__}.{second.sub('d', name) if second.sub('d', name) in names else name}"
        for part, names in PARTS.items()
        for name in names
    }
    assert wanted - known == set()


def test_no_page_asks_the_network_for_anything(site: Path) -> None:
    asked = re.compile(
        r"""<(?:script|img|iframe|source)[^>]*\ssrc=["']?(?:https?:)?//|<link[^>]*\shref=["']?(?:https?:)?//"""
    )
    pages = list(site.rglob("*.html"))
    assert len(pages) > 40
    assert not [page.name for page in pages if asked.search(page.read_text("utf-8"))]
    assert not [
        sheet
        for sheet in site.rglob("*.css")
        if re.search(r"(?:url\(|@import)\s*[\"']?https?:", sheet.read_text("utf-8"))
    ]


def test_every_picture_is_shown_in_the_gallery(site: Path) -> None:
    shown = set(re.findall(r'<img[^>]*src="([^"]*)"', (site / "gallery.html").read_text("utf-8")))
    pictures = {
        path.relative_to(ROOT / "docs").as_posix()
        for kind in ("png", "svg")
        for path in (ROOT / "docs").rglob(f"*.{kind}")
    }
    assert shown >= pictures


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_drawn_without_an_error_in_light_and_in_dark(address: str, page: str, tmp_path: Path) -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot", reason="matplotlib is not installed")
    brightness = {}
    for name, scheme in (("dark", 0), ("light", 1)):
        file = tmp_path / f"{name}.png"
        result = browse(
            tmp_path / name, "--window-size=1280,1000", f"--blink-settings=preferredColorScheme={scheme}",
            f"--screenshot={file}", f"{address}/{page}",
        )  # fmt: skip
        assert file.is_file(), result.stderr[-2000:]
        assert "CONSOLE" not in result.stderr, result.stderr
        picture = pyplot.imread(file)[..., :3]
        assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 50
        brightness[name] = float(picture[200:].mean())
    assert brightness["dark"] < 0.4 < 0.7 < brightness["light"]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_fits_on_a_screen_of_400_pixels(site: Path, address: str, page: str, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        wrapper = site / "narrow.html"
        stack.callback(wrapper.unlink)
        wrapper.write_text(NARROW.format(page=html.escape(page)))
        result = browse(tmp_path, "--dump-dom", f"{address}/narrow.html")
    width = re.search(r'<p id="width">(\d+)</p>', result.stdout)
    assert width, result.stdout[-500:] + result.stderr[-2000:]
    assert int(width[1]) <= 400
