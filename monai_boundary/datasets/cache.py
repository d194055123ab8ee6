"""A `PersistentDataset` that checks what it reads back and keeps the affine.

An entry is a `torch.save` file of plain values, followed by ``MAGIC`` and the SHA-256 of that file.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from enum import Enum
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor, PersistentDataset
from monai.data.utils import pickle_hashing

from monai_boundary._files import write_bytes

__all__ = ["VerifiedPersistentDataset"]

#: Ends every entry, before the checksum; the digit is the version of the layout.
MAGIC = b"MBCACHE1"
DIGEST_SIZE = hashlib.sha256().digest_size
TRAILER_SIZE = len(MAGIC) + DIGEST_SIZE
#: Key that marks a dictionary which stands for an object that ``torch.load(weights_only=True)`` refuses.
KIND = "monai_boundary.kind"
# Exact types: a subclass is pickled as the name of its class, which weights_only refuses.
PLAIN = (type(None), bool, int, float, complex, str, bytes, torch.Tensor, torch.dtype, torch.device)


def _hash_with_files(item: Any) -> bytes:
    """Return the hash of an item and of the state of the files that it names: a path stays when its labels change."""
    states = [*_file_states(item)]
    hashed: bytes = pickle_hashing({"item": item, "files": states} if states else item)
    return hashed


def _file_states(value: Any) -> Iterator[tuple[int, int]]:
    if isinstance(value, Mapping):
        value = [value[key] for key in sorted(value, key=str)]
    if isinstance(value, list | tuple):
        for entry in value:
            yield from _file_states(entry)
    elif isinstance(value, str | PurePath) and os.path.isfile(value):  # noqa: PTH113 - any text may stand there
        state = os.stat(value)  # noqa: PTH116
        yield state.st_size, state.st_mtime_ns


class VerifiedPersistentDataset(PersistentDataset):
    """MONAI's `PersistentDataset` whose entries carry a checksum and the metadata of their `MetaTensor`.

    An entry that was truncated, emptied or changed in any bit, or that another class wrote, is never used: it is
    computed and written again, with a ``UserWarning`` that names the file. Entries are replaced in one step, so
    several DataLoader workers, processes and runs can share a folder. Like MONAI's, an entry does not know the
    transforms that made it: pass `hash_transform`, or empty the folder when they change. The checksum guards against
    faults, not against somebody who forges entries; no code in an entry is ever run.

    MONAI's own cache drops the affine, and with ``track_meta=True, weights_only=True`` it cannot read back what it
    wrote, for the NumPy arrays of an image header are no safe objects. Here a `MetaTensor` is stored as a plain tensor
    and plain metadata and put together after reading. Enumeration members come back as their values and NumPy scalars
    as Python numbers, subclasses of dict, list and tuple as these; arrays stay arrays. The first access returns the
    same as later ones.

    Args:
        data: Items to load, each hashed as the name of its entry, with size and time of the files that it names: those
            that were changed are read again.
        transform: Transforms; those before the first random one are cached.
        cache_dir: Folder of the entries, made where missing; ``None`` caches nothing. In a folder that may only be
            read, missing and damaged entries are computed on every access.
        hash_func: Gives the name of an entry from its item.
        hash_transform: Gives the part of the name that tells transforms apart; ``None``: no such part.
        reset_ops_id: Forget which instance of a transform was applied, so that new instances can invert it.
        track_meta: ``False`` stores the bare tensor of a `MetaTensor`, like MONAI's default.

    Raises:
        TypeError: On access, when a value to be cached is none of tensor, array, number, text, path or a dict, list
            or tuple of these.
        ValueError: `cache_dir` is a file.
        OSError: On access, when an entry cannot be read or written for another reason than missing permission to
            write.

    Example:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> data = VerifiedPersistentDataset([{"label": torch.ones(1, 2)}], lambda item: item, folder)
        >>> data[0]["label"].tolist()
        [[1.0, 1.0]]
    """

    def __init__(
        self,
        data: Sequence,
        transform: Sequence[Callable] | Callable,
        cache_dir: str | os.PathLike[str] | None,
        hash_func: Callable[..., bytes] = _hash_with_files,
        hash_transform: Callable[..., bytes] | None = None,
        reset_ops_id: bool = True,
        track_meta: bool = True,
    ) -> None:
        folder = None if cache_dir is None else Path(cache_dir)
        super().__init__(
            data, transform, folder, hash_func=hash_func, hash_transform=hash_transform, reset_ops_id=reset_ops_id
        )
        self.track_meta = track_meta  # not passed on: MONAI 1.5 refuses it together with weights_only

    def _cachecheck(self, item_transformed: Any) -> Any:
        """Return the item after the transforms before the first random one, from its entry where that is intact."""
        if self.cache_dir is None:
            return super()._cachecheck(item_transformed)
        name = self.hash_func(item_transformed).decode("utf-8") + self.transform_hash
        file = self.cache_dir / f"{name}.pt"
        content = _read_entry(file)
        if content is None:
            # a copy, because a transform that works in place would change the hash of the next access
            content = _encode(self._pre_transform(deepcopy(item_transformed)), "item", self.track_meta)
            with contextlib.suppress(PermissionError):  # like MONAI: a shared cache may be read-only
                _write_entry(file, content)
        return _decode(content)


def _read_entry(file: Path) -> Any:
    """Return the content of an entry; ``None`` where there is none or, with a warning, no intact one."""
    try:
        entry = file.read_bytes()
    except FileNotFoundError:
        return None
    # Both the check and torch.load see these bytes: a second read could give others.
    digest = hashlib.sha256(memoryview(entry)[:-TRAILER_SIZE]).digest()
    if entry[-TRAILER_SIZE:] == MAGIC + digest:
        return torch.load(io.BytesIO(entry), weights_only=True)
    fault = "does not end in a checksum (cut off, damaged, or written by another class)"
    if entry[-TRAILER_SIZE:-DIGEST_SIZE] == MAGIC:
        fault = "does not match its checksum"
    # Left in place until it is replaced: another worker may have put an intact one there by now.
    warnings.warn(f"cache entry {file} {fault}; it is computed again", UserWarning, stacklevel=5)
    return None


def _write_entry(file: Path, content: Any) -> None:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    digest = hashlib.sha256(buffer.getbuffer()).digest()
    buffer.write(MAGIC + digest)
    write_bytes(file, buffer.getbuffer())


def _encode(value: Any, where: str, track_meta: bool) -> Any:
    """Return `value` as tensors, numbers, texts, and dicts, lists and tuples of these."""
    if isinstance(value, Enum):
        value = value.value
    elif isinstance(value, np.generic):
        value = value.item()
    if type(value) in PLAIN:
        return value
    if isinstance(value, Mapping):
        return {
            _encode(key, f"a key of {where}", track_meta): _encode(entry, f"{where}[{key!r}]", track_meta)
            for key, entry in value.items()
        }
    if isinstance(value, list | tuple):
        entries = [_encode(entry, f"{where}[{number}]", track_meta) for number, entry in enumerate(value)]
        return entries if isinstance(value, list) else tuple(entries)
    if isinstance(value, MetaTensor):
        tensor = value.as_tensor()
        # vars: affine, meta and operations under MONAI's private names, as its own pickles have them
        state = {KIND: "MetaTensor", "tensor": tensor, "state": _encode(vars(value), where, True)}
        return state if track_meta else tensor
    if isinstance(value, np.ndarray) and not value.dtype.hasobject and value.dtype.names is None:
        # bytes, because torch has no texts, no foreign byte order and not every integer
        flat = np.array(value, order="C").reshape(-1).view(np.uint8)
        return {KIND: "array", "bytes": torch.from_numpy(flat), "dtype": value.dtype.str, "shape": value.shape}
    if isinstance(value, PurePath):
        return {KIND: "path", "path": str(value)}
    got = f"an array of {value.dtype}" if isinstance(value, np.ndarray) else type(value).__name__
    raise TypeError(
        f"{where} must be a tensor, array, number, text, path or a dict, list or tuple of these to be cached, got "
        f"{got}; remove it before the first random transform, e.g. with DeleteItemsd"
    )


def _decode(value: Any) -> Any:
    """Undo `_encode`."""
    if isinstance(value, list | tuple):
        return type(value)(_decode(entry) for entry in value)
    if not isinstance(value, dict):
        return value
    match value.get(KIND):
        case "MetaTensor":
            tensor = MetaTensor(value["tensor"])
            vars(tensor).update(_decode(value["state"]))
            return tensor
        case "array":
            return value["bytes"].numpy().view(value["dtype"]).reshape(value["shape"])
        case "path":
            return Path(value["path"])
    return {key: _decode(entry) for key, entry in value.items()}
