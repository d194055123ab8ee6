"""Files that are either whole or not there."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from pathlib import Path

__all__ = ["file_digest", "part_pattern", "write_json", "write_whole"]


def write_whole(path: str | os.PathLike[str], content: bytes | memoryview) -> None:
    """Write a file in one step, over any other; a writer that is killed leaves the old one, or none.

    Raises:
        OSError: The file cannot be written; nothing of it is left.
    """
    path = Path(path)
    # In the same folder, for a rename across file systems is a copy; one name for each writer.
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def part_pattern(name: str) -> str:
    """Return the pattern of what a killed writer of the file `name` leaves beside it."""
    return f".{name}.{'[0-9a-f]' * 32}.part"


def write_json(path: str | os.PathLike[str], content: object) -> None:
    """Write a JSON file in one step."""
    write_whole(path, (json.dumps(content, indent=1) + "\n").encode())


def file_digest(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
