"""Pictures of images, contours, distance maps and scores. Needs the extra `report` (matplotlib), imports no torch.

The scores are computed in `monai_boundary.metrics`; the HTML report is in `monai_boundary.evaluation`.
"""

from monai_boundary.reports.figures import distance_figure, inspect_figure, overlay_figure, save_figure

__all__ = ["distance_figure", "inspect_figure", "overlay_figure", "save_figure"]
