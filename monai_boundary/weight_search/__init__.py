"""Search for the weight of the boundary term during training.

`policy` says which epoch belongs to which search and what is kept, `search` trains by it and saves it to disk,
`saved_state` takes snapshots of a training, `handler` connects it to MONAI's engines. Schedules that need no search
are in `monai_boundary.schedules`.
"""

from monai_boundary.weight_search.handler import WeightSearchHandler
from monai_boundary.weight_search.policy import SearchRound
from monai_boundary.weight_search.search import WeightSearch

__all__ = ["SearchRound", "WeightSearch", "WeightSearchHandler"]
