"""``python -m monai_boundary.cli``."""

from monai_boundary.cli import main

main()
