"""Random images on the device, whose labels are their numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision import transforms

from cifar_lab.data.resident_split import Normalizer, ResidentSplit

N = 37
CPU = torch.device("cpu")
MEAN, STD = (0.49, 0.48, 0.44), (0.25, 0.24, 0.26)
LAYOUTS = [torch.contiguous_format, torch.channels_last]
every_layout = pytest.mark.parametrize("layout", LAYOUTS, ids=["contiguous", "channels_last"])


def pixels() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (N, 3, 32, 32), dtype=np.uint8)


def split(how: str = "none", layout: torch.memory_format = torch.channels_last) -> ResidentSplit:
    """Each image's label is its index, so that a batch says which images it holds."""
    return ResidentSplit(pixels(), np.arange(N), Normalizer.make(how, MEAN, STD, CPU, layout))


def plain_images() -> torch.Tensor:
    return torch.from_numpy(pixels()).float() / 255


def by_torchvision(how: str) -> torch.Tensor:
    """(N, 3, 32, 32): the images as torchvision normalises them, one by one."""
    mean, std = {"half": ((0.5,) * 3, (0.5,) * 3), "channel": (MEAN, STD), "none": ((0.0,) * 3, (1.0,) * 3)}[how]
    one_by_one = transforms.Compose([transforms.ToTensor(), transforms.Normalize(mean, std)])
    return torch.stack([one_by_one(image.transpose(1, 2, 0)) for image in pixels()])
