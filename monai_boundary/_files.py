"""Files that are either whole or not there: the one way in which the package writes what others will read."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = [
    "copy_file",
    "half_placed",
    "is_full",
    "is_lock",
    "only_writer",
    "part_pattern",
    "remove",
    "remove_parts",
    "replacing",
    "together",
    "unescaped",
    "write_bytes",
    "write_csv",
    "write_json",
    "write_text",
    "write_torch",
]

#: How torch and NumPy, and so tifffile, say that a disk took only a part; they pass on no number.
_SHORT_WRITE = re.compile(r"unexpected pos \d+ vs \d+|file write failed|\d+ requested and \d+ written")
_LOCK = ".monai-boundary."
_NAMES = ".names.json"  # what `together` puts in place, in that order
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # disk, quota, limit of the process
#: What a spreadsheet takes for the beginning of a formula, in half and full width.
_FORMULA = tuple("=+-@\t\n＝＋－＠")  # noqa: RUF001


@contextmanager
def replacing(path: str | os.PathLike[str], size: int | None = None) -> Iterator[Path]:
    """Give a temporary path for a file or folder that takes the place of `path` when the block has succeeded.

    Folders on the way are made. When the block fails, or its process is killed, what was at `path` stays as it was;
    after a failure the temporary path and the folders made for it are gone.

    Args:
        path: The file or folder.
        size: Bytes that will be written, where they are known.

    Raises:
        OSError: What is written does not fit or may not be written; the error names `path` and, where the disk is full,
            the space that it takes and the space that is free.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     with replacing(Path(folder) / "new" / "scores.txt") as part:
        ...         _ = part.write_text("0.9")
        ...     (Path(folder) / "new" / "scores.txt").read_text()
        '0.9'
    """
    path = Path(path)
    # in the same folder, for a rename across file systems is a copy; one name for each writer
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    aside = part.with_suffix(".old")
    missing = [folder for folder in path.parents if not folder.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.touch()  # says that a folder is read-only; torch and GDAL have errors of their own for it
        part.unlink()
        yield part
        if part.is_dir() and path.is_dir():  # a folder cannot be replaced in one step: the old one steps aside first
            path.replace(aside)
        part.replace(path)
        remove(aside)
    except BaseException as error:
        full = _full_disk(error)
        text = "" if full is None else _shortage(part, size)  # before what was written is gone
        remove(part)
        for folder in missing:
            with suppress(OSError):
                folder.rmdir()
        if full is not None:
            raise OSError(full.errno, f"{full.strerror}: {text}", str(path)) from error
        if isinstance(error, OSError) and error.errno and error.filename in (None, str(part)):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


@contextmanager
def together(folder: str | os.PathLike[str], last: str) -> Iterator[Path]:
    """Give a temporary folder whose files take their places in `folder` when the block has succeeded.

    So the files of a result are all of one run. What a run that was killed left of its own is removed: call this as the
    `only_writer` of the folder.

    Args:
        folder: Made where it is missing.
        last: The file that takes its place last: where it lies, the result is whole.

    Raises:
        OSError: A file cannot be written; the error names it as it would lie in `folder`.
    """
    folder = Path(folder)
    remove_parts(folder, "together")
    part = folder / f".together.{uuid.uuid4().hex}.part"
    try:
        part.mkdir(parents=True)
        yield part
        paths = sorted(part.iterdir(), key=lambda path: path.name == last)
        write_text(part / _NAMES, json.dumps([path.name for path in paths]))  # which says what does not fit
        for path in paths:
            path.replace(folder / path.name)
    except OSError as error:
        if error.filename is None or not Path(error.filename).is_relative_to(part):
            raise
        raise OSError(error.errno, error.strerror, str(folder / Path(error.filename).relative_to(part))) from error
    finally:
        remove(part)


def half_placed(folder: Path) -> set[str]:
    """Return the names of the files that a killed `together` had put in their places, without the others."""
    found: set[str] = set()
    for names in folder.glob(f"{part_pattern('together')}/{_NAMES}"):
        with suppress(OSError, ValueError):  # the list itself may be half
            placed = [name for name in json.loads(names.read_text("utf-8")) if not (names.parent / name).exists()]
            found |= set(placed) if any(path != names for path in names.parent.iterdir()) else set()
    return found


@contextmanager
def only_writer(folder: str | os.PathLike[str], name: str = "run") -> Iterator[None]:
    """Keep other runs from writing to `folder` meanwhile, in other processes and on other machines, too.

    A second run says that it waits, and for what. The system takes the lock from a run that was killed.

    Args:
        folder: Made where it is missing, and removed again if nothing is in it in the end.
        name: Runs of different names do not wait for each other.

    Raises:
        OSError: The folder may not be written.
    """
    folder = Path(folder)
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{_LOCK}{name}.lock"
    lock = FileLock(path, thread_local=False)
    try:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            sys.stderr.write(f"another run of monai-boundary writes to {folder}: this one waits until it ends\n")
            lock.acquire()
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(folder)) from error
    try:
        yield
    finally:
        with suppress(OSError):  # Windows removes it itself
            path.unlink()  # while it is held: whoever waits for it then sees that it is gone, and makes another
        lock.release()
        for one in missing:
            with suppress(OSError):
                one.rmdir()


def is_lock(path: Path) -> bool:
    """Whether a file is what `only_writer` locks."""
    return path.name.startswith(_LOCK)


def is_full(error: BaseException | None) -> bool:
    """Whether an error says that a file did not fit: the disk, the quota, or the largest size of a file."""
    return isinstance(error, OSError) and error.errno in _FULL


def _full_disk(error: BaseException | None) -> OSError | None:
    """Return what says that a file did not fit, in an error or behind it: libraries wrap it in errors of their own."""
    while error is not None:
        number = error.errno if isinstance(error, OSError) else None
        if number is None and _SHORT_WRITE.search(str(error)):
            number = errno.ENOSPC
        if number in _FULL:
            return OSError(number, os.strerror(number))
        error = error.__cause__ or error.__context__
    return None


def _shortage(part: Path, size: int | None) -> str:
    """Say how much space a file takes and how much there is; of a size that nobody knows, what was written so far."""
    written = sum(file.stat().st_size for file in (part.rglob("*") if part.is_dir() else [part]) if file.is_file())
    folder = next(folder for folder in part.parents if folder.exists())
    taken = f"at least {written / 1e6:.3g}" if size is None else f"{size / 1e6:.3g}"
    return f"the file takes {taken} MB, {shutil.disk_usage(folder).free / 1e6:.3g} MB are free"


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it; nothing need be there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def remove_parts(folder: Path, name: str) -> None:
    """Remove what killed writers of the file `name` left in a folder that no one else writes to."""
    for part in folder.glob(part_pattern(name)):
        remove(part)


def part_pattern(name: str) -> str:
    """Return the pattern of what a killed writer of the file `name` leaves beside it."""
    return f".{name}.{'[0-9a-f]' * 32}.part"


def write_bytes(path: str | os.PathLike[str], content: bytes | memoryview) -> None:
    """Write a file in one step, over any other."""
    with replacing(path, len(content)) as part:
        part.write_bytes(content)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a UTF-8 text file in one step, over any other."""
    with replacing(path, len(text.encode())) as part:
        part.write_text(text, encoding="utf-8", newline="")


