"""Challenge downloads to nnU-Net raw data sets that MONAI reads, too.

A challenge is an entry in `challenges`: a `Challenge` with its channels, labels and published split, and a function
that says of each file of the download which case it belongs to and what it is in that case. The rest is common: `case`
finds, reads and writes one, `conversion` goes through them all and keeps a record, so that a run that was broken off
goes on. Data that need no conversion (`monai_boundary.datasets.em`, `.remote`) are read where they lie.
"""

from monai_boundary.datasets.convert.challenges import CHALLENGES, Challenge
from monai_boundary.datasets.convert.conversion import Conversion, convert_cases, convert_challenge

__all__ = ["CHALLENGES", "Challenge", "Conversion", "convert_cases", "convert_challenge"]
