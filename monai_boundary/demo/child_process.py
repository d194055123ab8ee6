"""One nnU-Net command as a child process: its output goes to a log file, its progress to one line on the screen."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import click

__all__ = ["StatusLine", "find_command", "run_command"]

_LAST_LINES = 3
_POLL_S = 0.2


class StatusLine:
    """One line for one step, rewritten while it runs on a terminal, printed once when it is done elsewhere."""

    def __init__(self, title: str) -> None:
        self.title, self.detail = title, ""
        self._start, self._live = time.monotonic(), sys.stdout.isatty()

    def draw(self) -> None:
        """Redraw the line on a terminal."""
        if self._live:
            width = max(20, shutil.get_terminal_size().columns - 10)
            text = f"  ...  {self.title} {self.detail}".rstrip()[:width]
            click.echo(f"\r\033[K{text} {time.monotonic() - self._start:4.0f} s", nl=False)

    def finish(self, mark: str = "done") -> None:
        """Replace the line by its final form."""
        start = "\r\033[K" if self._live else ""
        click.echo(f"{start}  {mark:4s} {self.title} ({time.monotonic() - self._start:.0f} s)")


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
    status, tail = StatusLine(title), list[str]()
    with log.open("ab") as file:
        file.write(f"$ {' '.join(command)}\n".encode())
        file.flush()
        start = file.tell()
        with _started(command, environment, file) as child:
            for line in _lines(log, start, child, status):
                status.detail = describe(line) or status.detail
                tail = [*tail, " ".join(line.split())][-_LAST_LINES:] if line.strip() else tail
    if child.returncode != 0:
        status.finish("FAIL")
        name = Path(command[0]).name
        raise RuntimeError(f"{name} failed with exit code {child.returncode}: {' | '.join(tail)}; full log: {log}")
    status.finish()


def _lines(log: Path, start: int, child: subprocess.Popen[bytes], status: StatusLine) -> Iterator[str]:
    """Yield the lines that the child adds to the log; the status line is redrawn while it is silent."""
    running, rest = True, ""
    with log.open(encoding="utf-8", errors="replace") as output:
        output.seek(start)
        while running:
            running = child.poll() is None  # asked first, so that the last lines are read, too
            *lines, rest = (rest + output.read()).split("\n")
            yield from lines
            status.draw()
            time.sleep(_POLL_S if running else 0)
    yield rest


@contextmanager
def _started(
    command: Sequence[str], environment: Mapping[str, str], output: IO[bytes]
) -> Iterator[subprocess.Popen[bytes]]:
    """Start the child in a session of its own and end it with all its workers when the block is left early."""
    own_session = os.name == "posix"
    child = subprocess.Popen(  # noqa: S603 - the command is built by the demo, no shell
        list(command),
        env={**os.environ, **environment, "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=own_session,
    )
    try:
        yield child
    finally:
        if child.poll() is None:
            if own_session:
                os.killpg(child.pid, signal.SIGTERM)
            else:
                child.terminate()
            child.wait()
