"""Search for the weight of the boundary term during training: `WeightSearch` and its glue to MONAI's engines."""

from monai_boundary.weight_search.handler import WeightSearchHandler
from monai_boundary.weight_search.journal import SearchRound
from monai_boundary.weight_search.search import WeightSearch

__all__ = ["SearchRound", "WeightSearch", "WeightSearchHandler"]
