"""Files that are either whole or not there: the one way in which the package writes what others will read."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["file_digest", "part_pattern", "replacing", "write_json", "write_text"]


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path for a file or folder that takes the place of `path` when the block has succeeded.

    Folders on the way are made. When the block fails, or its process is killed, what was at `path` stays as it was;
    after a failure the temporary path and the folders made for it are gone.

    Raises:
        OSError: What is written does not fit or may not be written; the error names `path`.

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
        _remove(aside)
    except BaseException as error:
        _remove(part)
        for folder in missing:
            with suppress(OSError):
                folder.rmdir()
        if isinstance(error, OSError) and error.errno and error.filename in (None, str(part)):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def part_pattern(name: str) -> str:
    """Return the pattern of what a killed writer of the file `name` leaves beside it."""
    return f".{name}.{'[0-9a-f]' * 32}.part"


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a UTF-8 text file in one step, over any other."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8", newline="")


def write_json(path: str | os.PathLike[str], content: object) -> None:
    """Write a JSON file in one step, over any other."""
    write_text(path, json.dumps(content, indent=1) + "\n")


def file_digest(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
