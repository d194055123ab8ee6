"""The scores as handler of Ignite's engines; needs the extra `bundle` (pytorch-ignite)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from monai.handlers import IgniteMetricHandler

from monai_boundary.metrics.buildings import BuildingMetric
from monai_boundary.metrics.cumulative import CaseMetric, ProtocolMetric

__all__ = ["BuildingScores", "ProtocolScores"]


class _NamedScores(IgniteMetricHandler):
    """A metric with several scores, each of which the engine gets under a name of its own."""

    _metric: ClassVar[type[CaseMetric]]

    def __init__(
        self, output_transform: Callable = lambda output: output, save_details: bool = True, **settings: Any
    ) -> None:
        super().__init__(
            metric_fn=self._metric(**settings), output_transform=output_transform, save_details=save_details
        )

    def compute(self) -> Any:
        """Aggregate, write all scores but the first to the engine, and return the first."""
        metric = self.metric_fn
        result = metric.aggregate()
        if metric.get_not_nans:  # type: ignore[attr-defined]
            result = result[0]
        values = result if isinstance(result, list) else [result]
        self._is_reduced = True
        if self._engine is None or self._name is None:
            raise RuntimeError("the handler must be attached to an engine before compute, got none; call attach()")
        names = [self._name, *(f"{self._name}_{score}" for score in metric.scores[1:])]  # type: ignore[attr-defined]
        details: torch.Tensor = metric.get_buffer()
        for index, (name, value) in enumerate(zip(names, values, strict=True)):
            if self.save_details:
                self._engine.state.metric_details[name] = details[..., index]
            if index:
                self._engine.state.metrics[name] = _number(value)
        return _number(values[0])


class ProtocolScores(_NamedScores):
    """`ProtocolMetric` for MONAI's trainers and evaluators.

    Attached as ``name``, it writes the first score to ``engine.state.metrics[name]``, where key metrics are looked up,
    and each further one to ``engine.state.metrics[f"{name}_{score}"]``. The scores per case and class are in
    ``engine.state.metric_details`` under the same names, for `MetricsSaver`.

    Args:
        output_transform: Makes ``(y_pred, y)`` of the engine's output, as in MONAI's metric handlers.
        save_details: Keep the scores per case.
        **settings: Arguments of `ProtocolMetric`; reductions that leave one number per score.
    """

    _metric = ProtocolMetric


class BuildingScores(_NamedScores):
    """The same for `BuildingMetric`: ``name`` is the IoU, ``name_boundary_f1`` and so on the others.

    Args:
        output_transform: Makes ``(y_pred, y)`` of the engine's output, as in MONAI's metric handlers.
        save_details: Keep the scores per case.
        **settings: Arguments of `BuildingMetric`.
    """

    _metric = BuildingMetric


def _number(value: torch.Tensor) -> float | torch.Tensor:
    return value.item() if value.numel() == 1 else value
