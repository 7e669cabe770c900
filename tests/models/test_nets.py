"""Net and its variants against the networks they are said to be."""

import math

import pytest
import torch
from torch import nn

from cifar_lab.models import count_parameters
from cifar_lab.models.nets import Net, Net1, Net2, Net3


def reference(classes: int, widths: tuple[int, int, int, int], batch_norm: bool) -> nn.Sequential:
    """The network written out layer by layer, ReLU before the pool as in the tutorial."""
    a, b, c, d = widths
    norms = [nn.BatchNorm2d(a), nn.BatchNorm2d(b), nn.BatchNorm1d(c)] if batch_norm else [nn.Identity()] * 3
    return nn.Sequential(
        nn.Conv2d(3, a, 5), norms[0], nn.ReLU(), nn.MaxPool2d(2, 2),
        nn.Conv2d(a, b, 5), norms[1], nn.ReLU(), nn.MaxPool2d(2, 2), nn.Flatten(),
        nn.Linear(25 * b, c), norms[2], nn.ReLU(), nn.Linear(c, d), nn.ReLU(), nn.Linear(d, classes),
    )  # fmt: skip


NARROW, WIDE = (6, 16, 120, 84), (12, 32, 240, 168)
VARIANTS = [(Net, NARROW, False), (Net1, NARROW, True), (Net2, NARROW, False), (Net3, WIDE, False)]


@pytest.mark.parametrize(("model", "parameters"), [(Net, 62_006), (Net1, 62_290), (Net2, 62_006), (Net3, 244_962)])
def test_parameters_for_ten_classes(model, parameters):
    assert count_parameters(model()) == parameters
    assert count_parameters(model(num_classes=7)) == parameters - 3 * (model().fc3.in_features + 1)


def test_layers_of_net():
    layers = {
        "conv1": nn.Conv2d(3, 6, 5),
        "conv2": nn.Conv2d(6, 16, 5),
        "fc1": nn.Linear(400, 120),
        "fc2": nn.Linear(120, 84),
        "fc3": nn.Linear(84, 10),
    }
    assert {name: repr(layer) for name, layer in Net().named_children()} == {n: repr(v) for n, v in layers.items()}


def test_layers_of_net1_are_those_of_net_and_three_batch_norms():
    extra = {"bn1": nn.BatchNorm2d(6), "bn2": nn.BatchNorm2d(16), "bn3": nn.BatchNorm1d(120)}
    expected = {name: repr(layer) for name, layer in [*Net().named_children(), *extra.items()]}
    assert {name: repr(layer) for name, layer in Net1().named_children()} == expected


@pytest.mark.parametrize(("model", "widths", "batch_norm"), VARIANTS)
@pytest.mark.parametrize("training", [True, False])
def test_outputs_and_gradients_equal_the_reference(model, widths, batch_norm, training):
    torch.manual_seed(3)
    ours = model(num_classes=7).train(training)
    theirs = reference(7, widths, batch_norm).train(training)
    if batch_norm:  # weights off 1, biases off 0: at their start they would hide a norm in the wrong place
        for norm in (ours.bn1, ours.bn2, ours.bn3):
            nn.init.uniform_(norm.weight, -1.5, 1.5)
            nn.init.uniform_(norm.bias, -0.5, 0.5)
            nn.init.uniform_(norm.running_mean, -0.5, 0.5)
    order = ["conv1", "bn1", "conv2", "bn2", "fc1", "bn3", "fc2", "fc3"]
    named = [name for name in order if hasattr(ours, name)]
    layers = [layer for layer in theirs if not isinstance(layer, (nn.ReLU, nn.MaxPool2d, nn.Flatten, nn.Identity))]
    for name, layer in zip(named, layers, strict=True):
        layer.load_state_dict(getattr(ours, name).state_dict())

    images = torch.randn(5, 3, 32, 32)
    our_logits, their_logits = ours(images), theirs(images)
    torch.testing.assert_close(our_logits, their_logits, rtol=1e-5, atol=1e-6)
    our_logits.square().sum().backward()
    their_logits.square().sum().backward()
    for name, layer in zip(named, layers, strict=True):
        torch.testing.assert_close(getattr(ours, name).weight.grad, layer.weight.grad, rtol=1e-4, atol=1e-5)
        if batch_norm and hasattr(layer, "running_mean"):
            torch.testing.assert_close(getattr(ours, name).running_var, layer.running_var)


def test_net1_normalises_between_the_layer_and_its_relu():
    torch.manual_seed(0)
    net = Net1().train()
    seen = {}
    for name in ("bn1", "bn2", "bn3"):
        getattr(net, name).register_forward_hook(lambda _m, args, out, name=name: seen.update({name: (args[0], out)}))
    images = torch.randn(16, 3, 32, 32)
    net(images)
    torch.testing.assert_close(seen["bn1"][0], net.conv1(images))
    for name, channels in (("bn1", 6), ("bn2", 16), ("bn3", 120)):
        before, after = seen[name]
        assert (before < 0).any(), f"{name} comes after a ReLU"
        means = after.transpose(0, 1).reshape(channels, -1).mean(dim=1)
        torch.testing.assert_close(means, torch.zeros(channels), rtol=0, atol=1e-5)


def test_net_starts_as_torch_makes_its_layers():
    torch.manual_seed(11)
    net = Net()
    torch.manual_seed(11)
    layers = [nn.Conv2d(3, 6, 5), nn.Conv2d(6, 16, 5), nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)]
    for ours, theirs in zip(net.children(), layers, strict=True):
        assert torch.equal(ours.weight, theirs.weight)
        assert torch.equal(ours.bias, theirs.bias)


def test_net2_starts_kaiming_normal_with_the_biases_of_net():
    torch.manual_seed(5)
    plain = Net()
    torch.manual_seed(5)
    net = Net2()
    for name, layer in net.named_children():
        weight = layer.weight.detach()
        fan_in, n = weight[0].numel(), weight.numel()
        std = math.sqrt(2 / fan_in)
        assert abs(weight.std() / std - 1) < 5 / math.sqrt(2 * n), name
        assert abs(weight.mean()) < 5 * std / math.sqrt(n), name
        beyond = (weight.abs() > 1.96 * std).float().mean()  # a uniform distribution of this std has none
        assert abs(beyond - 0.05) < 5 * math.sqrt(0.05 * 0.95 / n), name
        assert torch.equal(layer.bias, plain.get_submodule(name).bias), name
