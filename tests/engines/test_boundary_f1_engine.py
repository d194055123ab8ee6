"""The boundary F1 loss with IoU in a real SupervisedTrainer, against a plain loop written out by hand."""

from __future__ import annotations

import pytest
import torch
from ignite.engine import Events
from monai.data import DataLoader
from monai.engines import SupervisedTrainer

from monai_boundary import BoundaryBand, BoundaryF1IoULoss, Increase, Warmup
from monai_boundary.engines import (
    AlphaScheduleHandler,
    LossTermsHandler,
    PrepareBatchTarget,
    RestoreLabelHandler,
)

EPOCHS = 4
SCHEDULE = Warmup(1, Increase(0.1, 0.5))
WEIGHTS = [0, 0.1, 0.3, 0.5]
# MONAI and Ignite, not this package
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


def samples(ignored: bool) -> list[dict]:
    generator = torch.Generator().manual_seed(0)
    items = []
    for number in range(4):
        label = torch.zeros(1, 16, 16)
        label[:, 3 + number : 9 + number, 2:11] = 1
        label[:, :2] = 255 if ignored else 0
        image = label.clamp(max=1) + 0.3 * torch.randn(1, 16, 16, generator=generator)
        band = BoundaryBand(2, include_background=False, ignore_index=255)(label)
        items.append({"image": image, "label": label, "target_boundary": band})
    return items


def network() -> torch.nn.Module:
    torch.manual_seed(1)
    return torch.nn.Conv2d(1, 1, 3, padding=1)


@pytest.mark.parametrize("ignored", [False, True])
def test_the_engine_trains_as_a_loop_that_sets_the_weight_by_hand(ignored: bool) -> None:
    loss, net = BoundaryF1IoULoss(ignore_index=255), network()
    seen: dict[str, list] = {"weight": [], "metrics": [], "labels": []}
    trainer = SupervisedTrainer(
        device=torch.device("cpu"), max_epochs=EPOCHS, train_data_loader=DataLoader(samples(ignored), batch_size=2),
        network=net, optimizer=torch.optim.SGD(net.parameters(), 0.1), loss_function=loss, decollate=False,
        prepare_batch=PrepareBatchTarget("target_boundary"),
        train_handlers=[RestoreLabelHandler(), AlphaScheduleHandler(loss, SCHEDULE), LossTermsHandler(loss)],
    )  # fmt: skip
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda _: seen["weight"].append(loss.alpha))
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: seen["metrics"].append(dict(engine.state.metrics)))
    trainer.add_event_handler(
        Events.ITERATION_COMPLETED, lambda engine: seen["labels"].append(engine.state.output["label"])
    )
    trainer.run()

    by_hand = network()
    optimizer, plain, boundary = torch.optim.SGD(by_hand.parameters(), 0.1), BoundaryF1IoULoss(ignore_index=255), []
    for weight in WEIGHTS:
        plain.alpha = weight
        terms = []
        for batch in DataLoader(samples(ignored), batch_size=2):
            optimizer.zero_grad()
            plain(by_hand(batch["image"]), batch["label"]).backward()
            optimizer.step()
            terms.append(float(plain.boundary_term))
        boundary.append(sum(terms) / len(terms))
    torch.testing.assert_close(list(net.parameters()), list(by_hand.parameters()))
    assert seen["weight"] == pytest.approx(WEIGHTS)
    assert [row["alpha"] for row in seen["metrics"]] == pytest.approx(WEIGHTS)
    assert [row["region_weight"] for row in seen["metrics"]] == pytest.approx([1 - weight for weight in WEIGHTS])
    assert [row["boundary_term"] for row in seen["metrics"]] == pytest.approx(boundary)
    assert all(isinstance(label, torch.Tensor) for label in seen["labels"])


def test_the_boundary_of_the_loader_is_taken_not_made_again() -> None:
    loss, batch = BoundaryF1IoULoss(alpha=0.5), samples(False)[0]
    logits, label = torch.randn(1, 1, 16, 16), batch["label"][None]
    other = samples(False)[3]["target_boundary"][None]
    value = loss(logits, {"label": label, "target_boundary": other})
    torch.testing.assert_close(value, loss(logits, label, other))
    assert abs(float(value) - float(loss(logits, label))) > 1e-3


def test_a_weight_outside_0_to_1_is_refused_by_its_name() -> None:
    loss = BoundaryF1IoULoss()
    loss.term_weights = 0.8, 0.2
    assert (loss.alpha, loss.term_weights) == (0.2, (0.8, 0.2))
    for pair in ((1.0, 0.2), (5, 0.3), (-0.5, 1.5)):
        with pytest.raises(ValueError, match="term_weights"):
            loss.term_weights = pair
    assert loss.term_weights == (0.8, 0.2)
    with pytest.raises(ValueError, match=r"alpha must lie in \[0, 1\]"):
        loss.alpha = 1.5


def test_a_batch_without_target_boundary_says_which_transform_makes_it() -> None:
    with pytest.raises(ValueError, match=r"got no target_boundary among .*; put BoundaryBandd into the transforms"):
        PrepareBatchTarget("target_boundary")({"image": torch.zeros(1, 1, 4), "label": torch.zeros(1, 1, 4)})
    batch = {"rgb": torch.ones(1), "mask": torch.zeros(1), "band": torch.full((1,), 2.0)}
    image, target = PrepareBatchTarget("target_boundary", "rgb", "mask", "band")(batch, device="cpu")
    assert (image.item(), target["label"].item(), target["target_boundary"].item()) == (1, 0, 2)
