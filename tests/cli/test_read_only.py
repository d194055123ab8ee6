"""An output folder that cannot be written is named, and nothing else goes wrong."""

import ctypes
import struct
import sys
from contextlib import contextmanager

import pytest

# linux/capability.h: the superuser writes into any folder because of the first, and reads it because of the second
_DAC_OVERRIDE, _DAC_READ_SEARCH = 1 << 1, 1 << 2


@contextmanager
def without_override():
    """Take from the superuser the right to pass over permissions, as long as this lasts; from others nothing."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = struct.pack("=Ii", 0x20080522, 0)  # version 3, this thread
    held = ctypes.create_string_buffer(24)
    if libc.capget(header, held):
        raise OSError(ctypes.get_errno(), "capget")
    low, *rest = struct.unpack("=6I", held.raw)
    reduced = struct.pack("=6I", low & ~(_DAC_OVERRIDE | _DAC_READ_SEARCH), *rest)
    if libc.capset(header, reduced):
        raise OSError(ctypes.get_errno(), "capset")
    try:
        yield
    finally:
        libc.capset(header, held)


@pytest.fixture
def locked(tmp_path):
    """A folder that this process may read and not write, also when the superuser runs the tests."""
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    with without_override():
        yield folder


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="capabilities are those of Linux")
@pytest.mark.parametrize("command", ["inspect", "export", "export one", "demo"])
def test_a_read_only_output_folder_is_named(run, case, model, locked, command):
    calls = {
        "inspect": ["inspect", case / "image.nii.gz", case / "label.nii.gz", "-o", locked / "o.png"],
        "export": ["export-checkpoint", model, "-o", locked],
        "export one": ["export-checkpoint", model / "fold_0" / "checkpoint_final.pth", "-o", locked / "o.pth"],
        "demo": ["demo", "-o", locked / "demo"],
    }
    result = run(*calls[command])
    assert result.exit_code == 2
    assert str(locked) in result.stderr
    assert "Permission denied" in result.stderr
    assert result.stderr.count("\n") == 1
