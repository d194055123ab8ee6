"""When a float is a label: the one rule of all readers, transforms, losses and metrics. Imports no torch."""

from __future__ import annotations

import numpy as np

__all__ = ["WHOLE", "near_integers", "whole_numbers"]

#: A float nearer than this to a whole number is that label: a file that stores 0 and 255 with the slope 1/255 reads as
#: 1.00000006, one with the slope 1/49 as 0.99999994. What linear resampling leaves is mostly farther off.
WHOLE = 1e-4


def near_integers(values: np.ndarray) -> np.ndarray:
    """Return floats with those that scaling has moved off a whole number put back; others, and NaN, stay."""
    whole = np.rint(values)
    if np.array_equal(whole, values):  # nearly always, and a third of the time
        return values
    with np.errstate(invalid="ignore"):  # inf less inf
        return np.where(np.abs(values - whole) < WHOLE, whole, values)


def whole_numbers(values: np.ndarray) -> np.ndarray | None:
    """Return floats as what `near_integers` makes of them where all are whole numbers, else ``None``."""
    whole = near_integers(values)
    return whole if np.isfinite(whole).all() and (whole == np.rint(whole)).all() else None
