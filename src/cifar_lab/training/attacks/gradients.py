"""Losses that an attack increases, and their gradients with respect to the images."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from cifar_lab.training.attacks.victims import Victims

LossName = Literal["cross_entropy", "margin"]


def attack_loss(logits: Tensor, labels: Tensor, name: LossName) -> Tensor:
    """Loss (K, B) per image of logits (K, B, classes) and labels (K, B)."""
    if name == "cross_entropy":
        return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view(labels.shape)
    return margin(logits, labels)


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """Largest other logit minus that of the label, (K, B). Positive where the image is misclassified."""
    own = logits.gather(-1, labels.unsqueeze(-1))
    others = logits.scatter(-1, labels.unsqueeze(-1), -torch.inf)
    return others.amax(dim=-1) - own.squeeze(-1)


def gradient(victims: Victims, images: Tensor, labels: Tensor, name: LossName) -> tuple[Tensor, Tensor]:
    """(gradient of the loss of each image, classes (K, B)) at images (K, B, 3, H, W) with labels (K, B)."""
    with torch.enable_grad():
        at = images.detach().requires_grad_()
        logits = victims.logits(at)
        (slope,) = torch.autograd.grad(attack_loss(logits, labels, name).sum(), at)
    return slope, logits.detach().argmax(dim=-1)


def norms(values: Tensor) -> Tensor:
    """L2 norm of each image: (K, B, 3, H, W) to (K, B, 1, 1, 1)."""
    sizes: Tensor = torch.linalg.vector_norm(values, dim=(2, 3, 4), keepdim=True)
    return sizes


def zero_gradients(slope: Tensor) -> Tensor:
    """Mask (K, B) of the images (K, B, 3, H, W) whose gradient is 0 in every pixel."""
    return (slope == 0).flatten(2).all(dim=2)
