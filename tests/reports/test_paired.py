"""The picture of a comparison: a dot for every case and run, a line between them, nothing lost."""

from __future__ import annotations

import math

import numpy as np
import pytest

from monai_boundary.reports.paired import PairedPanel, paired_figure

NAN, INF = math.nan, math.inf


def panel(values, better="higher", intervals=None) -> PairedPanel:
    values = np.asarray(values, float)
    cases = [f"case_{number}" for number in range(len(values))]
    return PairedPanel("Dice", better, cases, values, intervals or [None] * (values.shape[1] - 1))


def dots(axis, marker: str) -> list[tuple[float, float]]:
    lines = [line for line in axis.lines if line.get_marker() == marker]
    points = [point for line in lines for point in np.column_stack(line.get_data()).tolist()]
    return [(x, y) for x, y in points if np.isfinite(y)]


def test_each_case_has_its_dots_on_one_line_sorted_by_the_first_run() -> None:
    figure = paired_figure([panel([[0.7, 0.9], [0.2, 0.1], [0.5, 0.5]])], ["a", "b"], "title")
    left = figure.axes[0]
    assert dots(left, "o") == [(0, 0.2), (1, 0.5), (2, 0.7)]
    assert dots(left, "s") == [(0, 0.1), (1, 0.5), (2, 0.9)]
    assert [text.get_text() for text in left.get_xticklabels()] == ["case_1", "case_2", "case_0"]
    (lines,) = left.collections
    assert [segment.tolist() for segment in lines.get_segments()] == [
        [[0, 0.1], [0, 0.2]], [[1, 0.5], [1, 0.5]], [[2, 0.7], [2, 0.9]],
    ]  # fmt: skip


@pytest.mark.parametrize(("cases", "runs"), [(1, 2), (6, 2), (6, 4), (40, 2), (200, 4), (30, 9)])
def test_every_case_is_drawn_and_nothing_is_left_of_the_panel(rng: np.random.Generator, cases: int, runs: int) -> None:
    names = [f"run {number}" for number in range(runs)]
    figure = paired_figure([panel(rng.random((cases, runs)))] * 2, names, "title")
    figure.draw_without_rendering()  # a layout without room is a warning, and so an error
    left, right = figure.axes[:2]
    drawn = [line for line in left.lines if len(line.get_xdata()) == cases]
    assert len(drawn) == runs
    assert len({(line.get_color(), line.get_marker()) for line in drawn}) == runs
    assert sum(len(line.get_xdata()) for line in right.lines if line.get_marker() not in ("None", "")) == cases * (
        runs - 1
    )
    assert bool(left.get_xlabel()) == (cases > 40)
    assert figure.get_figwidth() * 120 < 2**15


def test_a_case_without_a_score_has_a_cross_in_the_colour_of_its_run() -> None:
    figure = paired_figure([panel([[0.5, NAN], [NAN, NAN], [INF, 0.4], [0.3, 0.6]])], ["a", "b"], "title")
    left, right = figure.axes
    crosses = [(line.get_xdata()[0], line.get_color()) for line in left.lines if line.get_marker() == "x"]
    colors = {line.get_marker(): line.get_color() for line in left.lines}
    # sorted: case_3, case_0, case_1, case_2
    assert sorted(crosses) == sorted([(2, colors["o"]), (3, colors["o"]), (1, colors["s"]), (2, colors["s"])])
    assert [y for _, y in dots(right, "s")] == [pytest.approx(0.3)]
    (legend,) = figure.legends
    assert "no score in the run of this colour" in [text.get_text() for text in legend.get_texts()]
    assert "no score" not in str(
        [text.get_text() for text in paired_figure([panel([[1, 2]])], ["a", "b"], "t").legends[0].get_texts()]
    )


def test_the_differences_have_mean_interval_and_the_better_side() -> None:
    values = [[1, 2, 1], [2, 4, 0], [3, 3, 5]]
    figure = paired_figure([panel(values, "lower", [(-0.5, 2.5), None])], ["a", "b", "c"], "title")
    _, right = figure.axes
    black = [np.column_stack(line.get_data()).tolist() for line in right.lines if line.get_color() == "black"]
    assert [[1.0, -0.5], [1.0, 2.5]] in black
    assert [[y for _, y in line] for line in black] == [[1, 1], [-0.5, 2.5], [0, 0]]
    assert "below 0 is better" in right.get_title()
    assert "lower is better" in figure.axes[0].get_title(loc="left")
    assert [text.get_text() for text in right.get_xticklabels()] == ["b", "c"]


def test_a_far_outlier_does_not_squeeze_the_others() -> None:
    values = np.column_stack([np.linspace(1, 3, 20), np.linspace(1.2, 3.1, 20)])
    assert paired_figure([panel(values)], ["a", "b"], "t").axes[0].get_yscale() == "linear"
    values[4, 1] = 150.0
    left, right = paired_figure([panel(values)], ["a", "b"], "t").axes
    assert left.get_yscale() == right.get_yscale() == "symlog"


def test_a_panel_without_any_pair_is_drawn_all_the_same() -> None:
    figure = paired_figure([panel([[NAN, 0.5], [0.4, NAN]]), panel([[NAN, NAN]])], ["a", "b"], "title")
    figure.draw_without_rendering()
    assert len(figure.axes) == 4
