"""Make the distance maps of whole volumes of a data set, once, on as many machines as there are.

What is written is in ``map_store``; the command is `monai_boundary.cli.precompute`.
"""

from monai_boundary.precompute.run import Precomputed, precompute_maps

__all__ = ["Precomputed", "precompute_maps"]
