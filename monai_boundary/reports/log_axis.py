"""Labels of a log axis that do not print over each other, and are more than one."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

__all__ = ["label_sizes"]


def label_sizes(axis: Axes) -> None:
    """Label the horizontal log axis, whose limits are final: matplotlib labels every minor tick of one decade."""
    low, high = sorted(axis.get_xlim())
    axis.xaxis.set_minor_formatter(NullFormatter())
    if high >= 1000 * low:
        return  # powers of ten are enough
    locator = MaxNLocator(3) if high < 5 * low else LogLocator(subs=(1.0, 2.0, 5.0))  # at least two of them
    ticks = [float(tick) for tick in locator.tick_values(low, high) if low <= tick <= high]
    axis.set_xticks(ticks, [f"{tick:,.6g}" for tick in ticks])
