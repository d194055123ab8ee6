"""Pictures of images, contours and distance maps; needs the extra `report` (matplotlib), imports no torch."""

from monai_boundary.reports.figures import distance_figure, inspect_figure, overlay_figure, save_figure

__all__ = ["distance_figure", "inspect_figure", "overlay_figure", "save_figure"]