def copy_file(source: str | os.PathLike[str], path: str | os.PathLike[str]) -> None:
    """Copy a file in one step, over any other."""
    with replacing(path, os.stat(source).st_size) as part:  # noqa: PTH116 - it may be a text
        shutil.copyfile(source, part)


def write_csv(path: str | os.PathLike[str], table: DataFrame) -> None:
    """Write a table without its index in one step; a text that is a formula to a spreadsheet gets an apostrophe."""

    def cell(value: Any) -> Any:
        text = value.replace("\r", r"\r") if isinstance(value, str) else ""  # pandas would not quote it
        return (f"'{text}" if text.startswith(_FORMULA) else text) if text else value

    texts = {str(name): table[name].map(cell) for name in table.select_dtypes(exclude="number")}
    write_text(path, table.assign(**texts).to_csv(index=False, na_rep="nan"))


def unescaped(text: str) -> str:
    """Return a text of a table of `write_csv` without the apostrophe in front of a formula."""
    return text[1:] if text.startswith("'") and text[1:].startswith(_FORMULA) else text


def write_torch(path: str | os.PathLike[str], content: object) -> None:
    """Write what `torch.save` writes in one step, over any other."""
    import torch

    with replacing(path) as part:
        torch.save(content, part)


def write_json(path: str | os.PathLike[str], content: object) -> None:
    """Write a JSON file in one step, over any other; numbers may be NumPy's.

    Raises:
        TypeError: `content` holds what JSON does not.
    """
    import numpy as np

    def number(value: object) -> Any:
        if isinstance(value, np.generic):
            return value.item()
        raise TypeError(f"content must be JSON, got {type(value).__name__} in {path}")

    write_text(path, json.dumps(content, indent=1, default=number) + "\n")
