"""K networks of one architecture as one network: its operations are read from one of them and run on all at once.

The stacked network uses the parameters and running statistics of the K networks themselves, so the same numbers can be
trained together and evaluated one by one. Its layers add a leading dimension of members to each tensor.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from cifar_lab.models.convolutions import CroppedConv2d, Form, Geometry, faster_form, form_for, graph_of
from cifar_lab.models.factory import MODELS
from cifar_lab.models.flat_parameters import FlatParameters, StackedParameter
from cifar_lab.models.input_size import input_size


class NotStackable(Exception):
    """The networks cannot be stacked. The message gives the reason for the record."""


class StackedConvolution:
    """K convolutions with separate weights."""

    def __init__(self, layers: Sequence[nn.Conv2d], own: Mapping[str, Tensor], *, deterministic: bool) -> None:
        """`own`: weight (K, O, C, h, w) and optional bias (K, O).

        Raises:
            NotStackable: dilation, groups or padding other than zeros.
        """
        layer = layers[0]
        if layer.groups != 1 or layer.dilation != (1, 1) or layer.padding_mode != "zeros":
            raise NotStackable("a convolution with dilation, groups or padding other than zeros")
        if isinstance(layer.padding, str):
            raise NotStackable(f"a convolution with padding {layer.padding!r}")
        self._weight, self._bias = own["weight"], own.get("bias")
        self._geometry = Geometry(_pair(layer.stride), _pair(layer.padding))
        self._form: Form | None = form_for(layer.in_channels, layer.weight.device) if deterministic else None

    def __call__(self, images: Tensor) -> Tensor:
        """(K, B, C, H, W) to (K, B, O, H', W')."""
        given = (images, self._weight, self._bias, self._geometry)
        if self._form is None:
            self._form = faster_form(*given)
        return self._form(*given)


class StackedLinear:
    """K linear layers with separate weights."""

    def __init__(self, layers: Sequence[nn.Linear], own: Mapping[str, Tensor], **_: object) -> None:
        """`own`: weight (K, out, in) and optional bias (K, out)."""
        self._weight, self._bias = own["weight"], own.get("bias")

    def __call__(self, features: Tensor) -> Tensor:
        """(K, B, in) to (K, B, out)."""
        turned = self._weight.transpose(1, 2)
        if self._bias is None:
            return torch.bmm(features, turned)
        return torch.baddbmm(self._bias.unsqueeze(1), features, turned)


class StackedBatchNorm:
    """K BatchNorm layers (arXiv:1502.03167). Each member uses the statistics of its batch alone.

    The layers' running statistics become rows of one tensor, so the stacked and the separate networks update the same
    numbers.
    """

    def __init__(
        self, layers: Sequence[nn.BatchNorm1d | nn.BatchNorm2d], own: Mapping[str, Tensor], **_: object
    ) -> None:
        """`own`: weight and bias (K, C).

        Raises:
            NotStackable: no weights, no running statistics, or a cumulative average of them.
        """
        layer = layers[0]
        if not layer.affine or not layer.track_running_stats or layer.momentum is None:
            raise NotStackable("a BatchNorm without weights, or without an exponential average of its statistics")
        self._weight, self._bias = own["weight"], own["bias"]
        self._momentum, self._eps = layer.momentum, layer.eps
        self._mean, self._variance, self._batches = (
            _as_rows([getattr(each, name) for each in layers])
            for name in ("running_mean", "running_var", "num_batches_tracked")
        )
        self.training = True

    def __call__(self, values: Tensor) -> Tensor:
        """(K, B, C, …) to the same shape."""
        members, channels = self._weight.shape
        if self.training:
            self._batches.add_(1)
        # Statistics are per channel, so members side by side in the channel dimension stay separate in one call.
        normed = F.batch_norm(
            values.transpose(0, 1).flatten(1, 2), self._mean.flatten(), self._variance.flatten(),
            self._weight.flatten(), self._bias.flatten(), self.training, self._momentum, self._eps,
        )  # fmt: skip
        return normed.reshape(len(normed), members, channels, *normed.shape[2:]).transpose(0, 1)


def max_pool(values: Tensor, *given: Any, **named: Any) -> Tensor:
    """`F.max_pool2d` of (K, B, C, H, W)."""
    return _by_plane(lambda planes: F.max_pool2d(planes, *given, **named), values)


def mean_of_planes(values: Tensor) -> Tensor:
    """(K, B, C, H, W) to (K, B, C, 1, 1), as adaptive average pooling to one pixel."""
    return values.mean(dim=(3, 4), keepdim=True)


def flatten(values: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """`torch.flatten` of each member's images from dimension 1.

    Raises:
        NotStackable: other dimensions.
    """
    if (start_dim, end_dim) != (1, -1):
        raise NotStackable(f"flatten from dimension {start_dim} to {end_dim}")
    return values.flatten(2)


def _by_plane(function: Callable[[Tensor], Tensor], values: Tensor) -> Tensor:
    """Apply `function` to (planes, C, H, W), for any memory order of members, images and channels."""
    # Flattening in memory order is a view. In another order it would copy the activations of every step.
    order = sorted(range(3), key=values.stride, reverse=True)
    in_memory = values.permute(*order, 3, 4)
    result = function(in_memory.flatten(0, 1))
    result = result.view(*in_memory.shape[:2], *result.shape[1:])
    return result.permute(*(order.index(dimension) for dimension in range(3)), 3, 4)


def _as_rows(buffers: Sequence[Tensor]) -> Tensor:
    """Move buffers or frozen parameters into the rows of one tensor and make each a view of its row."""
    rows = torch.stack([buffer.detach() for buffer in buffers])
    for buffer, row in zip(buffers, rows, strict=True):
        buffer.data = row
    return rows


def is_below(path: str, module: str) -> bool:
    """Whether a path is that of a module or of a part of it."""
    return path == module or path.startswith(f"{module}.")


def _pair(given: tuple[int, ...]) -> tuple[int, int]:
    first, second = given
    return first, second


LAYERS: dict[type[nn.Module], Callable[..., Any]] = {
    nn.Conv2d: StackedConvolution,
    CroppedConv2d: StackedConvolution,
    nn.Linear: StackedLinear,
    nn.BatchNorm1d: StackedBatchNorm,
    nn.BatchNorm2d: StackedBatchNorm,
}
"""Stacked form of each layer with parameters."""

FUNCTIONS: dict[Any, Callable[..., Tensor]] = {
    F.relu: F.relu,
    F.gelu: F.gelu,
    F.max_pool2d: max_pool,
    torch.flatten: flatten,
    operator.add: torch.add,
    operator.mul: torch.mul,
}
METHODS: dict[str, Callable[..., Tensor]] = {"flatten": flatten}


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
            layers[path] = _stacked_layer(
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


def _stacked_layer(
    layers: Sequence[nn.Module], own: Mapping[str, Tensor], deterministic: bool
) -> Callable[[Tensor], Tensor]:
    """Stacked form of one layer of all networks. `own` holds its trained parameters by their names in the layer."""
    layer = layers[0]
    frozen = [name for name, parameter in layer.named_parameters() if not parameter.requires_grad]
    own = {**own, **{name: _as_rows([each.get_parameter(name) for each in layers]) for name in frozen}}
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
