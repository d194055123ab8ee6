"""Boundary-aware training of segmentation networks for MONAI and nnU-Net.

The public names are listed in ``__init__.pyi``, each with its home, and imported on first use: torch and MONAI take
seconds to import, which ``monai-boundary --help`` and the reports should not cost.
"""

from lazy_loader import attach_stub

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
