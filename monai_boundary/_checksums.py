"""Whether a file is what was written: checksums of whole files, and of the parts of an archive."""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from pathlib import Path

__all__ = ["check_archive", "file_digest"]


def check_archive(path: str | os.PathLike[str]) -> None:
    """Raise ``ValueError`` when a part of a zip, as `torch.save` writes it, is damaged; of other files nothing is said.

    torch.load looks at no checksum.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            try:
                broken = archive.testzip()
            # the last two: a damaged header names a compression or a key that there is not
            except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
                raise ValueError(f"a damaged part: {error}") from error
            if broken:
                raise ValueError(f"bad checksum of {broken}")


def file_digest(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
