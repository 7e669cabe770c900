"""K networks of one architecture as one network: its operations are read from one of them and run on all at once.

The stacked network uses the parameters and running statistics of the K networks themselves, so the same numbers can be
trained together and evaluated one by one. Its layers add a leading dimension of members to each tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from cifar_lab.models.convolutions import graph_of
from cifar_lab.models.factory import MODELS
from cifar_lab.models.flat_parameters import FlatParameters, StackedParameter
from cifar_lab.models.freezing import is_below
from cifar_lab.models.input_size import input_size
from cifar_lab.models.stacked_layers import FUNCTIONS, METHODS, NotStackable, StackedBatchNorm, stacked_layer


class StackedNetwork(fx.Interpreter):
    """Runs the operations of one network on tensors of all members."""

    def __init__(
        self,
        graph: fx.GraphModule,
        layers: Mapping[str, Callable[[Tensor], Tensor]],
        parameters: Sequence[StackedParameter],
        still: Collection[str] = (),
    ) -> None:
        """`layers`: stacked form of each module that the graph calls, by name. Those under `still` never train."""
        super().__init__(graph)
        self._trained_norms = [
            layer
            for path, layer in layers.items()
            if isinstance(layer, StackedBatchNorm) and not any(is_below(path, each) for each in still)
        ]
        for layer in layers.values():
            if isinstance(layer, StackedBatchNorm):
                layer.training = layer in self._trained_norms
        self._layers = dict(layers)
        self._values = [parameter.values for parameter in parameters]
        self._gradients = [parameter.gradient for parameter in parameters]

    def __call__(self, images: Tensor) -> Tensor:
        """images (K, B, 3, 32, 32) to logits (K, B, classes)."""
        logits: Tensor = self.run(images)
        return logits

    def backward(self, loss: Tensor) -> None:
        """Overwrite the networks' gradients with those of `loss` (a scalar)."""
        for target, gradient in zip(self._gradients, torch.autograd.grad(loss, self._values), strict=True):
            target.copy_(gradient)

    def freeze(self) -> None:
        """Compute no gradients of the parameters, which then are those of the images alone."""
        for values in self._values:
            values.requires_grad_(False)

    def train(self, mode: bool = True) -> None:
        """Set BatchNorm to training or evaluation mode."""
        for layer in self._trained_norms:
            layer.training = mode

    def call_module(self, target: Any, args: Any, kwargs: Any) -> Any:
        """Called by the interpreter, as are the next two."""
        return self._layers[target](*args, **kwargs)

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        return FUNCTIONS[target](*args, **kwargs)

    def call_method(self, target: Any, args: Any, kwargs: Any) -> Any:
        return METHODS[target](*args, **kwargs)


def stack(
    networks: Sequence[nn.Module], parameters: FlatParameters, *, deterministic: bool, still: Collection[str] = (),
    graph: fx.Graph | None = None,
) -> StackedNetwork:  # fmt: skip
    """Stack networks whose trained parameters are the rows of `parameters`. The result starts in training mode.

    Args:
        deterministic: choose the form of each convolution by rule, otherwise by a measurement at its first use.
        still: modules that compute as in evaluation.
        graph: operations to run. None takes those of the whole network.

    Raises:
        NotStackable: an operation has no stacked form. Custom models are always refused, because their forward pass may
            depend on more than its graph shows.
    """
    first = networks[0]
    if type(first).__module__.partition(".")[0] not in ("cifar_lab", "torchvision"):
        raise NotStackable(f"{type(first).__name__} is not one of: {', '.join(MODELS)}")
    if input_size(first) is not None:
        raise NotStackable("model.input_size resizes batches one by one")
    operations = fx.GraphModule(first, graph or graph_of(first))
    stacked_parameters: dict[str, StackedParameter] = parameters.stacked_parameters()
    layers = {}
    for node in operations.graph.nodes:
        if node.op == "call_module":
            path = node.target
            layers[path] = stacked_layer(
                [network.get_submodule(path) for network in networks],
                {
                    name.rpartition(".")[2]: own.values
                    for name, own in stacked_parameters.items()
                    if name.startswith(f"{path}.")
                },
                deterministic,
            )
        elif node.op not in ("placeholder", "output") and node.target not in {
            "call_function": FUNCTIONS, "call_method": METHODS
        }.get(node.op, ()):  # fmt: skip
            raise NotStackable(f"there is no stacked form of {getattr(node.target, '__name__', node.target)}")
    return StackedNetwork(operations, layers, list(stacked_parameters.values()), still)
