"""Initial weights that settings choose: Kaiming, orthogonal, whitening of training patches, a last layer of zeros.

Biases are those of torch. Weights are drawn from torch's global generator, after those of torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from cifar_lab import config
from cifar_lab.core.errors import SettingsError
from cifar_lab.models.factory import LAST_LAYER
from cifar_lab.models.freezing import is_below
from cifar_lab.models.weights import last_layer

Covariance = Callable[[int, int], Tensor]
"""Covariance (D, D) of training patches of so many rows and columns, see `data.patches`."""

WHITENING_EPS = 5e-4
"""Added to each variance, so that directions of almost none are not blown up. That of arXiv:2404.00498."""


def initialise(network: nn.Module, model: config.Model, covariance: Covariance | None) -> None:
    """Give a new network the weights that `model.init` and `model.head_init` choose.

    Args:
        covariance: that of the training images. `whiten` needs it.

    Raises:
        SettingsError: `whiten` for a network without a convolution of the images.
    """
    if model.init == model.head_init == "torch":
        return
    init = model.init if model.weights is None else "torch"  # a default of the model, which its file has replaced
    head = LAST_LAYER.get(model.name) or last_layer(network)
    if init == "kaiming":
        for _, weight in _weights(network):
            nn.init.kaiming_normal_(weight, nonlinearity="relu")
    elif init == "orthogonal":
        for name, weight in _weights(network):
            _orthogonal(weight, gain=1.0 if name == head else math.sqrt(2.0))
    elif init == "whiten":
        if covariance is None:
            raise ValueError("whitening needs the covariance of training patches")
        _whiten(first_convolution(network, model.name), covariance)
    if model.head_init == "zero":
        for name, parameter in network.named_parameters():
            if is_below(name, head):
                nn.init.zeros_(parameter)


def plain_covariance(rows: int, columns: int) -> Tensor:
    """Covariance of patches of uncorrelated pixels, for trials without images."""
    return torch.eye(3 * rows * columns, dtype=torch.float64)


def _weights(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """(name of the layer, weight) of each trained convolution and linear layer."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and module.weight.requires_grad:
            yield name, module.weight


@torch.no_grad()
def _orthogonal(weight: Tensor, gain: float) -> None:
    """Orthogonal rows or columns of the matrix (out, in). In float64, so that the bits do not depend on threads."""
    drawn = torch.empty(len(weight), weight[0].numel(), dtype=torch.float64)
    weight.copy_(nn.init.orthogonal_(drawn, gain).view(weight.shape))


def first_convolution(network: nn.Module, name: str) -> nn.Conv2d:
    """Convolution that takes the images.

    Raises:
        SettingsError: the first convolution takes something else, or there is none.
    """
    found = next((each for each in network.modules() if isinstance(each, nn.Conv2d)), None)
    if found is None or found.in_channels != 3 or found.groups != 1 or found.dilation != (1, 1):
        raise SettingsError(
            f"model.init: whiten needs a first convolution of 3 channels, which {name} does not have; choose another "
            "init"
        )
    return found


@torch.no_grad()
def _whiten(layer: nn.Conv2d, covariance: Covariance) -> None:
    """Set the filters of a convolution. Outputs beyond the filters and their negatives keep their weights."""
    rows, columns = layer.kernel_size
    filters = whitening_filters(covariance(rows, columns))
    both = torch.cat([filters, -filters])[: layer.out_channels]  # (at most 2D, D)
    layer.weight[: len(both)] = both.view(-1, *layer.weight.shape[1:]).to(layer.weight)


def whitening_filters(covariance: Tensor) -> Tensor:
    """Filters (D, D) whose outputs on the patches are uncorrelated and of variance 1, the largest variance first.

    They are the eigenvectors of the covariance, each divided by the root of its eigenvalue. The largest entry of each
    is positive, because the sign of an eigenvector is free.
    """
    values, vectors = torch.linalg.eigh(covariance)  # ascending
    values, vectors = values.flip(0), vectors.flip(1).T
    largest = vectors.gather(1, vectors.abs().argmax(dim=1, keepdim=True))
    filters: Tensor = vectors * largest.sign() / (values.unsqueeze(1) + WHITENING_EPS).sqrt()
    return filters
