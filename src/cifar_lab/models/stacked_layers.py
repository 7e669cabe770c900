"""Layers and operations of K networks at once, in a leading dimension of members."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cifar_lab.models.convolutions import CroppedConv2d, Form, Geometry, faster_form, form_for


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


def stacked_layer(
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
