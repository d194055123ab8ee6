"""The file format: one Blosc2 array `(C, *S)` per case, as nnU-Net stores its data.

Blocks of 32^3 voxels are compressed on their own, so that a patch is read without the rest of the volume.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["ENDING", "encode_map", "open_map", "require_blosc2"]

ENDING = ".b2nd"
BLOCK, CHUNK = 32, 64


def require_blosc2() -> Any:
    """Return the module blosc2.

    Raises:
        ImportError: It is not installed.
    """
    try:
        import blosc2
    except ImportError:
        raise ImportError("precomputed maps need blosc2, got none; pip install 'monai-boundary[maps]'") from None
    return blosc2


def encode_map(maps: np.ndarray) -> bytes:
    """Return the content of the file of `maps`, `(C, *S)` in C order."""
    blosc2 = require_blosc2()
    chunks, blocks = ((1, *(min(edge, size) for size in maps.shape[1:])) for edge in (CHUNK, BLOCK))
    settings = {"codec": blosc2.Codec.LZ4HC, "clevel": 5, "filters": [blosc2.Filter.SHUFFLE], "nthreads": 1}
    array = blosc2.asarray(maps, chunks=chunks, blocks=blocks, cparams=settings)
    content: bytes = array.to_cframe()
    return content


def open_map(path: Path) -> Any:
    """Return the array in a file; slices of it are read when they are asked for."""
    blosc2 = require_blosc2()
    # like nnU-Net, for which a memory map does not work on Windows
    mapped = {} if os.name == "nt" else {"mmap_mode": "r"}
    return blosc2.open(str(path), mode="r", dparams={"nthreads": 1}, **mapped)
