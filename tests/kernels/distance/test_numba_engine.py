"""How the numba engine is compiled, kept and replaced; its distances are in test_backends."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import monai_boundary
from monai_boundary import signed_distance
from monai_boundary.kernels.distance import EngineWarning, plan

pytest.importorskip("numba")
from monai_boundary.kernels.distance import numba_engine

MASK = np.random.default_rng(0).random((9, 20, 40)) < 0.1
MAP = """
import sys, numpy as np
from monai_boundary.kernels.distance import signed_distance
mask = np.random.default_rng(0).random((9, 20, 40)) < 0.1
print(float(np.abs(signed_distance(mask, (3.0, 1.0, 1.0), backend="numba")).sum(dtype=np.float64)))
"""
NOTE = "monai-boundary: compiling the distance kernels, once per environment (about 10 s)\n"


def children(count: int, **environment: str) -> list[tuple[str, str]]:
    """Standard output and error of processes that start together and measure the mask."""
    root = Path(monai_boundary.__file__).parents[1]
    started = [
        subprocess.Popen(
            [sys.executable, "-c", MAP], cwd=root, env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(count)
    ]  # fmt: skip
    return [process.communicate(timeout=500) for process in started]


@pytest.mark.cli
def test_processes_that_start_on_an_empty_cache_make_the_same_right_map(tmp_path):
    expected = float(np.abs(signed_distance(MASK, (3.0, 1.0, 1.0), backend="scipy")).sum(dtype=np.float64))
    found = children(4, NUMBA_CACHE_DIR=str(tmp_path))
    assert {out for out, _ in found} == {found[0][0]}
    assert float(found[0][0]) == pytest.approx(expected, rel=1e-6)
    assert sorted(error for _, error in found) == [""] * 3 + [NOTE]  # one compiles, the others wait for its code
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nbc")}
    assert files
    out, error = children(1, NUMBA_CACHE_DIR=str(tmp_path))[0]
    assert out == found[0][0]
    assert error == ""  # loaded, nothing compiled
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nbc")} == files


def test_code_is_kept_in_a_private_folder_where_nothing_else_can_be_written(tmp_path, monkeypatch):
    from numba.core import caching, config

    from monai_boundary.kernels import compiled

    for locator in caching.CacheImpl._locator_classes:
        if locator.__name__.lstrip("_") != "UserProvidedCacheLocator":  # numba 0.60 has it with an underscore
            monkeypatch.setattr(locator, "from_function", classmethod(lambda *_: None))
    monkeypatch.setattr(config, "CACHE_DIR", "")
    monkeypatch.setattr(compiled.tempfile, "tempdir", str(tmp_path))

    @compiled.compiled(compiled.int64(compiled.int64))
    def twice(number):
        return 2 * number

    assert twice(4) == 8
    (folder,) = tmp_path.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    (kept,) = folder.rglob("*.nbi")
    assert compiled._DIGEST in kept.name  # what it calls may stand in other files
    assert config.CACHE_DIR == ""
    folder.chmod(0o777)  # somebody else could have put code there
    assert Path(compiled._private_folder()) != folder


@pytest.mark.parametrize("fault", ["raises", "wrong"])
def test_an_engine_that_fails_its_check_is_replaced_with_one_warning(monkeypatch, fault):
    def fails(*_: object) -> None:
        if fault == "raises":
            raise TypeError("no LLVM for this numba")

    monkeypatch.setattr(numba_engine, "_measure", fails)
    plan._numba_works.cache_clear()
    try:
        reason = "TypeError: no LLVM for this numba" if fault == "raises" else "a distance is off by"
        with pytest.warns(EngineWarning, match=rf"edt takes its place.*{reason}.*pip install 'numba"):
            found = signed_distance(MASK)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            np.testing.assert_array_equal(signed_distance(MASK), found)
        np.testing.assert_array_equal(found, signed_distance(MASK, backend="edt"))
    finally:
        plan._numba_works.cache_clear()


def test_only_the_box_of_the_clip_is_swept(monkeypatch):
    boxes, measure = [], numba_engine._measure
    monkeypatch.setattr(numba_engine, "_measure", lambda *given: boxes.append(given[1].tolist()) or measure(*given))
    labels = np.zeros((1, 20, 30, 40), np.uint8)
    labels[0, 8:10, 20:22, 5:8] = 1
    monai_boundary.signed_distance_map(labels, 2, (3.0, 1.0, 1.0), clip=5.0, backend="numba")
    assert boxes == [[5, 13, 13, 29, 0, 15]]
