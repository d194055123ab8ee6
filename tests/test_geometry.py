"""The one rule of voxel spacing by itself; what transforms make of it is in tests/transforms/test_spacing.py."""

from __future__ import annotations

import numpy as np
import pytest

from monai_boundary._geometry import ShearedAffineWarning, affine_spacing, is_sheared


@pytest.mark.parametrize(("first", "second"), [(0, 1), (0, 2), (1, 2)])
def test_shear_between_any_two_axes_is_named(first, second):
    affine = np.diag([3.0, 1.0, 0.5, 1.0])
    affine[first, second] = 0.4 * affine[second, second]
    with pytest.warns(ShearedAffineWarning, match=r"as if its axes were orthogonal; resample to .* \(Spacingd, Orient"):
        affine_spacing(affine, 3)
    assert is_sheared(affine, second + 1)
    assert not is_sheared(affine, second)  # the slice without that axis
    affine_spacing(affine, second)


def test_the_warning_points_to_the_call_of_the_reader():  # mutmut cannot run this: its own frames would count
    read = lambda: affine_spacing(np.array([[1, 0.4, 0], [0, 1, 0], [0, 0, 1]]), 2)  # noqa: E731
    with pytest.warns(ShearedAffineWarning) as caught:
        read()
    assert caught[0].filename == __file__


def test_lengths_are_measured_in_double_precision():
    affine = np.eye(4, dtype=np.float32)
    affine[:3, :3] = np.linalg.qr(np.arange(9.0).reshape(3, 3) ** 2 + np.eye(3))[0] * [0.7, 0.9, 4.1]
    assert affine_spacing(affine, 3) == affine_spacing(affine.astype(np.float64), 3)
