"""What the kernels are told of a network, and networks that they refuse."""

from __future__ import annotations

from collections.abc import Callable
from ctypes import sizeof

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cifar_lab.models import MODELS
from cifar_lab.models.flat_parameters import flatten_parameters
from cifar_lab.training.backends.kept_libraries import KernelsUnavailable
from cifar_lab.training.backends.kernels.backend import KernelNetwork
from cifar_lab.training.backends.kernels.compiler import KernelOp, Layer


def kernels_of(network: nn.Module) -> KernelNetwork:
    return KernelNetwork(network, flatten_parameters([network]), batch_size=20, threads=1, label_smoothing=0.0)


class Variant(nn.Module):
    """A small network whose layers are called in another way."""

    def __init__(self, call: Callable[[Variant, Tensor], Tensor], **layers: nn.Module) -> None:
        super().__init__()
        self.conv, self.other = nn.Conv2d(3, 4, 5), nn.Conv2d(4, 4, 5)
        self.norm, self.fc, self.last = nn.BatchNorm2d(4), nn.Linear(4 * 14 * 14, 8), nn.Linear(8, 10)
        for name, layer in layers.items():
            setattr(self, name, layer)
        self.call = call

    def forward(self, images: Tensor) -> Tensor:
        return self.call(self, images)


def usual(net: Variant, images: Tensor) -> Tensor:
    x = F.max_pool2d(F.relu(net.conv(images)), 2)
    logits: Tensor = net.last(F.relu(net.fc(x.flatten(1))))
    return logits


def end(net: Variant, planes: Tensor) -> Tensor:
    logits: Tensor = net.last(net.fc(F.max_pool2d(planes, 2).flatten(1)))
    return logits


ODD: dict[str, tuple[Variant, str]] = {
    "kernel of 3": (Variant(usual, conv=nn.Conv2d(3, 4, 3)), "convolutions other than 5 × 5 pixels"),
    "stride": (Variant(usual, conv=nn.Conv2d(3, 4, 5, stride=2)), "convolutions other than 5 × 5 pixels"),
    "no bias": (Variant(usual, conv=nn.Conv2d(3, 4, 5, bias=False)), "convolutions other than 5 × 5 pixels"),
    "linear without a bias": (Variant(usual, fc=nn.Linear(784, 8, bias=False)), "linear layers without a bias"),
    "norm without weights": (
        Variant(lambda net, images: end(net, net.norm(net.conv(images))), norm=nn.BatchNorm2d(4, affine=False)),
        "BatchNorm without weights",
    ),
    "another activation": (Variant(lambda net, images: end(net, F.gelu(net.conv(images)))), "gelu as it is called"),
    "another pool": (
        Variant(lambda net, images: net.last(net.fc(F.max_pool2d(net.conv(images), 2, padding=1).flatten(1)))),
        "max_pool2d.* as it is called",
    ),
    "odd planes": (
        Variant(lambda net, images: F.max_pool2d(net.other(F.max_pool2d(F.max_pool2d(net.conv(images), 2), 2)), 2)),
        "planes with an odd side",
    ),
    "a module without parameters": (
        Variant(lambda net, images: end(net, net.norm(net.conv(images))), norm=nn.Dropout()), "Dropout",
    ),
    "a sum": (Variant(lambda net, images: end(net, net.conv(images) + 1)), "add as it is called"),
    "a shortcut": (
        Variant(lambda net, images: end(net, (lambda x: net.norm(x) + x)(net.conv(images)))), "add as it is called",
    ),
    "a branch": (
        Variant(lambda net, images: end(net, (lambda x: (F.relu(x), net.norm(x))[1])(net.conv(images)))),
        "not one after the other",
    ),
    "an answer from the middle": (
        Variant(lambda net, images: (lambda x: (x, F.relu(x))[0])(usual(net, images))), "not one after the other",
    ),
    "a layer used twice": (
        Variant(lambda net, images: end(net, net.norm(net.norm(net.conv(images))))), "weights that are used twice",
    ),
    "relu first": (Variant(lambda net, images: usual(net, F.relu(images))), "begin with a convolution"),
    "pool first": (Variant(lambda net, images: F.max_pool2d(images, 2)), "begin with a convolution"),
    "flat first": (Variant(lambda net, images: net.fc(images.flatten(1))), "begin with a convolution"),
    "norm first": (Variant(lambda net, images: net.norm(images), norm=nn.BatchNorm2d(3)), "begin with a convolution"),
    "planes last": (Variant(lambda net, images: net.conv(images)), "logits that are planes"),
}  # fmt: skip


def test_the_usual_network_is_taken() -> None:
    assert kernels_of(Variant(usual)).plan.layer_count == 8


@pytest.mark.parametrize("name", ODD)
def test_a_network_that_does_something_else_is_refused_in_words(name: str) -> None:
    network, words = ODD[name]
    with pytest.raises(KernelsUnavailable, match=words):
        kernels_of(network)


def test_weights_that_are_not_trained_or_lie_otherwise_are_refused() -> None:
    frozen = Variant(usual)
    frozen.fc.weight.requires_grad_(False)
    with pytest.raises(KernelsUnavailable, match="not trained"):
        kernels_of(frozen)
    with pytest.raises(KernelsUnavailable, match="contiguous"):
        kernels_of(Variant(usual).to(memory_format=torch.channels_last))


def test_the_acts_of_net_are_those_of_its_layers_there_and_back() -> None:
    plan = kernels_of(MODELS["Net"](10)).plan
    acts = [(KernelOp(plan.ops[i].kind), plan.ops[i].layer) for i in range(plan.op_count)]
    convolved = [KernelOp.CONVOLVE, KernelOp.MAX_POOL, KernelOp.RELU]
    there = [
        *convolved,
        *convolved,
        KernelOp.FLATTEN,
        KernelOp.LINEAR,
        KernelOp.RELU,
        KernelOp.LINEAR,
        KernelOp.RELU,
        KernelOp.LINEAR,
    ]
    back = {act: KernelOp(act + 1) for act in there}
    assert acts[0] == (KernelOp.LOAD_BATCH, 0)
    assert acts[1:] == [
        *((act, layer) for layer, act in enumerate(there)),
        (KernelOp.CROSS_ENTROPY, 12),
        *((back[act], layer) for layer, act in reversed(list(enumerate(there)))),
    ]
    assert plan.layer_count == 13
    assert sizeof(Layer) % 8 == 0


def test_numbers_lie_where_vectors_can_be_read() -> None:
    """64 bytes each, which C takes for granted."""
    plan = kernels_of(MODELS["Net1"](10)).plan
    for number in range(plan.layer_count):
        layer = plan.layers[number]
        for address in (layer.in_, layer.out, layer.in_gradient, layer.out_gradient, layer.index, plan.lanes):
            assert (address or 0) % 64 == 0
        assert layer.in_size % 16 == 0
        assert layer.out_size % 16 == 0
