"""Converters from challenge downloads to nnU-Net raw data sets with a MONAI datalist."""

from monai_boundary.datasets.convert.challenges import CHALLENGES
from monai_boundary.datasets.convert.run import Conversion, convert_challenge

__all__ = ["CHALLENGES", "Conversion", "convert_challenge"]
