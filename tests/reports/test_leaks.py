"""Gaps that a second network closes, on walls made by hand, and the pictures."""

from __future__ import annotations

import numpy as np
import pytest

from monai_boundary.reports.leaks import MembranePair, _as_truth, closed_leaks, leaks_figure, merged_borders
from monai_boundary.reports.scores import thresholds_figure

IDS = np.zeros((20, 21), np.int32)
IDS[:, :10], IDS[:, 11:] = 1, 2
WALL = IDS == 0


def with_gap(start: int, stop: int) -> np.ndarray:
    wall = WALL.copy()
    wall[start:stop] = False
    return wall


@pytest.mark.parametrize(
    ("before", "after", "closed"),
    [
        (with_gap(7, 10), WALL, [(slice(7, 10), slice(10, 11))]),
        (WALL, with_gap(7, 10), []),  # opened
        (with_gap(7, 10), with_gap(8, 10), []),  # narrowed, it still leaks
        (with_gap(3, 5) & with_gap(12, 14), with_gap(12, 14), []),  # one of two parts nothing
        (~WALL & WALL, WALL, [(slice(0, 20), slice(10, 11))]),
        (~WALL & WALL, np.roll(WALL, 4, axis=1), []),  # parts the image near the truth, but inside a cell
    ],
)
def test_a_gap_that_is_closed_is_found_where_it_lies(before, after, closed) -> None:
    assert closed_leaks(before, after, IDS) == closed


def test_specks_are_no_regions() -> None:
    corner = WALL.copy()
    corner[3, 10:14] = corner[0:3, 13] = True  # encloses six pixels beside the wall
    before = corner.copy()
    before[1, 10] = False
    assert closed_leaks(before, corner, IDS) == []
    assert closed_leaks(before, corner, IDS, min_size=6) == [(slice(1, 2), slice(10, 11))]


def test_a_line_through_one_cell_parts_no_two() -> None:
    ids = IDS.copy()
    ids[10, 9] = 0  # a spur of the membrane
    after = ids == 0
    after[10, :9] = True
    before = after.copy()
    before[10, 9] = False
    assert closed_leaks(before, after, ids) == []


def test_a_predicted_region_has_the_number_of_the_true_one_it_covers_most() -> None:
    merged = _as_truth(with_gap(7, 10), IDS)
    assert set(np.unique(merged)) == {0, 1}
    uneven = np.repeat([[1] * 6 + [0] + [2] * 9], 4, axis=0)
    assert np.unique(_as_truth(np.zeros(uneven.shape, bool), uneven)).tolist() == [2]
    parted = _as_truth(WALL, IDS)
    np.testing.assert_array_equal(parted, IDS)


@pytest.mark.parametrize("count", [1, 2])
def test_the_picture_counts_what_closes_and_what_opens(count) -> None:
    pair = MembranePair(
        "slice03", np.random.default_rng(0).random(IDS.shape), IDS, with_gap(7, 10) * 0.9, WALL * 0.7, (0.5, 0.5)
    )
    figure = leaks_figure([pair] * count, ("BCE", "BCE + BAL"), "title")
    labels = [axis.get_ylabel() for axis in figure.axes]
    assert labels.count("slice03: 1 closed, 0 opened") == count
    assert "BCE + BAL less BCE" in [axis.get_title() for axis in figure.axes]
    assert [len(axis.patches) for axis in figure.axes[:5]] == [0, 0, 1, 1, 1]
    change = figure.axes[4].images[0].get_array()
    assert change[8, 10] == pytest.approx(0.7)
    assert change[0, 10] == pytest.approx(-0.2)


def test_threshold_curves_are_the_mean_of_the_runs() -> None:
    at = np.array([0.3, 0.5, 0.7])
    curves = {"BCE": {"VOI": np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 5.0]])}, "BAL": {"VOI": np.ones((1, 3))}}
    axis = thresholds_figure(curves, at, "title").axes[0]
    np.testing.assert_allclose(axis.lines[0].get_ydata(), [2, 2, 4])
    np.testing.assert_allclose(axis.lines[0].get_xdata(), at)
    assert [one.get_label() for one in axis.lines] == ["BCE", "BAL"]


def test_a_leak_is_where_one_object_runs_over_a_border() -> None:
    truth = np.zeros((20, 40), np.int64)
    truth[:, :13], truth[:, 15:27], truth[:, 27:] = 1, 2, 3  # a membrane, and two cells that touch
    predicted = np.ones_like(truth)
    predicted[:, 27:] = 2
    found = merged_borders(predicted, truth)
    assert found[:, 13:15].all()
    assert not found[:, 15:].any()
    predicted[:, 27:] = 1
    assert merged_borders(predicted, truth)[:, 26].all()
    assert not merged_borders(truth, truth).any()
    assert not merged_borders(predicted * 0, truth).any()
