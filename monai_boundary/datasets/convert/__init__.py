"""From challenge downloads to nnU-Net raw data sets that MONAI also reads.

A challenge is one short file, such as `wmh`, `isles2018`, `isles2022` and `acdc`: a `Challenge` with its channels,
labels and published split, and a function that says for each file of the download which case it belongs to and what it
is in that case. The rest is shared: `challenge` finds the cases, `case` reads and writes one, `conversion` processes
them all and keeps a record, so that an interrupted run can continue. To add a challenge, write its file and list it in
`CHALLENGES`. Data that need no conversion (`monai_boundary.datasets.em`, `.remote`) are read in place.
"""

from monai_boundary.datasets.convert.challenges import CHALLENGES, Challenge
from monai_boundary.datasets.convert.conversion import Conversion, convert_cases, convert_challenge

__all__ = ["CHALLENGES", "Challenge", "Conversion", "convert_cases", "convert_challenge"]
