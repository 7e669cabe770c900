"""Layers of a network as the kernels see them, read from its graph, and the memory of their activations."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from cifar_lab.config.registry import GROUP_IMAGES
from cifar_lab.data.splits import IMAGE_SHAPE
from cifar_lab.models.convolutions import graph_of
from cifar_lab.models.flat_parameters import FlatParameters
from cifar_lab.training.backends.kernels.compiler import KernelOp, KernelsUnavailable, Layer

LANES = GROUP_IMAGES
"""Images per group and floats per vector, as in kernels.h."""

KERNEL = (5, 5)
"""Size of a convolution kernel, as in kernels.h."""


@dataclass(frozen=True)
class Activation:
    """Values that one layer passes to the next, and their gradients."""

    shape: tuple[int, ...]
    """(C, H, W) of planes, (features,) of rows."""
    values: Tensor
    """(slots, floats) float32."""
    gradients: Tensor | None
    """Same shape. None for the images, whose gradient no layer needs."""

    def sides(self) -> tuple[int, int, int]:
        """(channels, height, width) of kernels.h. For rows: (features, 0, stride of a row)."""
        if len(self.shape) == 1:
            return self.shape[0], 0, whole_vectors(self.shape[0])
        channels, height, width = self.shape
        return channels, height, width


class Layers:
    """Sequential layers, and the operations of a step: all forward, then all backward."""

    def __init__(self, network: nn.Module, parameters: FlatParameters, groups: int, slots: int) -> None:
        """Allocate `slots` memory slots for batches of `groups` groups. `parameters` holds the network's row."""
        self.layers: list[Layer] = []
        self.forward: list[tuple[KernelOp, int]] = []
        self.backward: list[tuple[KernelOp, int]] = []
        self.lane_sums = 0
        """Vectors that the gradient sums of all convolutions occupy."""
        self._network = network
        self._unused_offsets = {span.name: span.offset for span in parameters.spans}
        self._groups, self._slots = groups, slots
        self._kept: list[Tensor] = []

    def images(self, shape: tuple[int, ...]) -> Activation:
        """Memory for the loaded images."""
        return self._allocate(shape, gradients=False)

    def convolution(self, module: nn.Conv2d, path: str, given: Activation) -> Activation:
        plain = (module.stride, module.padding, module.dilation, module.groups) == ((1, 1), (0, 0), (1, 1), 1)
        if module.kernel_size != KERNEL or not plain or module.bias is None:
            raise KernelsUnavailable(
                "there are none for convolutions other than 5 × 5 pixels with stride 1, no padding and a bias"
            )
        channels, height, width = given.shape
        out = self._allocate((module.out_channels, height - KERNEL[0] + 1, width - KERNEL[1] + 1))
        layer = self._add(given, out, (KernelOp.CONVOLVE,), (KernelOp.CONVOLVE_BACK,), path)
        layer.lanes_at = self.lane_sums
        self.lane_sums += module.out_channels * (channels * math.prod(KERNEL) + 1)
        return out

    def linear(self, module: nn.Linear, path: str, given: Activation) -> Activation:
        if module.bias is None or len(given.shape) != 1:
            raise KernelsUnavailable("there are none for linear layers without a bias, or of planes")
        out = self._allocate((module.out_features,))
        self._add(given, out, (KernelOp.LINEAR,), (KernelOp.LINEAR_BACK,), path)
        return out

    def norm(self, module: nn.BatchNorm1d | nn.BatchNorm2d, path: str, given: Activation) -> Activation:
        if not module.affine or not module.track_running_stats or module.momentum is None:
            raise KernelsUnavailable(
                "there are none for BatchNorm without weights or an exponential average of its statistics"
            )
        out = self._allocate(given.shape)
        forward = (KernelOp.NORM_MEASURE, KernelOp.NORM_MERGE, KernelOp.NORM)
        backward = (KernelOp.NORM_BACK_MEASURE, KernelOp.NORM_BACK_MERGE, KernelOp.NORM_BACK)
        layer = self._add(given, out, forward, backward, path)
        layer.moments = self.keep(torch.zeros(self._groups + 1, 4, whole_vectors(given.shape[0]))).data_ptr()
        layer.momentum, layer.eps = module.momentum, module.eps
        buffers = {"running_mean": "running_mean", "running_var": "running_variance", "num_batches_tracked": "batches"}
        for name, field in buffers.items():
            setattr(layer, field, self.keep(module.get_buffer(name)).data_ptr())
        return out

    def max_pool(self, given: Activation) -> Activation:
        """Add max-pooling of 2 × 2 pixels."""
        channels, height, width = given.shape
        if height % 2 or width % 2:
            raise KernelsUnavailable("there are none for max-pooling of planes with an odd side")
        if self.forward and self.forward[-1][0] in (KernelOp.CONVOLVE, KernelOp.NORM):
            # Neither of these reads its output in the backward pass, and pooling has stored where the maxima were.
            # So the gradients may overwrite the values, and a group's activations fit better into the cache.
            given = replace(given, gradients=given.values)
            self.layers[-1].out_gradient = self.layers[-1].out
        out = self._allocate((channels, height // 2, width // 2))
        layer = self._add(given, out, (KernelOp.MAX_POOL,), (KernelOp.MAX_POOL_BACK,))
        layer.index = self.keep(torch.zeros(out.values.shape, dtype=torch.int32)).data_ptr()
        return out

    def relu(self, given: Activation) -> Activation:
        """Add an in-place ReLU. No preceding layer reads its output in the backward pass."""
        self._add(given, given, (KernelOp.RELU,), (KernelOp.RELU_BACK,))
        return given

    def flatten(self, given: Activation) -> Activation:
        """Add the conversion of planes into rows, in torch's order."""
        out = self._allocate((math.prod(given.shape),))
        self._add(given, out, (KernelOp.FLATTEN,), (KernelOp.FLATTEN_BACK,))
        return out

    def cross_entropy(self, given: Activation) -> None:
        """Add the loss of logits, which also computes their gradient."""
        if len(given.shape) != 1:
            raise KernelsUnavailable("there are none for logits that are planes")
        self._add(given, given, (), (KernelOp.CROSS_ENTROPY,))

    def keep(self, tensor: Tensor) -> Tensor:
        """Keep a tensor alive as long as this object, because the kernels hold its address."""
        self._kept.append(tensor)
        return tensor

    def _add(
        self,
        given: Activation,
        out: Activation,
        forward: tuple[KernelOp, ...],
        backward: tuple[KernelOp, ...],
        path: str = "",
    ) -> Layer:
        """Add a layer between two activations. `path` names the module whose weight and bias it uses."""
        if given.gradients is None and backward != (KernelOp.CONVOLVE_BACK,):
            raise KernelsUnavailable("there are none for networks that do not begin with a convolution")
        layer, number = Layer(lanes_at=-1), len(self.layers)
        layer.in_, layer.in_gradient, layer.in_size = _addresses(given)
        layer.out, layer.out_gradient, layer.out_size = _addresses(out)
        layer.channels, layer.height, layer.width = given.sides()
        layer.outputs, layer.out_height, layer.out_width = out.sides()
        for name in ("weight", "bias") if path else ():
            parameter: Any = self._network.get_parameter(f"{path}.{name}")
            if not parameter.is_contiguous():
                raise KernelsUnavailable("they need weights in torch's contiguous format")
            if (offset := self._unused_offsets.pop(f"{path}.{name}", None)) is None:
                raise KernelsUnavailable("there are none for weights that are used twice, or not trained")
            setattr(layer, name, parameter.data_ptr())
            setattr(layer, f"{name}_at", offset)
        self.layers.append(layer)
        self.forward += [(op, number) for op in forward]
        self.backward[:0] = [(op, number) for op in backward]
        return layer

    def _allocate(self, shape: tuple[int, ...], *, gradients: bool = True) -> Activation:
        size = math.prod(shape) if len(shape) == 3 else whole_vectors(shape[0])
        # Zeros, because the padding of a row is read but never written.
        values = self.keep(torch.zeros(self._slots, size * LANES))
        return Activation(shape, values, self.keep(torch.zeros_like(values)) if gradients else None)


MODULES: dict[type[nn.Module], Callable[[Layers, Any, str, Activation], Activation]] = {
    nn.Conv2d: Layers.convolution,
    nn.Linear: Layers.linear,
    nn.BatchNorm1d: Layers.norm,
    nn.BatchNorm2d: Layers.norm,
}
"""Modules with parameters, and the method that adds each."""


def read_layers(network: nn.Module, parameters: FlatParameters, groups: int, slots: int) -> Layers:
    """Layers of a network, read from its traced graph.

    Raises:
        KernelsUnavailable: no kernel for a layer, or layers that are not sequential.
    """
    layers = Layers(network, parameters, groups, slots)
    activation, last = layers.images(IMAGE_SHAPE), None
    for node in graph_of(network).nodes:
        if node.op != "placeholder":
            if node.args[:1] != (last,):
                raise KernelsUnavailable("there are none for layers that are not one after the other")
            if node.op != "output":
                activation = _read_layer(node, network, layers, activation)
        last = node
    layers.cross_entropy(activation)
    return layers


def _read_layer(node: fx.Node, network: nn.Module, layers: Layers, given: Activation) -> Activation:
    if node.op == "call_module":
        path = str(node.target)
        module = network.get_submodule(path)
        if type(module) in MODULES:
            return MODULES[type(module)](layers, module, path, given)
        raise KernelsUnavailable(f"there are none for {type(module).__name__}")
    if node.target is F.relu:
        return layers.relu(given)
    if node.target is F.max_pool2d and _has_windows_of_two(node):
        return layers.max_pool(given)
    if node.target == "flatten" and node.args[1:] == (1,) and not node.kwargs:
        return layers.flatten(given)
    raise KernelsUnavailable(f"there are none for {getattr(node.target, '__name__', node.target)} as it is called")


def _has_windows_of_two(node: fx.Node) -> bool:
    """Whether a call of `F.max_pool2d` has adjacent windows of 2 × 2 pixels and default options otherwise."""
    names = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
    given: dict[str, Any] = {"stride": None, "padding": 0, "dilation": 1, "ceil_mode": False, "return_indices": False}
    given |= dict(zip(names, node.args[1:], strict=False)) | dict(node.kwargs)
    two = (2, [2, 2], (2, 2))
    return given.pop("kernel_size") in two and given.pop("stride") in (None, *two) and list(given.values()) == [
        0, 1, False, False
    ]  # fmt: skip


def _addresses(activation: Activation) -> tuple[int, int | None, int]:
    """(address of the values, address of the gradients, floats per slot)."""
    gradients = None if activation.gradients is None else activation.gradients.data_ptr()
    return activation.values.data_ptr(), gradients, activation.values.shape[1]


def whole_vectors(count: int) -> int:
    """`count` floats rounded up to whole vectors."""
    return math.ceil(count / LANES) * LANES
