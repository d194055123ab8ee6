"""Distance maps of the whole volumes of a data set, computed once, on one machine or many.

`run` finds what is missing and reports, `jobs` computes one map. The files are written by ``map_store``; the
command is `monai_boundary.cli.precompute`.
"""

from monai_boundary.precompute.run import Precomputed, precompute_maps

__all__ = ["Precomputed", "precompute_maps"]
