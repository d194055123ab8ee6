"""The minimum-barrier cut of a boundary likelihood into the regions of its seeds.

`propagation` grows the fronts, `contours` reads regions and contours from them, `cut` checks the arguments and combines
both. Euclidean distances are in `kernels.distance`, seeds in `kernels.regions`.
"""

from monai_boundary.kernels.barrier.cut import (
    WEIGHTINGS,
    BarrierCut,
    barrier_weights,
    minimum_barrier_cut,
)

__all__ = ["WEIGHTINGS", "BarrierCut", "barrier_weights", "minimum_barrier_cut"]
