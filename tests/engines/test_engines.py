"""The engine glue in a real SupervisedTrainer, against a plain loop written out by hand."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from ignite.engine import Engine, Events
from monai.data import DataLoader, MetaTensor
from monai.engines import SupervisedTrainer
from monai.handlers import CheckpointLoader, CheckpointSaver, MeanDice, from_engine
from monai.inferers import SimpleInferer
from monai.networks.nets import UNet
from monai.transforms import AsDiscreted, Compose

from monai_boundary import (
    BoundaryBand,
    BoundaryF1IoULoss,
    GeneralizedDiceBoundaryLoss,
    GradientShare,
    Increase,
    Rebalance,
    Share,
    SignedDistanceMap,
    WaitForRegion,
    Warmup,
    suggest_alpha,
)
from monai_boundary.engines import AlphaScheduleHandler, LossTermsHandler, PrepareBatchTarget, RestoreLabelHandler

EPOCHS = 4
# MONAI and Ignite, not this package
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


def samples(count: int = 4, ignored: int = 0) -> list[dict]:
    """Boxes with the map and the band of each; the first rows may not count."""
    generator = torch.Generator().manual_seed(0)
    items = []
    for _ in range(count):
        label = torch.zeros(1, 16, 16)
        row, column = torch.randint(2, 9, (2,), generator=generator).tolist()
        label[:, row : row + 5, column : column + 4] = 1
        image = label + 0.3 * torch.randn(1, 16, 16, generator=generator)
        label[:, :ignored] = 255
        distance_map = SignedDistanceMap(2, spacing=(1, 1), ignore_index=255)(label)
        band = BoundaryBand(2, ignore_index=255)(label)
        items.append({"image": MetaTensor(image), "label": MetaTensor(label), "distance_map": distance_map,
                      "target_boundary": band})  # fmt: skip
    return items


def network() -> UNet:
    torch.manual_seed(1)
    return UNet(2, 1, 2, (4, 8), (2,))


class Run:
    """One trainer and what it leaves behind: the loss of every step, weights of every epoch."""

    def __init__(
        self, schedule=None, max_epochs: int = EPOCHS, handlers=(), post=None, gradient_share=False, loss=None,
        data=None, net=None, watched=None, optimizer=None, **options
    ):  # fmt: skip
        self.network = net or network()
        self.loss = loss or GeneralizedDiceBoundaryLoss()
        watched = watched or self.loss
        self.optimizer = optimizer or torch.optim.Adam(self.network.parameters(), 1e-2)
        self.alpha = AlphaScheduleHandler(watched, schedule or Rebalance())
        self.losses: list[float] = []
        self.weights: list[tuple] = []
        self.metrics: list[dict] = []
        loader = DataLoader(data or samples(), batch_size=2)
        self.trainer = SupervisedTrainer(
            device=torch.device("cpu"), max_epochs=max_epochs, train_data_loader=loader, network=self.network,
            optimizer=self.optimizer, loss_function=self.loss, inferer=SimpleInferer(),
            prepare_batch=PrepareBatchTarget(self.loss.target_name), postprocessing=post,
            key_train_metric={"dice": MeanDice(output_transform=from_engine(["pred", "label"]))} if post else None,
            train_handlers=[RestoreLabelHandler(), self.alpha, LossTermsHandler(watched, gradient_share), *handlers],
            **options,
        )  # fmt: skip
        self.trainer.add_event_handler(Events.ITERATION_COMPLETED, self._note)
        self.trainer.add_event_handler(Events.EPOCH_COMPLETED, self._note_epoch)

    def _note(self, engine: Engine) -> None:
        output = engine.state.output
        output = output[0] if isinstance(output, list) else output
        assert isinstance(output["label"], torch.Tensor)
        self.losses.append(float(torch.as_tensor(output["loss"]).detach()))

    def _note_epoch(self, engine: Engine) -> None:
        self.weights.append(self.loss.term_weights)
        self.metrics.append(dict(engine.state.metrics))


def by_hand(epochs: int = EPOCHS, schedule=None, loss=None, data=None) -> tuple[UNet, list[float]]:
    net, losses = network(), []
    loss, optimizer = loss or GeneralizedDiceBoundaryLoss(), torch.optim.Adam(net.parameters(), 1e-2)
    for epoch in range(epochs):
        pair = (schedule or Rebalance()).weights(epoch, epochs)
        loss.term_weights = (1 - pair[1], pair[1]) if loss.mode == "complement" else pair
        for batch in DataLoader(data or samples(), batch_size=2):
            optimizer.zero_grad()
            value = loss(net(batch["image"]), batch["label"], batch[loss.target_name])
            value.backward()
            optimizer.step()
            losses.append(float(value.detach()))
    return net, losses


def assert_same_weights(first: torch.nn.Module, second: torch.nn.Module) -> None:
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


def band_loss() -> BoundaryF1IoULoss:
    return BoundaryF1IoULoss(softmax=True, to_onehot_y=True, ignore_index=255)


BAND = band_loss, Warmup(1, Increase(0.1, 0.5)), [(1.0, 0.0), (0.9, 0.1), (0.7, 0.3), (0.5, 0.5)]
LOSSES = {
    "map": (GeneralizedDiceBoundaryLoss, Rebalance(), [Rebalance().weights(epoch, EPOCHS) for epoch in range(4)], 0),
    "band": (*BAND, 0),
    "band, ignored rows": (*BAND, 2),
}


@pytest.mark.parametrize(("make", "schedule", "weights", "ignored"), LOSSES.values(), ids=LOSSES)
def test_the_engine_trains_like_a_loop_written_by_hand(make, schedule, weights, ignored):
    data = samples(ignored=ignored)
    run = Run(schedule, loss=make(), data=data, decollate=False)
    run.trainer.run()
    net, losses = by_hand(schedule=schedule, loss=make(), data=data)
    assert run.losses == losses
    assert_same_weights(run.network, net)
    torch.testing.assert_close(run.weights, weights)
    assert [(row["region_weight"], row["alpha"]) for row in run.metrics] == run.weights


@pytest.mark.parametrize(
    ("name", "step"),
    [("distance_map", "SignedDistanceMapd"), ("target_boundary", "BoundaryBandd"), ("seeds", "RegionSeedsd")],
)
def test_a_missing_key_is_named_with_the_transform_that_makes_it(name, step):
    batch = {"image": torch.zeros(1, 1, 4), "label": torch.zeros(1, 1, 4)}
    text = rf"batchdata must hold image, label, {name}, got no {name} among .*; put {step} into the transforms"
    with pytest.raises(ValueError, match=text):
        PrepareBatchTarget(name)(batch)


def test_keys_can_be_named():
    batch = {"ct": torch.ones(1), "mask": torch.zeros(1), "map": torch.full((1,), 2.0)}
    image, target = PrepareBatchTarget("target_boundary", "ct", "mask", "map")(batch, device="cpu")
    assert (image.item(), target["label"].item(), target["target_boundary"].item()) == (1, 0, 2)


def test_all_that_the_loss_needs_is_moved_to_the_device():
    batch = {name: torch.zeros(1, 1, 4) for name in ("image", "label", "distance_map")}
    image, target = PrepareBatchTarget()(batch, device="meta")
    assert {tensor.device.type for tensor in (image, *target.values())} == {"meta"}


def test_an_epoch_that_is_run_again_takes_the_place_of_its_first_run():
    alpha = AlphaScheduleHandler(GeneralizedDiceBoundaryLoss(), Rebalance())
    alpha.load_state_dict(alpha.state_dict() | {"history": [4, 3, 2, 1]})
    for term in (9.0, 2.5):  # an epoch that breaks off, and the same again
        engine = SimpleNamespace(state=SimpleNamespace(epoch=3, max_epochs=4, iteration=7))
        alpha(engine)
        assert alpha.state_dict()["history"] == [4.0, 3.0]
        alpha.loss.region_term = torch.tensor(term)
        alpha._collect(engine)
    alpha._close(engine)
    assert alpha.state_dict()["history"] == [4.0, 3.0, 2.5]


def test_what_makes_the_maps_must_be_a_transform():
    with pytest.raises(TypeError, match="transform must be None or a transform such as SignedDistanceMap, got str"):
        PrepareBatchTarget(transform="device")


def test_metrics_and_decollating_see_the_plain_label():
    post = Compose([AsDiscreted("pred", argmax=True, to_onehot=2), AsDiscreted("label", to_onehot=2)])
    run = Run(post=post)
    run.trainer.run()
    assert run.losses == by_hand()[1]
    output = run.trainer.state.output
    assert isinstance(output, list)  # decollated
    assert output[0]["label"].shape == (2, 16, 16)
    assert 0 <= run.metrics[-1]["dice"] <= 1


def test_terms_and_weights_are_among_the_metrics_of_the_epoch():
    run = Run(max_epochs=2)
    steps: list[tuple[float, float]] = []
    run.trainer.add_event_handler(
        Events.ITERATION_COMPLETED,
        lambda _: steps.append((float(run.loss.region_term), float(run.loss.boundary_term))),
    )
    run.trainer.run()
    last = run.metrics[1]
    assert (last["region_weight"], last["alpha"]) == Rebalance().weights(1, 2)
    assert last["region_term"] == pytest.approx((steps[2][0] + steps[3][0]) / 2, rel=1e-6)
    assert last["boundary_term"] == pytest.approx((steps[2][1] + steps[3][1]) / 2, rel=1e-6)
    assert run.alpha.history == pytest.approx([row["region_term"] for row in run.metrics])


def test_the_share_of_the_gradient_is_that_of_autograd():
    schedule = Increase(start=0.2, end=0.2)
    run = Run(schedule, max_epochs=1, gradient_share=True)
    net = copy.deepcopy(run.network)
    run.trainer.run()
    batch = next(iter(DataLoader(samples(), batch_size=2)))
    logits = net(batch["image"]).detach().requires_grad_()
    loss = GeneralizedDiceBoundaryLoss()
    norms = []
    for weights in ((1.0, 0.0), (0.0, 0.2)):
        loss.term_weights = weights
        norms.append(torch.autograd.grad(loss(logits, batch["label"], batch["distance_map"]), logits)[0].norm())
    assert run.metrics[0]["boundary_gradient_share"] == pytest.approx(float(norms[1] / sum(norms)), rel=1e-4)
    plain = Run(schedule, max_epochs=1)
    plain.trainer.run()
    assert run.losses == plain.losses


def test_the_logged_share_is_that_of_the_weights_of_its_step():
    run = Run(GradientShare(end=0.5, ramp=0), max_epochs=2, gradient_share=True)
    steps: list[float] = []

    def keep(_: object) -> None:
        region, boundary = run.loss.gradient_norms  # of the first step alone
        alpha = run.loss.term_weights[1]
        steps.append(alpha * boundary / (region + alpha * boundary))

    run.trainer.add_event_handler(Events.ITERATION_COMPLETED, keep)
    run.trainer.run()
    assert run.metrics[0]["boundary_gradient_share"] == pytest.approx(steps[0], rel=1e-4)
    assert all(0 < row["boundary_gradient_share"] < 0.5 for row in run.metrics)


def test_accumulated_gradients_step_once_per_two_batches():
    run = Run(max_epochs=1, accumulation_steps=2)
    before = copy.deepcopy(run.network)
    run.trainer.run()
    net, loss = before, GeneralizedDiceBoundaryLoss()
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    loss.term_weights = Rebalance().weights(0, 1)
    for batch in DataLoader(samples(), batch_size=2):
        (loss(net(batch["image"]), batch["label"], batch["distance_map"]) / 2).backward()
    optimizer.step()
    assert_same_weights(run.network, net)


@pytest.mark.filterwarnings("ignore:.*CUDA is not available:UserWarning")
def test_mixed_precision_options_do_not_disturb_a_cpu_run():
    run = Run(amp=True, amp_kwargs={"dtype": torch.bfloat16})
    run.trainer.run()
    assert all(map(math.isfinite, run.losses))
    assert run.weights[-1] == Rebalance().weights(EPOCHS - 1, EPOCHS)


@pytest.mark.filterwarnings("ignore")  # of torch's compiler and of MONAI, which casts MetaTensors
def test_a_compiled_network_trains_alike():
    run = Run(max_epochs=1, compile=True, compile_kwargs={"backend": "aot_eager"})
    run.trainer.run()
    plain = Run(max_epochs=1)
    plain.trainer.run()
    assert run.losses == pytest.approx(plain.losses, rel=1e-5)


@pytest.mark.parametrize("schedule", [Rebalance(), WaitForRegion(Increase(), window=1, tolerance=1.0)])
def test_a_resumed_run_is_the_unbroken_one_to_the_bit(schedule, tmp_path: Path):
    whole = Run(schedule)
    whole.trainer.run()

    def keep(run: Run) -> dict:
        return {"net": run.network, "opt": run.optimizer, "trainer": run.trainer, "alpha": run.alpha}

    first = Run(schedule)
    saver = CheckpointSaver(save_dir=str(tmp_path), save_dict=keep(first), save_interval=1)
    saver.attach(first.trainer)
    first.trainer.add_event_handler(Events.EPOCH_COMPLETED(once=2), lambda engine: engine.terminate())
    first.trainer.run()
    file = next(tmp_path.glob("*epoch=2*.pt"))
    second = Run(schedule)
    CheckpointLoader(str(file), load_dict=keep(second), strict=True).attach(second.trainer)
    second.trainer.run()
    assert first.losses + second.losses == whole.losses
    assert first.weights + second.weights == whole.weights
    assert_same_weights(second.network, whole.network)


def test_maps_made_on_the_device_are_those_of_the_data_loader():
    items = samples(2)
    labels = []
    for item, size in zip(items, (2.0, 3.0), strict=True):  # each sample has a spacing of its own
        label = MetaTensor(item["label"].as_tensor(), affine=torch.diag(torch.tensor([size, 1.0, 1.0, 1.0])))
        labels.append({"image": item["image"], "label": label})
    batch = next(iter(DataLoader(labels, batch_size=2)))
    transform = SignedDistanceMap(2)
    prepare = PrepareBatchTarget(transform=transform)
    image, target = prepare(batch, device="cpu")
    assert torch.equal(image, batch["image"])
    assert torch.equal(target["label"], batch["label"])
    for index, item in enumerate(labels):
        assert torch.equal(target["distance_map"][index], transform(item["label"]))
    assert not torch.equal(target["distance_map"][0], transform(items[0]["label"]))


def test_an_engine_trains_alike_with_maps_made_on_the_device():
    run = Run(max_epochs=1)
    run.trainer.prepare_batch = PrepareBatchTarget(transform=SignedDistanceMap(2, spacing=(1, 1), backend="torch"))
    run.trainer.data_loader = DataLoader([{k: item[k] for k in ("image", "label")} for item in samples()], batch_size=2)
    run.trainer.run()
    plain = Run(max_epochs=1)
    plain.trainer.run()
    assert run.losses == pytest.approx(plain.losses, rel=1e-5)


def test_a_share_is_resumed_through_the_handler_and_another_schedule_is_said():
    def handler(end: float) -> AlphaScheduleHandler:
        return AlphaScheduleHandler(GeneralizedDiceBoundaryLoss(), GradientShare(end=end))

    first = handler(0.2)
    first.loss.gradient_norms = (0.3, 0.0625)
    second = handler(0.2)
    second.load_state_dict(first.state_dict())
    second(SimpleNamespace(state=SimpleNamespace(epoch=4, max_epochs=4)))
    assert second.loss.alpha == pytest.approx(0.25 * 0.3 / 0.0625)
    second.load_state_dict(handler(0.2).state_dict())  # of a run that had measured nothing yet
    assert second.loss.gradient_norms is None
    with pytest.warns(UserWarning, match=r"schedule was GradientShare\(end=0.2, ramp=0.3\) in the run .*end=0.5"):
        handler(0.5).load_state_dict(first.state_dict())
    with pytest.warns(UserWarning, match=r"schedule was not recorded in the run .*, and is .*end=0.2"):
        handler(0.2).load_state_dict({"history": [0.5, 0.4]})


@pytest.mark.parametrize("wrong", [Share(0.2), 0.2, Rebalance])
def test_what_is_no_schedule_is_refused_at_once(wrong):
    with pytest.raises(TypeError, match=r"schedule must be a schedule, got .*; pass for example"):
        AlphaScheduleHandler(GeneralizedDiceBoundaryLoss(), wrong)


@pytest.mark.filterwarnings("ignore:.*no finite")
def test_a_share_that_is_not_a_number_is_not_shown_as_no_share():
    loss = GeneralizedDiceBoundaryLoss(spacing=(1, 1))
    handler, state = LossTermsHandler(loss, gradient_share=True), SimpleNamespace(metrics={}, iteration=1)
    logits = torch.randn(2, 2, 16, 16)
    logits[0, 0, 3, 3] = math.nan
    state.output = {"pred": logits, "label": torch.ones(2, 1, 16, 16)}
    engine = SimpleNamespace(state=state)
    handler._measure(engine)
    loss(logits, state.output["label"])
    handler._collect(engine)
    handler(engine)
    assert math.isnan(state.metrics["boundary_gradient_share"])


def test_the_share_is_measured_of_labels_from_which_the_loss_makes_its_maps():
    batch = next(iter(DataLoader(samples(), batch_size=2)))
    loss, logits = GeneralizedDiceBoundaryLoss(spacing=(1, 1)), torch.randn(2, 2, 16, 16)
    made = loss.boundary.compute_distance_map(batch["label"], logits)
    given = {"label": batch["label"], "distance_map": made}
    expected = loss.measure_gradients(logits, batch["label"], made)
    assert loss.measure_gradients(logits, batch["label"]) == pytest.approx(expected, rel=1e-5)
    assert loss.measure_gradients(logits, given) == pytest.approx(expected, rel=1e-5)
    assert suggest_alpha(loss, lambda image: image, [(logits, given, None)]) > 0


def test_the_terms_are_those_of_the_training_where_a_validation_calls_the_same_loss():
    plain, run = Run(max_epochs=1), Run(max_epochs=1)

    def validate(_: object) -> None:
        run.loss(torch.zeros(1, 2, 16, 16), torch.ones(1, 1, 16, 16), torch.zeros(1, 2, 16, 16))

    handlers = run.trainer._event_handlers[Events.ITERATION_COMPLETED]
    run.trainer.add_event_handler(Events.ITERATION_COMPLETED, validate)
    handlers.insert(0, handlers.pop())
    plain.trainer.run()
    run.trainer.run()
    assert run.metrics == plain.metrics
    assert run.alpha.history == plain.alpha.history


def test_terms_are_shown_by_an_engine_of_ignite_itself():
    loss = GeneralizedDiceBoundaryLoss(alpha=0.5, spacing=(1, 1))
    engine = Engine(lambda _, batch: loss(torch.zeros(1, 2, 8, 8), batch))
    LossTermsHandler(loss).attach(engine)
    engine.run([torch.ones(1, 1, 8, 8)], max_epochs=1)
    assert engine.state.metrics["region_term"] == pytest.approx(float(loss.region_term))
