"""K networks of one architecture as one network: what it does is read from one of them and done for all at once.

The stacked network works on the parameters and running statistics of the K networks themselves, so the same numbers can
be trained together and looked at one by one.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from cifar_lab.models import MODELS
from cifar_lab.models.cropped import CroppedConv2d, graph_of
from cifar_lab.models.flat_parameters import FlatParameters, StackedParameter
from cifar_lab.models.stacked_layers import (
    NotStackable,
    StackedBatchNorm,
    StackedConvolution,
    StackedLinear,
    flatten,
    max_pool,
    mean_of_planes,
)

__all__ = ["NotStackable", "StackedNetwork", "stack"]

LAYERS: dict[type[nn.Module], Callable[..., Any]] = {
    nn.Conv2d: StackedConvolution,
    CroppedConv2d: StackedConvolution,
    nn.Linear: StackedLinear,
    nn.BatchNorm1d: StackedBatchNorm,
    nn.BatchNorm2d: StackedBatchNorm,
}
"""Layers with parameters, and what K of them become."""

FUNCTIONS: dict[Any, Callable[..., Tensor]] = {
    F.relu: F.relu,
    F.max_pool2d: max_pool,
    torch.flatten: flatten,
    operator.add: torch.add,
}
METHODS: dict[str, Callable[..., Tensor]] = {"flatten": flatten}


class StackedNetwork(fx.Interpreter):
    """Runs the operations of one network on tensors of all members."""

    def __init__(
        self,
        graph: fx.GraphModule,
        layers: Mapping[str, Callable[[Tensor], Tensor]],
        parameters: Sequence[StackedParameter],
    ) -> None:
        """`layers`: what stands for each module that the graph calls, by its name."""
        super().__init__(graph)
        self._layers = dict(layers)
        self._values = [parameter.values for parameter in parameters]
        self._gradients = [parameter.gradient for parameter in parameters]

    def __call__(self, images: Tensor) -> Tensor:
        """images (K, B, 3, 32, 32) -> logits (K, B, classes)."""
        logits: Tensor = self.run(images)
        return logits

    def backward(self, loss: Tensor) -> None:
        """Write the gradients of `loss` (a scalar) where the networks' own gradients lie; nothing is added up."""
        for place, gradient in zip(self._gradients, torch.autograd.grad(loss, self._values), strict=True):
            place.copy_(gradient)

    def train(self, mode: bool = True) -> None:
        """BatchNorm into training mode, or into evaluation mode."""
        for layer in self._layers.values():
            if isinstance(layer, StackedBatchNorm):
                layer.training = mode

    def call_module(self, target: Any, args: Any, kwargs: Any) -> Any:
        """Asked by the interpreter, as those below."""
        return self._layers[target](*args, **kwargs)

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        return FUNCTIONS[target](*args, **kwargs)

    def call_method(self, target: Any, args: Any, kwargs: Any) -> Any:
        return METHODS[target](*args, **kwargs)


def stack(networks: Sequence[nn.Module], parameters: FlatParameters, *, deterministic: bool) -> StackedNetwork:
    """The networks, whose parameters are the rows of `parameters`, as one; it starts in training mode.

    Args:
        deterministic: choose the form of each convolution by rule; otherwise by a measurement at its first use.

    Raises:
        NotStackable: they do something that there is no stacked form of, or may: what a model of one's own does can
            hang on more than its graph shows.
    """
    first = networks[0]
    if type(first).__module__.partition(".")[0] not in ("cifar_lab", "torchvision"):
        raise NotStackable(f"{type(first).__name__} is none of {', '.join(MODELS)}")
    graph = fx.GraphModule(first, graph_of(first))
    together, layers = parameters.together(), {}
    for node in graph.graph.nodes:
        if node.op == "call_module":
            path = node.target
            layers[path] = _stacked_layer(
                [network.get_submodule(path) for network in networks],
                {name.rpartition(".")[2]: own.values for name, own in together.items() if name.startswith(f"{path}.")},
                deterministic,
            )
        elif node.op not in ("placeholder", "output") and node.target not in {
            "call_function": FUNCTIONS, "call_method": METHODS
        }.get(node.op, ()):  # fmt: skip
            raise NotStackable(f"there is no stacked form of {getattr(node.target, '__name__', node.target)}")
    return StackedNetwork(graph, layers, list(together.values()))


def _stacked_layer(
    layers: Sequence[nn.Module], own: Mapping[str, Tensor], deterministic: bool
) -> Callable[[Tensor], Tensor]:
    """What stands for one layer of all networks; `own` are its parameters by their names in the layer."""
    layer = layers[0]
    missing = [name for name, _ in layer.named_parameters() if name not in own]
    if missing:
        raise NotStackable(f"{type(layer).__name__} has a {missing[0]} that is not trained")
    make = LAYERS.get(type(layer))
    if make is not None:
        stacked: Callable[[Tensor], Tensor] = make(layers, own, deterministic=deterministic)
        return stacked
    if isinstance(layer, nn.ReLU):
        return F.relu
    if isinstance(layer, nn.MaxPool2d):
        return lambda values: max_pool(
            values, layer.kernel_size, layer.stride, layer.padding, layer.dilation, layer.ceil_mode
        )
    if isinstance(layer, nn.AdaptiveAvgPool2d) and layer.output_size in (1, (1, 1)):
        return mean_of_planes
    raise NotStackable(f"there is no stacked form of {type(layer).__name__}")
