"""A server of files on this machine, with ranges of bytes as GDAL asks for, or without.

It is a process of its own, as rasterio holds Python's lock while GDAL looks for masks beside a file.
"""

from __future__ import annotations

import http.server
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


class Handler(http.server.SimpleHTTPRequestHandler):
    ranges = True

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        path = Path(self.translate_path(self.path))
        if not self.ranges or asked is None or not path.is_file():
            super().do_GET()
            return
        content = path.read_bytes()
        first, last = int(asked[1]), min(int(asked[2] or len(content)), len(content) - 1)
        self.send_response(206 if first < len(content) else 416)
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        self.send_header("Content-Length", str(max(0, last + 1 - first)))
        self.end_headers()
        self.wfile.write(content[first : last + 1])


@contextmanager
def serving(folder: Path, ranges: bool = True) -> Iterator[str]:
    """Give the address of a folder, such as ``127.0.0.1:4711``."""
    command = [sys.executable, "-m", "tests.datasets.remote.serving", str(folder), str(int(ranges))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:
        try:
            yield f"127.0.0.1:{child.stdout.readline().strip()}"
        finally:
            child.terminate()


if __name__ == "__main__":
    Handler.ranges = sys.argv[2] == "1"
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=sys.argv[1])) as server:
        print(server.server_port, flush=True)
        server.serve_forever()
