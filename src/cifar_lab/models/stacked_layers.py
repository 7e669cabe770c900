"""The layers of K networks as one layer: the same operation on tensors with a leading dimension of members."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cifar_lab.models.convolutions import Form, Geometry, faster_form, form_for


class NotStackable(Exception):
    """The networks cannot be made one; the message says why, in words for the record."""


class StackedConvolution:
    """K convolutions, each with weights of its own."""

    def __init__(self, layers: Sequence[nn.Conv2d], own: Mapping[str, Tensor], *, deterministic: bool) -> None:
        """`own`: weight (K, O, C, h, w) and, where the layers have one, bias (K, O).

        Raises:
            NotStackable: dilation, groups or a padding of another kind.
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
        """(K, B, C, H, W) -> (K, B, O, H', W')."""
        given = (images, self._weight, self._bias, self._geometry)
        if self._form is None:
            self._form = faster_form(*given)
        return self._form(*given)


class StackedLinear:
    """K linear layers, each with weights of its own."""

    def __init__(self, layers: Sequence[nn.Linear], own: Mapping[str, Tensor], **_: object) -> None:
        """`own`: weight (K, out, in) and, where the layers have one, bias (K, out)."""
        self._weight, self._bias = own["weight"], own.get("bias")

    def __call__(self, features: Tensor) -> Tensor:
        """(K, B, in) -> (K, B, out)."""
        turned = self._weight.transpose(1, 2)
        if self._bias is None:
            return torch.bmm(features, turned)
        return torch.baddbmm(self._bias.unsqueeze(1), features, turned)


class StackedBatchNorm:
    """K BatchNorm layers (arXiv:1502.03167): each member has statistics of its own, of its own batch.

    The layers' running statistics become rows of one tensor, so that either way of running the networks moves the same
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
            _one_tensor([getattr(each, name) for each in layers])
            for name in ("running_mean", "running_var", "num_batches_tracked")
        )
        self.training = True

    def __call__(self, values: Tensor) -> Tensor:
        """(K, B, C, …) -> the same shape."""
        members, channels = self._weight.shape
        if self.training:
            self._batches.add_(1)
        normed = F.batch_norm(
            values.transpose(0, 1).flatten(1, 2), self._mean.flatten(), self._variance.flatten(),
            self._weight.flatten(), self._bias.flatten(), self.training, self._momentum, self._eps,
        )  # fmt: skip
        return normed.reshape(len(normed), members, channels, *normed.shape[2:]).transpose(0, 1)


def max_pool(values: Tensor, *given: Any, **named: Any) -> Tensor:
    """`F.max_pool2d` of (K, B, C, H, W)."""
    return _plane_by_plane(lambda planes: F.max_pool2d(planes, *given, **named), values)


def mean_of_planes(values: Tensor) -> Tensor:
    """(K, B, C, H, W) -> (K, B, C, 1, 1), as adaptive average pooling to one pixel."""
    return values.mean(dim=(3, 4), keepdim=True)


def flatten(values: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """`torch.flatten` of each member's images, from their dimension 1 on.

    Raises:
        NotStackable: it would flatten anything else.
    """
    if (start_dim, end_dim) != (1, -1):
        raise NotStackable(f"flatten from dimension {start_dim} to {end_dim}")
    return values.flatten(2)


def _plane_by_plane(act: Callable[[Tensor], Tensor], values: Tensor) -> Tensor:
    """`act` on (planes, C, H, W), whatever the order in which members, images and channels lie in memory."""
    order = sorted(range(3), key=values.stride, reverse=True)
    in_memory = values.permute(*order, 3, 4)
    acted = act(in_memory.flatten(0, 1))
    acted = acted.view(*in_memory.shape[:2], *acted.shape[1:])
    return acted.permute(*(order.index(dimension) for dimension in range(3)), 3, 4)


def _one_tensor(buffers: Sequence[Tensor]) -> Tensor:
    """The buffers as rows of one tensor, of which each becomes a view."""
    together = torch.stack(list(buffers))
    for buffer, row in zip(buffers, together, strict=True):
        buffer.data = row
    return together


def _pair(given: tuple[int, ...]) -> tuple[int, int]:
    first, second = given
    return first, second
