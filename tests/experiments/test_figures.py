"""The picture of predictions side by side, and curves of scores of any name."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from experiments.buildings.examples import Example, error_picture, examples_figure
from experiments.shared.curves import curves_figure


def test_right_missed_and_false_pixels_have_colours_of_their_own() -> None:
    pred, truth = np.array([[1, 1], [0, 0]], bool), np.array([[1, 0], [1, 0]], bool)
    expected = [[to_rgb("#FFFFFF"), to_rgb("#E69F00")], [to_rgb("#56B4E9"), to_rgb("#1A1A1A")]]
    np.testing.assert_allclose(error_picture(pred, truth), expected)


def test_every_example_is_a_row_of_image_truth_and_methods() -> None:
    truth = np.eye(8, dtype=bool)
    one = Example("eye", np.random.default_rng(0).random((3, 8, 8)), truth, {"a": truth, "b": ~truth})
    figure = examples_figure([one, one, one], "title")
    assert len(figure.axes) == 12
    assert [axis.get_title() for axis in figure.axes[:4]] == ["image", "truth", "a", "b"]
    np.testing.assert_array_equal(figure.axes[7].images[0].get_array(), error_picture(~truth, truth))
    assert figure.axes[4].get_ylabel() == "eye"


def test_examples_of_different_methods_are_refused() -> None:
    mask = np.eye(8, dtype=bool)
    rows = [Example(name, mask[None].astype(float), mask, {name: mask}) for name in "ab"]
    for wrong in (rows, []):
        with pytest.raises(ValueError, match="examples must be one or more with the same methods"):
            examples_figure(wrong, "title")


def test_a_curve_shows_the_median_and_range_of_the_seeds() -> None:
    rows = [
        {"data": "d", "setting": "s", "curve": [{"epoch": e, "iou": e * seed, "cases": []} for e in (1, 2)]}
        for seed in (1, 2, 6)
    ]
    figure = curves_figure(rows, {"iou": "IoU"})
    (axis,) = figure.axes
    (line,) = axis.lines
    assert line.get_xydata().tolist() == [[1, 2], [2, 4]]
    assert axis.get_ylabel() == "IoU"
    band = axis.collections[0].get_paths()[0].get_extents()
    assert (band.y0, band.y1) == (1, 12)


def test_the_dice_that_does_not_fade_has_the_colour_of_its_loss_and_a_line_of_its_own() -> None:
    curve = [{"epoch": 1, "iou": 0.5, "cases": []}]
    kinds = [("gdl+boundary3d", "published"), ("gdl+boundary3d", "robust")]
    kinds += [(f"scale-free {setting}", preset) for setting, preset in kinds] + [("dicece", "published")]
    rows = [{"data": "d", "setting": setting, "preset": preset, "curve": curve} for setting, preset in kinds]
    (axis,) = curves_figure(rows, {"iou": "IoU"}).axes
    assert len({line.get_color() for line in axis.lines[:4]}) == 1
    assert len({line.get_linestyle() for line in axis.lines[:4]}) == 4
    assert axis.lines[4].get_color() != axis.lines[0].get_color()
