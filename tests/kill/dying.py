"""Child processes that end by SIGKILL at a chosen step of their work on files."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
import torch
from click.testing import CliRunner

from monai_boundary import cli

__all__ = ["KILLED", "Steps", "command", "die", "in_child", "needs_fork"]

KILLED = -signal.SIGKILL if hasattr(signal, "SIGKILL") else 0
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes, which need a POSIX system")
#: Audit events of Python for what changes a folder, and the place of the path among their arguments
EVENTS = {"open": 0, "os.rename": 0, "os.remove": 0, "os.mkdir": 0, "os.rmdir": 0}


def die() -> NoReturn:
    """End this process as ``kill -9`` does: nothing is written out, no block is left in order."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def in_child(call: Callable[[], object]) -> int:
    """Run a function in a forked process; return its exit code if that is an integer, or minus the signal."""
    child = os.fork()
    if child == 0:
        code: object = 1
        try:
            torch.set_num_threads(1)
            code = call()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code if isinstance(code, int) else 0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def command(*arguments: object, output: Path | None = None) -> int:
    """Run the command line, write what it says to `output`, and return its exit code."""
    done = CliRunner().invoke(cli.main, [str(argument) for argument in arguments])
    if output is not None:
        output.write_text(done.output)
    return done.exit_code


class Steps:
    """Counts what this process does to the files of a folder, and dies before step `last`.

    A step is what Python opens to write, moves, removes or makes there, and the middle and end of what it writes.
    """

    def __init__(self, folder: Path, last: int | None = None) -> None:
        self.folder, self.last, self.count = str(folder), last, 0
        write_text, write_bytes = Path.write_text, Path.write_bytes

        def in_two(write: Callable) -> Callable:
            def both(path: Path, content: str | bytes, *args: object, **settings: object) -> int:
                if str(path).startswith(self.folder):
                    write(path, content[: len(content) // 2], *args, **settings)
                    self.step()
                written: int = write(path, content, *args, **settings)
                return written

            return both

        Path.write_text, Path.write_bytes = in_two(write_text), in_two(write_bytes)  # type: ignore[method-assign]
        sys.addaudithook(self._hear)  # for the life of the process: call this in a child

    def _hear(self, event: str, arguments: tuple) -> None:
        if event not in EVENTS or not str(arguments[EVENTS[event]]).startswith(self.folder):
            return
        if event != "open" or arguments[2] & (os.O_WRONLY | os.O_RDWR):
            self.step()

    def step(self) -> None:
        """Count one step."""
        self.count += 1
        if self.count == self.last:
            die()
