"""The VGG feature loss against a forward pass written by hand with torchvision's own network."""

from __future__ import annotations

import builtins
import copy
from pathlib import Path

import pytest
import torch

from monai_boundary import TopologyLoss

torchvision = pytest.importorskip("torchvision", exc_type=ImportError)
# Places of the layers in torchvision's `features`, counted off its printed form.
PLACES = {
    "conv1_1": 0, "conv1_2": 2, "relu1_2": 3, "conv2_2": 7, "relu2_2": 8, "conv3_4": 16, "relu3_4": 17, "conv4_1": 19
}  # fmt: skip
PAPER = ("relu1_2", "relu2_2", "relu3_4")


def random_features(last: int = 20) -> torch.nn.Sequential:
    """torchvision's VGG19 up to a layer, with random weights and biases."""
    with torch.device("meta"):
        features = torchvision.models.vgg19(weights=None).features[:last]
    features.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(1)
    for parameter in features.parameters():
        fan_in = parameter[0].numel() if parameter.ndim > 1 else 100
        torch.nn.init.normal_(parameter, 0, (2 / fan_in) ** 0.5, generator=generator)
    return features.requires_grad_(False)


@pytest.fixture(scope="module")
def features() -> torch.nn.Sequential:
    return random_features()


@pytest.fixture(scope="module")
def file(features, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("vgg") / "features.pth"
    torch.save(features.state_dict(), path)
    return path


def by_hand(features, probs: torch.Tensor, target: torch.Tensor, layers=PAPER) -> torch.Tensor:
    """One sample and class after the other, layer by layer, in the network as torchvision makes it."""
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    values = torch.zeros(probs.shape[:2])
    for sample in range(probs.shape[0]):
        for channel in range(probs.shape[1]):
            for layer in layers:
                maps = []
                for image in (probs, target):
                    stack = torch.stack([(image[sample, channel] - m) / s for m, s in zip(mean, std, strict=True)])
                    maps.append(copy.deepcopy(features[: PLACES[layer] + 1])(stack[None])[0])
                values[sample, channel] += ((maps[0] - maps[1]) ** 2).sum() / maps[0].numel()
    return values


@pytest.fixture
def example() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    target = torch.zeros(2, 3, 16, 20)
    target[0, 1, 3:9, 4:15] = target[1, 2, 8:, 2:7] = 1
    target[:, 0] = 1 - target[:, 1:].sum(1)
    return torch.randn(target.shape, generator=generator), target


@pytest.mark.parametrize("layers", [PAPER, ("conv1_2", "conv2_2", "conv3_4"), ("relu1_2",), ("conv4_1", "conv1_1")])
def test_value_is_that_of_a_forward_pass_by_hand(features, file, example, layers):
    logits, target = example
    found = TopologyLoss(weights=file, layers=layers, softmax=True, reduction="none")(logits, target)
    expected = by_hand(features, torch.softmax(logits, 1), target, layers)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=0)
    assert expected.min() > 0.01


def test_a_prediction_equal_to_the_target_scores_zero(file, example):
    _, target = example
    assert TopologyLoss(weights=file)(target, target) == 0


def test_the_gradient_reaches_the_input_and_nothing_else(file, example):
    logits, target = example
    logits.requires_grad_()
    target = target.clone().requires_grad_()
    loss = TopologyLoss(weights=file, sigmoid=True)
    loss(logits, target).backward()
    assert logits.grad.isfinite().all()
    assert (logits.grad != 0).float().mean() > 0.9
    assert target.grad is None
    assert all(parameter.grad is None for parameter in loss.network.parameters())
    assert not any(parameter.requires_grad for parameter in loss.network.parameters())


def test_the_network_is_in_the_state_only_when_wanted(file):
    plain = TopologyLoss(weights=file)
    assert not plain.state_dict()
    assert not list(plain.parameters())
    assert not list(plain.modules())[1:]
    full = TopologyLoss(weights=file, in_state_dict=True)
    assert len(full.state_dict()) == 16  # weight and bias of eight convolutions
    assert not any(parameter.requires_grad for parameter in full.parameters())


