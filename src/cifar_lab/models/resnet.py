"""torchvision's ResNet-18 (arXiv:1512.03385) and the file of its ImageNet weights."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from cifar_lab.core.download import NotFetched, fetch, sha256_of
from cifar_lab.core.errors import WeightsError
from cifar_lab.models.convolutions import crop_convolutions

IMAGENET_SHA256 = "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec"
"""Checksum of resnet18-f37072fd.pth, whose name holds the first eight digits."""


def resnet18(num_classes: int = 10) -> nn.Module:
    """ResNet-18 with random weights, its last layer `fc` replaced by one of `num_classes` outputs."""
    from torchvision.models import resnet18 as torchvision_resnet18

    model: nn.Module = torchvision_resnet18()
    model.fc = nn.Linear(512, num_classes)
    crop_convolutions(model)
    return model


def imagenet_weights_file() -> Path:
    """Verified file of ResNet18_Weights.IMAGENET1K_V1 in torch hub's folder, downloaded if missing.

    Raises:
        WeightsError: the download failed, or the file has another checksum.
        EnvironmentFault: the folder is not writable.
    """
    from torchvision.models import ResNet18_Weights

    url: str = ResNet18_Weights.IMAGENET1K_V1.url
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    if not path.exists():
        try:
            fetch(url, path, IMAGENET_SHA256, lambda *_: None, "set TORCH_HOME to a folder that can be written")
        except NotFetched as error:
            raise WeightsError(
                f"{path.name}: the ImageNet weights of ResNet18 are not on this machine and {url} cannot be fetched "
                f"({error}); put the file into {path.parent}, or name one of your own with `model.weights: PATH`"
            ) from error
    with path.open("rb") as file:
        found = sha256_of(file)
    if found != IMAGENET_SHA256:
        raise WeightsError(
            f"{path}: damaged: its SHA-256 is {found}, expected {IMAGENET_SHA256}; "
            "delete it and run again to fetch it anew"
        )
    return path
