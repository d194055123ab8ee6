"""Both modules of docs/lightning.md train, log what the page says, and go on from a checkpoint as if never stopped."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from monai_boundary import SignedDistanceMap

lightning = pytest.importorskip("lightning", reason="lightning is not installed; pip install lightning")

BLOCKS = re.findall(
    r"```python\n(.*?)```", (Path(__file__).parents[1] / "docs" / "lightning.md").read_text(), flags=re.DOTALL
)
LOGGED = [{"alpha"}, {"region", "boundary", "alpha"}]
pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning has much to say about small runs


@pytest.fixture
def loader() -> torch.utils.data.DataLoader:
    """Two batches of two squares in noise, always in the same order."""
    label = torch.zeros(1, 16, 16)
    label[:, 5:9, 6:12] = 1
    distance_map = SignedDistanceMap(num_classes=2, spacing=(1.0, 1.0))(label)
    cases = [
        {"image": label + 0.3 * torch.randn(1, 16, 16), "label": label, "distance_map": distance_map} for _ in range(4)
    ]
    return torch.utils.data.DataLoader(cases, batch_size=2)


def segmenter(block: str) -> Any:
    names: dict = {}
    exec(compile(block, "lightning.md", "exec"), names)  # noqa: S102
    torch.manual_seed(0)
    return names["Segmenter"](torch.nn.Conv2d(1, 2, 3, padding=1))


def trainer(folder: Path, callbacks: list | None = None, **options: Any) -> Any:
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    return lightning.Trainer(
        max_epochs=4, accelerator="cpu", default_root_dir=folder, callbacks=callbacks, **quiet, **options
    )


class Stop(lightning.Callback):
    """Ends training after two of the four epochs, as a queue of jobs does."""

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
        trainer.should_stop = trainer.current_epoch == 1


def test_the_page_has_two_modules() -> None:
    assert len(BLOCKS) == len(LOGGED)


@pytest.mark.parametrize(("block", "logged"), list(zip(BLOCKS, LOGGED, strict=True)), ids=["share", "schedule"])
def test_a_module_trains_logs_and_resumes_from_a_checkpoint(
    block: str, logged: set[str], loader: torch.utils.data.DataLoader, tmp_path: Path
) -> None:
    straight, first, second = segmenter(block), segmenter(block), segmenter(block)
    begin = straight.network.weight.detach().clone()
    whole = trainer(tmp_path, enable_checkpointing=False)
    whole.fit(straight, loader)
    assert set(whole.callback_metrics) == logged
    assert all(value.isfinite() for value in whole.callback_metrics.values())
    assert not torch.equal(straight.network.weight, begin)
    if hasattr(straight, "schedule"):
        assert straight.loss.term_weights == straight.schedule.weights(3, 4)

    half = trainer(tmp_path, callbacks=[Stop()])
    half.fit(first, loader)
    assert half.current_epoch == 2
    half.save_checkpoint(tmp_path / "half.ckpt")
    trainer(tmp_path, enable_checkpointing=False).fit(second, loader, ckpt_path=tmp_path / "half.ckpt")
    torch.testing.assert_close(second.state_dict(), straight.state_dict(), rtol=0, atol=0)
    assert second.loss.term_weights == pytest.approx(straight.loss.term_weights)
