"""Networks under attack: K of one architecture in one pass where they can be stacked, else one after the other.

Images have pixels from 0 to 1. Normalisation is inside. All is float32, in evaluation mode, and no parameter has a
gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from cifar_lab.data.batches import MAX_PIXEL
from cifar_lab.models.flat_parameters import flatten_parameters
from cifar_lab.models.outputs import main_output
from cifar_lab.models.stacked import NotStackable, StackedNetwork, stack
from cifar_lab.training.trained.network import TrainedNetwork

Forward = Callable[[Tensor], Tensor]
"""images (K, B, 3, H, W) with pixels from 0 to 1 to logits (K, B, classes)."""


class Victims:
    """K networks that are attacked together."""

    def __init__(self, forward: Forward, members: int, device: torch.device, *, stacked: bool = False) -> None:
        self._forward = forward
        self.members = members
        self.device = device
        self.stacked = stacked

    def logits(self, images: Tensor) -> Tensor:
        """images (K, B, 3, H, W) to logits (K, B, classes), float32."""
        return self._forward(images).float()

    @torch.no_grad()
    def predict(self, images: Tensor) -> Tensor:
        """images (K, B, 3, H, W) to classes (K, B)."""
        return self.logits(images).argmax(dim=-1)


def victims_of(networks: Sequence[TrainedNetwork]) -> Victims:
    """Networks of finished runs, on the device that they are on."""
    device = networks[0].scale.device
    for network in networks:
        network.eval()
    scale = torch.stack([network.scale for network in networks]) * MAX_PIXEL  # (K, 1, 3, 1, 1)
    shift = torch.stack([network.shift for network in networks])
    stacked = _stacked([network.network for network in networks])
    for network in networks:
        network.requires_grad_(False)
    if stacked is not None:
        return Victims(lambda images: stacked(images * scale - shift), len(networks), device, stacked=True)
    return Victims(_one_by_one(list(networks), scale, shift), len(networks), device)


def modules_as_victims(modules: Sequence[nn.Module], device: torch.device) -> Victims:
    """Any networks that take images (B, 3, H, W) with pixels from 0 to 1."""
    for module in modules:
        module.eval().requires_grad_(False)
    return Victims(
        lambda images: torch.stack([main_output(m(each)) for m, each in zip(modules, images, strict=True)]),
        len(modules),
        device,
    )


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
