"""Networks of runs as victims: K of one architecture in one pass where they can be stacked, else one by one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cifar_lab.data.resident_split import MAX_PIXEL
from cifar_lab.models.flat_parameters import flatten_parameters
from cifar_lab.models.outputs import main_output
from cifar_lab.models.stacked import StackedNetwork, stack
from cifar_lab.models.stacked_layers import NotStackable
from cifar_lab.training.attacks.victims import Forward, Victims
from cifar_lab.training.trained.network import TrainedNetwork


def victims_of(networks: Sequence[TrainedNetwork]) -> Victims:
    """Networks of finished runs, on the device that they are on."""
    device = networks[0].scale.device
    for network in networks:
        network.eval().requires_grad_()  # only parameters that are trained have a stacked form
    scale = torch.stack([network.scale for network in networks]) * MAX_PIXEL  # (K, 1, 3, 1, 1)
    shift = torch.stack([network.shift for network in networks])
    stacked = _stacked([network.network for network in networks])
    for network in networks:
        network.requires_grad_(False)
    each = [_one_by_one([network], scale[k : k + 1], shift[k : k + 1]) for k, network in enumerate(networks)]
    if stacked is not None:
        return Victims(lambda images: stacked(images * scale - shift), len(networks), device, stacked=True, each=each)
    return Victims(_one_by_one(list(networks), scale, shift), len(networks), device, each=each)


def _one_by_one(networks: Sequence[TrainedNetwork], scale: Tensor, shift: Tensor) -> Forward:
    def forward(images: Tensor) -> Tensor:
        normalized = images * scale - shift
        return torch.stack([main_output(each.network(batch)) for each, batch in zip(networks, normalized, strict=True)])

    return forward


def _stacked(networks: Sequence[nn.Module]) -> StackedNetwork | None:
    """The networks as one. None where they have no stacked form, and for a single one, which needs none."""
    if len(networks) < 2:
        return None
    try:
        parameters = flatten_parameters(networks)
        stacked = stack(networks, parameters, deterministic=True)
    except (NotStackable, ValueError):
        return None
    stacked.train(False)
    stacked.freeze()
    return stacked
