"""The published protocol, from a datalist to a table of scores."""

from monai_boundary.protocols.run import RunSettings, run_protocol
from monai_boundary.protocols.settings import SETTINGS

__all__ = ["SETTINGS", "RunSettings", "run_protocol"]
