"""The metrics as handlers of Ignite's engines; needs the extra `bundle` (pytorch-ignite).

A new one is a class that names its metric, as `BuildingScores` does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from monai.handlers import IgniteMetricHandler

from monai_boundary.metrics.case_metric import CaseMetric
from monai_boundary.metrics.instance_metrics import ThresholdSweepMetric
from monai_boundary.metrics.mask_metrics import BuildingMetric, ProtocolMetric

__all__ = ["BuildingScores", "ProtocolScores", "ScoresHandler", "ThresholdSweepScores"]


class ScoresHandler(IgniteMetricHandler):
    """A metric with several scores, each of which the engine gets under a name of its own.

    Attached as ``name``, it writes the first score to ``engine.state.metrics[name]``, where key metrics are looked up,
    and each further one to ``engine.state.metrics[f"{name}_{score}"]``. The scores per case and class are in
    ``engine.state.metric_details`` under the same names, for `MetricsSaver`.

    Args:
        output_transform: Makes ``(y_pred, y)`` of the engine's output, as in MONAI's metric handlers.
        save_details: Keep the scores per case.
        **settings: Arguments of the metric; reductions that leave one number per score.
    """

    metric: ClassVar[type[CaseMetric]]
    metric_fn: CaseMetric

    def __init__(
        self, output_transform: Callable = lambda output: output, save_details: bool = True, **settings: Any
    ) -> None:
        super().__init__(self.metric(**settings), output_transform=output_transform, save_details=save_details)

    def compute(self) -> Any:
        """Aggregate, write all scores but the first to the engine, and return the first."""
        result = self.metric_fn.aggregate()
        result = result[0] if self.metric_fn.get_not_nans else result
        values = [self._reduced(value) for value in (result if isinstance(result, list) else [result])]
        self._is_reduced = True
        if self._engine is None or self._name is None:
            raise RuntimeError("the handler must be attached to an engine before compute, got none; call attach()")
        state, details = self._engine.state, self.metric_fn.table()
        names = [self._name, *(f"{self._name}_{score}" for score in self.metric_fn.scores[1:])]
        for index, (name, value) in enumerate(zip(names, values, strict=True)):
            if self.save_details:
                state.metric_details[name] = details[..., index]
            if index:
                state.metrics[name] = value
        return values[0]

    def _reduced(self, value: torch.Tensor) -> float | torch.Tensor:
        """Return one score as the engine gets it."""
        return value.item() if value.numel() == 1 else value


class ProtocolScores(ScoresHandler):
    """`ScoresHandler` of `ProtocolMetric`."""

    metric = ProtocolMetric


class BuildingScores(ScoresHandler):
    """`ScoresHandler` of `BuildingMetric`: ``name`` is the IoU, ``name_boundary_f1`` and so on the others."""

    metric = BuildingMetric


class ThresholdSweepScores(ScoresHandler):
    """`ScoresHandler` of `ThresholdSweepMetric`, at the threshold whose first score is best: ``name_threshold``.

    In the ``save_dict`` of `CheckpointSaver` it puts this threshold beside the network that it was chosen for.
    """

    metric = ThresholdSweepMetric
    metric_fn: ThresholdSweepMetric
    threshold: float | None = None

    def compute(self) -> Any:
        """Choose the threshold, write its scores and itself to the engine, and return its first score."""
        self.threshold = self.metric_fn.best()
        first = super().compute()
        self._engine.state.metrics[f"{self._name}_threshold"] = self.threshold  # type: ignore[union-attr]
        return first

    def _reduced(self, value: torch.Tensor) -> float | torch.Tensor:
        return super()._reduced(value[self.metric_fn.thresholds.index(self.threshold)])  # type: ignore[arg-type]

    def state_dict(self) -> dict[str, Any]:
        """Return the threshold of the last run."""
        return {"threshold": self.threshold}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take it over."""
        self.threshold = state_dict["threshold"]
