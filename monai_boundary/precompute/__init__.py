"""Make the distance maps of whole volumes of a data set, once, and on as many machines as there are."""

from monai_boundary.precompute.run import Precomputed, precompute_maps, precompute_shard

__all__ = ["Precomputed", "precompute_maps", "precompute_shard"]
