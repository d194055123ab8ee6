"""Child of test_full_disk.py: call every writer with less room than it takes, step by step until it has enough.

python -m tests.full_disk.child tmpfs|limit DISK INPUTS: prints for each writer a line of JSON.
"""

from __future__ import annotations

import errno
import json
import os
import re
import resource
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import matplotlib

from tests.full_disk.writers import Outcome, Writer, command, make_writers

Tree = dict[str, bytes]
#: Bytes of room: none, one page of the disk, four, sixteen, ...
ROOMS = (0, *(1 << power for power in range(12, 26, 2)))
REASONS = tuple(os.strerror(number) for number in (errno.ENOSPC, errno.EFBIG))
#: What GDAL says, which does not know the reason
CHECKED = "must be written whole, got: "
PASSING = re.compile(rb"[0-9a-f]{32}|\d{4}-\d\d-\d\dT[\d:.]{12}Z")
#: What convert notes of a case that it is about to write again, and consensus of a run that it has begun
BEGUN = (b"null\n", b'"complete": false')


def leave(disk: Path, room: int | None) -> None:
    """Fill a disk but for so many bytes; ``None`` frees it."""
    ballast = disk / "ballast"
    ballast.unlink(missing_ok=True)
    state = os.statvfs(disk)
    if room is not None and (size := state.f_bavail * state.f_frsize - room) > 0:
        with ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, size)


def limit(_: Path, room: int | None) -> None:
    """Let no file be larger."""
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY if room is None else room, resource.RLIM_INFINITY)
    )


def tree(folder: Path) -> Tree:
    """Names and content of all files, but for names that torch notes while it writes, and times that GDAL does."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): PASSING.sub(b"", path.read_bytes()) for path in files}


def untold(outcome: Outcome, out: Path) -> Iterator[str]:
    """Say what is wrong with the error of a call that had too little room."""
    if outcome.code != 2 or outcome.text.count("error:") != 1:
        yield f"ended with {outcome.code} and {outcome.text!r}"
    if str(out) not in outcome.text or not any(reason in outcome.text for reason in (*REASONS, CHECKED)):
        yield f"does not say which file and why: {outcome.text!r}"


def damage(found: Tree, before: Tree, new: Tree, together: bool) -> Iterator[str]:
    """Say what is wrong with the files afterwards."""
    if hidden := [name for name in found if Path(name).name.startswith(".")]:
        yield f"left {hidden}"
    if together:
        if changed := sorted(name for name in {*found, *before} if found.get(name) != before.get(name)):
            yield f"changed {changed}"
    elif broken := [
        name for name, content in found.items()
        if content not in (before.get(name), new.get(name)) and not any(mark in content for mark in BEGUN)
    ]:  # fmt: skip
        yield f"broke {broken}"


def judge(writer: Writer, out: Path, give: Callable[[int | None], None]) -> dict[str, object]:
    """Return how many calls failed, and what was wrong."""
    wrong: list[str] = []

    def state(again: bool) -> Tree:
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        done = writer.call(out, again)
        if done.code != 0:
            wrong.append(f"with room: {done}")
        return tree(out)

    new, before = state(True), state(False)
    failed = 0
    for room in ROOMS:
        give(room)
        done = writer.call(out, True)
        give(None)
        found = tree(out)
        if done.code == 0:
            break
        failed += 1
        wrong += [f"with {room} bytes: {one}" for one in untold(done, out)]
        wrong += [f"with {room} bytes: {one}" for one in damage(found, before, new, writer.together)]
    if found != new or done.code != 0:
        wrong.append(f"at last it wrote {sorted(found)} and not {sorted(new)}: {done}")
    if all(before[name] == new[name] for name in {*before} & {*new}):
        wrong.append("what is there before cannot be told from what is new")
    shutil.rmtree(out)
    out.mkdir()
    give(0)
    done = writer.call(out, True)
    give(None)
    wrong += [f"into an empty folder: {one}" for one in (*untold(done, out), *damage(tree(out), {}, {}, True))]
    shutil.rmtree(out)
    return {"failed": failed + 1, "wrong": wrong}


def main() -> None:
    """Judge all writers."""
    kind, disk, inputs = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    warnings.simplefilter("ignore")
    matplotlib.rcParamsDefault["svg.hashsalt"] = matplotlib.rcParams["svg.hashsalt"] = "the same names each time"
    room = leave if kind == "tmpfs" else limit
    for name, writer in make_writers(inputs).items():
        if kind == "limit" and name.endswith("workers"):
            continue  # the limits of other processes are their own
        out = disk / "".join(letter if letter.isalnum() else "_" for letter in name)
        report(name, **judge(writer, out, partial(room, disk)))
    room(disk, 0)  # the demo goes on with nnU-Net's own commands: here only how it begins
    report("demo", failed=1, wrong=list(untold(command("demo", "-o", disk / "demo"), disk / "demo")))


def report(name: str, **found: object) -> None:
    """Print a line for the parent."""
    print(json.dumps({"name": name, **found}), flush=True)


if __name__ == "__main__":
    main()