def test_training_mode_changes_nothing(file, example):
    loss = TopologyLoss(weights=file, sigmoid=True)
    assert loss.train()(*example) == loss.eval()(*example)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_mixed_precision_keeps_the_value_finite_and_near(file, example, dtype):
    logits, target = example
    loss = TopologyLoss(weights=file, sigmoid=True)
    whole = loss(logits, target)
    half = (logits * 1e4).to(dtype).requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(half, target)
        again = loss(logits, target)
    value.backward()
    assert value.isfinite()
    assert half.grad.isfinite().all()
    assert again == whole


def test_the_whole_models_file_is_read_as_well(file, example, tmp_path):
    features = torch.load(file, weights_only=True)
    whole = {f"features.{name}": values for name, values in features.items()}
    whole |= {"classifier.0.weight": torch.zeros(2, 2), "classifier.0.bias": torch.zeros(2)}
    torch.save(whole, tmp_path / "vgg19.pth")
    loss = TopologyLoss(weights=str(tmp_path / "vgg19.pth"), sigmoid=True)
    assert loss(*example) == TopologyLoss(weights=file, sigmoid=True)(*example)


def test_the_untrained_network_is_always_the_same_and_leaves_the_generator_alone(example):
    torch.manual_seed(5)
    first = TopologyLoss(weights=None, sigmoid=True)
    drawn = torch.rand(1)
    torch.manual_seed(5)
    assert torch.rand(1) == drawn
    assert TopologyLoss(weights=None, sigmoid=True)(*example) == first(*example) > 0


STATE = "weights must be a state dictionary"
FIRST = r"weights must hold features.0.weight of shape \(64, 3, 3, 3\), got"
FILES = [
    (b"", f"{STATE} that torch.load.weights_only=True. reads, got"),
    (b"not a checkpoint", f"{STATE} that torch.load"),
    ({"0.weight": Path("a")}, f"{STATE} that torch.load"),  # runs code
    ([1, 2], f"{STATE}, got a list in"),
    ({}, f"{FIRST} none in"),
    ({"0.weight": torch.zeros(2, 3)}, rf"{FIRST} \(2, 3\) in"),
    ({"0.weight": "text"}, f"{FIRST} none in"),
    ("vgg16", r"weights must hold features\.16\.weight of shape .*, got none in"),
]


@pytest.mark.parametrize(("content", "text"), FILES)
def test_a_file_of_something_else_is_refused(file, tmp_path, content, text):
    path = tmp_path / "odd.pth"
    if content == "vgg16":  # which has a pooling layer there
        state = torch.load(file, weights_only=True)
        content = {name: values for name, values in state.items() if not name.startswith("16.")}
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(ValueError, match=text):
        TopologyLoss(weights=path)


def test_a_missing_file_is_named_and_nothing_downloaded(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"weights must name the file with torchvision's VGG19 weights, got .*"):
        TopologyLoss(weights=tmp_path / "no.pth")


WRONG = [
    ({"layers": ()}, (1, 1, 8, 8), r"layers must be names among conv1_1, relu1_1, conv1_2, .*relu5_4, got"),
    ({"layers": ("relu9_9",)}, (1, 1, 8, 8), r"layers must be names among .*got"),
    ({"layers": "relu1_2"}, (1, 1, 8, 8), r"layers must be names among .*got"),
    ({}, (1, 1, 8, 8, 8), r"input must be \(B, C, H, W\) as VGG is two-dimensional, got shape"),
    ({}, (1, 1, 8), r"input must be \(B, C, H, W\) as VGG is two-dimensional, got shape"),
    ({}, (1, 1, 3, 8), "input must have at least 4 pixels along each axis for the layers relu1_2, rel"),
]


@pytest.mark.parametrize(("settings", "shape", "text"), WRONG)
def test_wrong_layers_and_images_are_refused(file, settings, shape, text):
    TopologyLoss(weights=file)(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4))  # no smaller than the poolings
    with pytest.raises(ValueError, match=text):
        TopologyLoss(weights=file, **settings)(torch.zeros(shape), torch.zeros(shape))


@pytest.mark.parametrize("error", [ImportError("No module named 'torchvision'"), RuntimeError("operator torchvision")])
def test_missing_torchvision_is_named_with_its_extra(monkeypatch, error):
    original = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.startswith("torchvision"):
            raise error
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ImportError, match=r"needs torchvision of the same build as torch, got: .*\[remote\]"):
        TopologyLoss(weights=None)
