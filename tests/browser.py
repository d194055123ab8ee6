"""Headless Chromium, and what is asked of every page of scores."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import pytest

__all__ = ["assert_page_works", "browse"]

_OPTIONS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars", "--virtual-time-budget=5000",
    "--enable-logging=stderr",
]  # fmt: skip
_PROBE = """<pre id="probe"></pre><script>addEventListener("load", () => {
const table = document.querySelector("table.sorted"), head = table.tHead.rows[0].cells[1];
const column = () => { head.click(); return [...table.tBodies[0].rows].map(row => row.cells[1].textContent); };
document.querySelector("#probe").textContent = JSON.stringify({up: column(), down: column(), sort: head.dataset.sort,
images: [...document.images].map(image => image.complete && image.naturalWidth > 100)}); });</script></body>"""


def browse(profile: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run headless Chromium once; skip where there is none."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no Chromium on the path; apt-get install chromium")
    command = [found, *_OPTIONS, f"--user-data-dir={profile}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def assert_page_works(page: Path, folder: Path, pictures: int) -> None:
    """Its pictures are shown, its table sorts by the second column both ways, it prints, the console stays empty."""
    probed = folder / "probed.html"
    probed.write_text(page.read_text("utf-8").replace("</body>", _PROBE), "utf-8")
    seen = browse(folder / "profile", "--dump-dom", probed.as_uri())
    assert "CONSOLE" not in seen.stderr, seen.stderr[-2000:]
    match = re.search(r'<pre id="probe">(.*?)</pre>', seen.stdout, re.DOTALL)
    assert match, seen.stdout[-300:] + seen.stderr[-1000:]
    found = json.loads(unescape(match[1]))
    assert found["images"] == [True] * pictures
    values = [float(text) for text in found["up"] if text != "-"]
    assert values == sorted(values)
    assert len(set(values)) > 1
    assert [float(text) for text in found["down"] if text != "-"] == sorted(values, reverse=True)
    lost = len(found["up"]) - len(values)
    assert found["up"][len(values) :] == found["down"][len(values) :] == ["-"] * lost  # what is undefined stays last
    assert found["sort"] == "down"
    browse(folder / "profile", "--no-pdf-header-footer", f"--print-to-pdf={folder / 'page.pdf'}", page.as_uri())
    assert (folder / "page.pdf").read_bytes().startswith(b"%PDF")
