"""Layers of a network as the kernels see them, made from its operations, and the memory of their activations."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from cifar_lab.config.registry import GROUP_IMAGES
from cifar_lab.data.splits import IMAGE_SHAPE
from cifar_lab.models.flat_parameters import FlatParameters
from cifar_lab.training.backends.kept_libraries import KernelsUnavailable
from cifar_lab.training.backends.kernels.compiler import KernelOp, Layer
from cifar_lab.training.backends.kernels.operations import Operation, Operations

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

    def add(self, operation: Operation, given: Activation) -> Activation:
        """Add an operation on the last activation. Returns its output."""
        kind, path = operation
        if path:
            method: Callable[[Any, str, Activation], Activation] = getattr(self, kind)
            return method(self._network.get_submodule(path), path, given)
        plain: Callable[[Activation], Activation] = getattr(self, kind)
        return plain(given)

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


def read_layers(
    network: nn.Module, operations: Operations, parameters: FlatParameters, groups: int, slots: int
) -> Layers:
    """Layers of a network that has these operations.

    Raises:
        KernelsUnavailable: no kernel for an operation as it is used.
    """
    layers = Layers(network, parameters, groups, slots)
    activation = layers.images(IMAGE_SHAPE)
    for operation in operations:
        activation = layers.add(operation, activation)
    layers.cross_entropy(activation)
    return layers


def _addresses(activation: Activation) -> tuple[int, int | None, int]:
    """(address of the values, address of the gradients, floats per slot)."""
    gradients = None if activation.gradients is None else activation.gradients.data_ptr()
    return activation.values.data_ptr(), gradients, activation.values.shape[1]


def whole_vectors(count: int) -> int:
    """`count` floats rounded up to whole vectors."""
    return math.ceil(count / LANES) * LANES
