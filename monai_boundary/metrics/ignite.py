"""The scores as handler of Ignite's engines; needs the extra `bundle` (pytorch-ignite)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from monai.handlers import IgniteMetricHandler

from monai_boundary.metrics.buildings import BuildingMetric
from monai_boundary.metrics.cumulative import CaseMetric, ProtocolMetric
from monai_boundary.metrics.instance_metrics import ThresholdSweepMetric

__all__ = ["BuildingScores", "ProtocolScores", "ThresholdSweepScores"]


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
        values = self._reduced(result if isinstance(result, list) else [result])
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

    def _reduced(self, values: list[torch.Tensor]) -> list[torch.Tensor]:
        """Return one number per score."""
        return values


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


class ThresholdSweepScores(_NamedScores):
    """The same for `ThresholdSweepMetric`, at the threshold whose first score is best; ``name_threshold`` is that one.

    In the ``save_dict`` of `CheckpointSaver` it puts this threshold beside the network that it was chosen for.

    Args:
        output_transform: Makes ``(y_pred, y)``, likelihoods in [0, 1] and targets, of the engine's output.
        save_details: Keep the scores per item and threshold.
        **settings: Arguments of `ThresholdSweepMetric`.
    """

    _metric = ThresholdSweepMetric
    metric_fn: ThresholdSweepMetric

    def __init__(
        self, output_transform: Callable = lambda output: output, save_details: bool = True, **settings: Any
    ) -> None:
        super().__init__(output_transform, save_details, **settings)
        self.threshold: float | None = None

    def compute(self) -> Any:
        """Choose the threshold, write its scores and itself to the engine, and return its first score."""
        self.threshold = self.metric_fn.best()
        first = super().compute()
        self._engine.state.metrics[f"{self._name}_threshold"] = self.threshold  # type: ignore[union-attr]
        return first

    def _reduced(self, values: list[torch.Tensor]) -> list[torch.Tensor]:
        at = self.metric_fn.thresholds.index(self.threshold)  # type: ignore[arg-type]
        return [value[at] for value in values]

    def state_dict(self) -> dict[str, Any]:
        """Return the threshold of the last run."""
        return {"threshold": self.threshold}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take it over."""
        self.threshold = state_dict["threshold"]


def _number(value: torch.Tensor) -> float | torch.Tensor:
    return value.item() if value.numel() == 1 else value
