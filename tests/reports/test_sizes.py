"""What the picture of the lesions' sizes shows."""

import numpy as np
import pandas as pd
import pytest

from monai_boundary.reports.scores import lesions_figure
from monai_boundary.reports.sizes import sizes_figure


def dots(axis):
    return sorted(float(x) for line in axis.lines if line.get_marker() == "o" for x in line.get_xdata())


def test_every_lesion_is_a_dot_at_its_size_on_a_log_axis():
    cases = {"big": np.array([3.0, 300.0]), "small": np.array([6.0]), "none": np.empty(0)}
    upper, lower = sizes_figure({"lesion": cases}, "mm^3", (3.0, 3.0)).axes
    assert dots(lower) == [3.0, 6.0, 300.0]
    assert lower.get_xscale() == upper.get_xscale() == "log"
    assert sum(patch.get_height() for patch in upper.containers[0]) == 3
    assert [tick.get_text() for tick in lower.get_yticklabels()] == ["none", "small", "big"]
    assert upper.get_title() == "lesion: 3 lesions, median 6.0"
    assert "mm³" in lower.get_xlabel()
    low, high = lower.get_xlim()
    assert low < 3
    assert high > 300


def test_the_smallest_voxel_lies_in_the_middle_of_a_bin():
    upper, _ = sizes_figure({"a": {"c": np.array([2.0, 2.0])}}, "px", (2.0, 2.0)).axes
    (bar,) = [patch for patch in upper.containers[0] if patch.get_height()]
    np.testing.assert_allclose(bar.get_x() * (bar.get_x() + bar.get_width()), 2.0**2)


def test_many_cases_are_counted_and_not_named():
    cases = {f"c{number}": np.array([5.0] if number % 2 else []) for number in range(60)}
    _, lower = sizes_figure({"a": cases}, "px", (1.0, 1.0)).axes
    assert lower.get_ylabel() == "30 cases by total size; 30 without it"
    assert len(lower.get_yticks()) == 0


def test_classes_beyond_the_sixth_are_counted_and_none_at_all_is_drawn_empty():
    classes = {str(number): {"c": np.array([1.0])} for number in range(8)}
    figure = sizes_figure(classes, "px", (1.0, 1.0))
    assert len(figure.axes) == 12
    assert figure.get_suptitle() == "Lesions by size; 2 more classes are not drawn"
    assert len(sizes_figure({}, "px", (1.0, 1.0)).axes) == 2


@pytest.mark.parametrize(("count", "title"), [(6, ""), (104, "98 more classes are not drawn")])
def test_lesions_of_classes_beyond_the_sixth_are_counted(count, title):
    lesions = pd.DataFrame({"label": range(1, count + 1), "kind": "found", "volume_mm3": 3.0, "dice": 0.5})
    figure = lesions_figure(lesions)
    assert len(figure.axes) == 6
    assert figure.get_suptitle() == title
