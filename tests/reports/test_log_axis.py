"""The labels of the sizes of lesions: more than one, none over another, in the unit of the files."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk  # noqa: N813
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from monai_boundary.datasets import write_volume
from monai_boundary.evaluation import EvaluationSettings, evaluate_folder, write_report
from monai_boundary.reports.scores import lesions_figure
from monai_boundary.reports.sizes import sizes_figure

RANGES = [
    (12, 95), (310, 420), (8, 8), (10, 100), (2.01, 9.9), (1.02, 4.9), (5, 400), (1, 900), (1, 60_000),
    (120_000, 610_000), (210_000, 999_000), (0.02, 0.09), (100, 100.5),
]  # fmt: skip


def labels(figure: Figure, axis: Axes) -> list:
    """Boxes of the labels of the horizontal axis that are drawn, from left to right."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    low, high = axis.get_xlim()
    texts = [
        text
        for minor in (False, True)
        for tick, text in zip(axis.get_xticks(minor=minor), axis.get_xticklabels(minor=minor), strict=True)
        if low <= tick <= high and text.get_text()
    ]
    boxes = [text.get_window_extent(canvas.get_renderer()) for text in texts]
    return sorted(boxes, key=lambda box: box.x0)


@pytest.mark.parametrize(("low", "high"), RANGES)
def test_labels_of_the_sizes_lie_beside_each_other(low: float, high: float) -> None:
    sizes = np.geomspace(low, high, 9)
    table = pd.DataFrame({"label": 1, "kind": "found", "volume_mm3": sizes, "dice": 0.5})
    spread = sizes_figure({"a": {"one": sizes}, "b": {"one": sizes}}, "mm^3", (low, low))
    for figure in (lesions_figure(table), spread):
        boxes = labels(figure, figure.axes[-1])
        assert len(boxes) >= 2
        assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))


@pytest.mark.parametrize(("kind", "size", "unit"), [("png", "size (px)", "px"), ("nii.gz", "volume (mm³)", "mm")])
def test_the_report_has_the_unit_of_the_files(
    kind: str, size: str, unit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    draw = lesions_figure

    def kept(*args):
        drawn.append(draw(*args))
        return drawn[-1]

    monkeypatch.setattr("monai_boundary.evaluation.report.lesions_figure", kept)
    mask = np.zeros((30, 40), np.uint8)
    mask[3:9, 4:10] = mask[15:20, 20:33] = 1
    for folder in ("pred", "truth"):
        (tmp_path / folder).mkdir()
        if kind == "png":
            sitk.WriteImage(sitk.GetImageFromArray(mask), tmp_path / folder / "a.png")
        else:
            write_volume(tmp_path / folder / "a.nii.gz", mask[None], (2.0, 1.0, 1.0))
    settings = EvaluationSettings("lesions", empty=50.0)
    result = evaluate_folder(tmp_path / "pred", tmp_path / "truth", settings, progress=False)
    text = write_report(result, tmp_path / "report.html").read_text(encoding="utf-8")
    assert drawn[0].axes[0].get_xlabel() == size
    space = "mm³" if unit == "mm" else "px"
    assert f"surface Dice at 1.0 {unit}," in text
    assert f"distances are\n50.0 {unit}." in text
    assert re.search(rf"up to 0.0 {space}, medium from 10.0 and large from 100.0 {space}", text)
