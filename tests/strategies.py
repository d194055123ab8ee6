"""Hypothesis strategies: small masks, label maps and spacings of 1 to 3 axes."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

CONVENTIONS = ("half", "centre", "kervadec", "kervadec_mm")

shapes = hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=6)
any_masks = shapes.flatmap(lambda shape: hnp.arrays(bool, shape))
sizes = st.floats(0.25, 6.0, width=32)


def spacings(ndim: int) -> st.SearchStrategy[tuple[float, ...]]:
    """One size between 0.25 and 6 mm per axis."""
    return st.tuples(*[sizes] * ndim)


@st.composite
def masks_and_spacings(draw: st.DrawFn) -> tuple[np.ndarray, tuple[float, ...]]:
    """A mask with at least one voxel on each side, and its spacing."""
    shape = draw(shapes.filter(lambda s: np.prod(s) > 1))
    mask = draw(hnp.arrays(bool, shape))
    first, second = draw(st.permutations(range(mask.size)))[:2]
    mask.flat[first], mask.flat[second] = True, False
    return mask, draw(spacings(mask.ndim))


@st.composite
def label_maps(draw: st.DrawFn, num_classes: int = 3, ignore: int | None = None) -> np.ndarray:
    """Labels `(1, *S)`; classes may be absent; `ignore` adds that label."""
    values = [*range(num_classes), *([] if ignore is None else [ignore])]
    return draw(hnp.arrays(np.int64, (1, *draw(shapes)), elements=st.sampled_from(values)))


@st.composite
def logits_and_maps(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Logits and a distance map of one shape `(B, C, *S)`, B in 1..3, C in 2..4."""
    shape = (draw(st.integers(1, 3)), draw(st.integers(2, 4)), *draw(hnp.array_shapes(max_dims=3, max_side=4)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return rng.normal(0, 3, shape), rng.normal(0, 10, shape)
