"""The layers of a network as the kernels are told of them, and the memory that their numbers go through."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from cifar_lab.config.model_catalog import GROUP_IMAGES
from cifar_lab.models.flat_parameters import FlatParameters
from cifar_lab.training.backends.kernels.compiler import KernelsUnavailable
from cifar_lab.training.backends.kernels.structures import KernelOp, Layer

LANES = GROUP_IMAGES
"""Images of a group, and numbers of a vector: as in kernels.h."""

KERNEL = (5, 5)
"""Of a convolution: as in kernels.h."""


@dataclass(frozen=True)
class Activation:
    """Numbers that go from one layer to the next, and their gradients."""

    shape: tuple[int, ...]
    """(C, H, W) of planes, (features,) of rows."""
    values: Tensor
    """(slots, floats) float32"""
    gradients: Tensor | None
    """The same; None where nobody asks for them."""

    def sides(self) -> tuple[int, int, int]:
        """(channels, height, width) as kernels.h has them: of rows (features, 0, floats of a row)."""
        if len(self.shape) == 1:
            return self.shape[0], 0, whole_vectors(self.shape[0])
        channels, height, width = self.shape
        return channels, height, width


class Layers:
    """Layers one after the other, and the acts of a step: first all forward, then all back."""

    def __init__(self, network: nn.Module, parameters: FlatParameters, groups: int, slots: int) -> None:
        """Of a network whose parameters are the row of `parameters`; room for `slots` of `groups` groups of images."""
        self.layers: list[Layer] = []
        self.forward: list[tuple[KernelOp, int]] = []
        self.backward: list[tuple[KernelOp, int]] = []
        self.lane_sums = 0
        """Vectors that the sums of all convolutions take."""
        self._network = network
        self._offsets = {slot.name: slot.offset for slot in parameters.slots}
        """Of the parameters that no layer has taken yet."""
        self._groups, self._slots = groups, slots
        self._kept: list[Tensor] = []

    def images(self, shape: tuple[int, ...]) -> Activation:
        """Where a batch is cut to."""
        return self._room(shape, gradients=False)

    def convolution(self, module: nn.Conv2d, path: str, place: Activation) -> Activation:
        plain = (module.stride, module.padding, module.dilation, module.groups) == ((1, 1), (0, 0), (1, 1), 1)
        if module.kernel_size != KERNEL or not plain or module.bias is None:
            raise KernelsUnavailable(
                "there are none for convolutions but of 5 × 5 pixels, stride 1, no padding, with a bias"
            )
        channels, height, width = place.shape
        out = self._room((module.out_channels, height - KERNEL[0] + 1, width - KERNEL[1] + 1))
        layer = self._add(place, out, (KernelOp.CONVOLVE,), (KernelOp.CONVOLVE_BACK,), path)
        layer.lanes_at = self.lane_sums
        self.lane_sums += module.out_channels * (channels * math.prod(KERNEL) + 1)
        return out

    def linear(self, module: nn.Linear, path: str, place: Activation) -> Activation:
        if module.bias is None or len(place.shape) != 1:
            raise KernelsUnavailable("there are none for linear layers without a bias, or of planes")
        out = self._room((module.out_features,))
        self._add(place, out, (KernelOp.LINEAR,), (KernelOp.LINEAR_BACK,), path)
        return out

    def norm(self, module: nn.BatchNorm1d | nn.BatchNorm2d, path: str, place: Activation) -> Activation:
        if not module.affine or not module.track_running_stats or module.momentum is None:
            raise KernelsUnavailable(
                "there are none for BatchNorm without weights or an exponential average of its statistics"
            )
        out = self._room(place.shape)
        forward = (KernelOp.NORM_MEASURE, KernelOp.NORM_MERGE, KernelOp.NORM)
        backward = (KernelOp.NORM_BACK_MEASURE, KernelOp.NORM_BACK_MERGE, KernelOp.NORM_BACK)
        layer = self._add(place, out, forward, backward, path)
        layer.moments = self.keep(torch.zeros(self._groups + 1, 4, whole_vectors(place.shape[0]))).data_ptr()
        layer.momentum, layer.eps = module.momentum, module.eps
        buffers = {"running_mean": "running_mean", "running_var": "running_variance", "num_batches_tracked": "batches"}
        for name, own_name in buffers.items():
            setattr(layer, own_name, self.keep(module.get_buffer(name)).data_ptr())
        return out

    def max_pool(self, place: Activation) -> Activation:
        """Of windows of 2 × 2 pixels."""
        channels, height, width = place.shape
        if height % 2 or width % 2:
            raise KernelsUnavailable("there are none for max-pooling of planes with an odd side")
        if self.forward and self.forward[-1][0] in (KernelOp.CONVOLVE, KernelOp.NORM):
            # Which do not ask for what they gave, nor does pooling, which knows where the largest were: the gradients
            # take its place, and a group's numbers fit better into the cache.
            place = replace(place, gradients=place.values)
            self.layers[-1].out_gradient = self.layers[-1].out
        out = self._room((channels, height // 2, width // 2))
        layer = self._add(place, out, (KernelOp.MAX_POOL,), (KernelOp.MAX_POOL_BACK,))
        layer.index = self.keep(torch.zeros(out.values.shape, dtype=torch.int32)).data_ptr()
        return out

    def relu(self, place: Activation) -> Activation:
        """In place: no layer asks on its way back for what it gave."""
        self._add(place, place, (KernelOp.RELU,), (KernelOp.RELU_BACK,))
        return place

    def flatten(self, place: Activation) -> Activation:
        """Planes into rows, in torch's order."""
        out = self._room((math.prod(place.shape),))
        self._add(place, out, (KernelOp.FLATTEN,), (KernelOp.FLATTEN_BACK,))
        return out

    def cross_entropy(self, place: Activation) -> None:
        """The loss of logits, and their gradient."""
        if len(place.shape) != 1:
            raise KernelsUnavailable("there are none for logits that are planes")
        self._add(place, place, (), (KernelOp.CROSS_ENTROPY,))

    def keep(self, tensor: Tensor) -> Tensor:
        """The tensor, whose memory stays while this object does: the kernels have its address."""
        self._kept.append(tensor)
        return tensor

    def _add(
        self,
        place: Activation,
        out: Activation,
        forward: tuple[KernelOp, ...],
        backward: tuple[KernelOp, ...],
        path: str = "",
    ) -> Layer:
        """Add a layer between two places; `path` of the module whose weight and bias it has."""
        if place.gradients is None and backward != (KernelOp.CONVOLVE_BACK,):
            raise KernelsUnavailable("there are none for networks that do not begin with a convolution")
        layer, number = Layer(lanes_at=-1), len(self.layers)
        layer.in_, layer.in_gradient, layer.in_size = _addresses(place)
        layer.out, layer.out_gradient, layer.out_size = _addresses(out)
        layer.channels, layer.height, layer.width = place.sides()
        layer.outputs, layer.out_height, layer.out_width = out.sides()
        for name in ("weight", "bias") if path else ():
            own: Any = self._network.get_parameter(f"{path}.{name}")
            if not own.is_contiguous():
                raise KernelsUnavailable("they want weights in torch's contiguous format")
            if (offset := self._offsets.pop(f"{path}.{name}", None)) is None:
                raise KernelsUnavailable("there are none for weights that are used twice, or not trained")
            setattr(layer, name, own.data_ptr())
            setattr(layer, f"{name}_at", offset)
        self.layers.append(layer)
        self.forward += [(act, number) for act in forward]
        self.backward[:0] = [(act, number) for act in backward]
        return layer

    def _room(self, shape: tuple[int, ...], *, gradients: bool = True) -> Activation:
        size = math.prod(shape) if len(shape) == 3 else whole_vectors(shape[0])
        # Zeros, because what fills up a row is read and never written.
        values = self.keep(torch.zeros(self._slots, size * LANES))
        return Activation(shape, values, self.keep(torch.zeros_like(values)) if gradients else None)


def _addresses(place: Activation) -> tuple[int, int | None, int]:
    """(of the values, of the gradients, floats a slot)."""
    gradients = None if place.gradients is None else place.gradients.data_ptr()
    return place.values.data_ptr(), gradients, place.values.shape[1]


def whole_vectors(count: int) -> int:
    """`count` floats filled up to whole vectors."""
    return math.ceil(count / LANES) * LANES
