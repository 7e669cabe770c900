"""What the tests of single steps train: arms with every optimizer and schedule, and images that can be told apart."""

from __future__ import annotations

import torch
from torch import Tensor

ARMS = {
    "sgd, none": ["optimizer.lr=0.01", "optimizer.momentum=0.5", "optimizer.weight_decay=0.01"],
    "nesterov, step": ["optimizer.lr=0.01", "optimizer.nesterov=true", "scheduler.name=step"],
    "sgd, plateau": ["optimizer.lr=0.01", "scheduler.name=plateau", "scheduler.patience=0", "data.flip=true"],
    "adam, one_cycle": ["optimizer.name=adam", "optimizer.lr=0.001", "scheduler.name=one_cycle"],
    "adam, none": ["optimizer.name=adam", "optimizer.lr=0.001", "optimizer.betas=[0.8, 0.95]"],
    "adamw, cosine": ["optimizer.name=adamw", "optimizer.lr=0.001", "scheduler.name=cosine"],
}


def drawn(images: int) -> tuple[Tensor, Tensor]:
    """(uint8 (N, 3, 32, 32), int64 (N,)): ten classes that differ in colour, with noise on top."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(10, (images,), generator=generator)
    colours = torch.randint(40, 216, (10, 3, 1, 1), generator=generator)
    noise = torch.randint(-40, 41, (images, 3, 32, 32), generator=generator)
    return (colours[labels] + noise).clamp(0, 255).to(torch.uint8), labels
