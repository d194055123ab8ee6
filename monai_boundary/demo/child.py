"""Runs one nnU-Net command as a child process: its output goes to a log file, its progress to one line on screen."""

from __future__ import annotations

import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

__all__ = ["StatusLine", "find_command", "run_command"]

_LAST_LINES = 3


class StatusLine:
    """One line for one step, rewritten while it runs on a terminal, printed once when it is done elsewhere."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.detail = ""
        self._start = time.monotonic()
        self._live = sys.stdout.isatty()

    @property
    def seconds(self) -> float:
        """Time since the step began."""
        return time.monotonic() - self._start

    def draw(self) -> None:
        """Redraw the line on a terminal."""
        if self._live:
            text = f"  ...  {self.title} {self.detail}".rstrip()
            width = max(20, shutil.get_terminal_size().columns - 10)
            click.echo(f"\r\033[K{text[:width]} {self.seconds:4.0f} s", nl=False)

    def finish(self, mark: str = "done") -> None:
        """Replace the line by its final form."""
        start = "\r\033[K" if self._live else ""
        click.echo(f"{start}  {mark:4s} {self.title} ({self.seconds:.0f} s)")


def find_command(name: str) -> str:
    """Return the path of an nnU-Net command beside this Python, or else on the PATH."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if found is None:
        raise RuntimeError(f"the demo needs the command {name}, got none; pip install 'monai-boundary[nnunet]'")
    return found


def run_command(
    command: Sequence[str],
    environment: Mapping[str, str],
    log: Path,
    title: str,
    describe: Callable[[str], str | None] = lambda _line: None,
) -> None:
    """Run `command` to its end.

    Args:
        command: Program and arguments.
        environment: Added to that of this process.
        log: The child's output is appended to this file.
        title: What the step does, for the screen.
        describe: Gives the detail to show after an output line, or ``None`` to keep the last one.

    Raises:
        RuntimeError: The command failed; the text holds its last lines and the log's path.
    """
    status = StatusLine(title)
    tail: list[str] = []
    with log.open("a", encoding="utf-8", errors="replace") as file, _started(command, environment) as child:
        file.write(f"$ {' '.join(command)}\n")
        for line in _lines(child, status):
            file.write(line)
            file.flush()
            if line.strip():
                tail = [*tail, " ".join(line.split())][-_LAST_LINES:]
            status.detail = describe(line) or status.detail
            status.draw()
    if child.returncode != 0:
        status.finish("FAIL")
        name = Path(command[0]).name
        raise RuntimeError(f"{name} failed with exit code {child.returncode}: {' | '.join(tail)}; full log: {log}")
    status.finish()


def _lines(child: subprocess.Popen[str], status: StatusLine) -> Iterator[str]:
    """Output lines of the child; the status line is redrawn twice a second while it is silent."""
    lines: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        for line in child.stdout or ():
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    while True:
        try:
            line = lines.get(timeout=0.5)
        except queue.Empty:
            status.draw()
            continue
        if line is None:
            return
        yield line


@contextmanager
def _started(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Start the child in a session of its own and end it with all its workers when the block is left early."""
    own_session = os.name == "posix"
    child = subprocess.Popen(  # noqa: S603 - the command is built by the demo, no shell
        list(command),
        env={**os.environ, **environment, "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=own_session,
    )
    try:
        yield child
        child.wait()
    finally:
        if child.poll() is None:
            if own_session:
                os.killpg(child.pid, signal.SIGTERM)
            else:
                child.terminate()
            child.wait()
        if child.stdout is not None:
            child.stdout.close()
