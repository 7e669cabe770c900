"""Built-in networks: the tutorial network of PyTorch, three variants, and ResNet-18 (arXiv:1512.03385)."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cifar_lab.core.download import NotFetched, fetch, sha256_of
from cifar_lab.core.errors import WeightsError
from cifar_lab.core.files import open_file
from cifar_lab.models.convolutions import crop_convolutions

IMAGENET_SHA256 = "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec"
"""Checksum of resnet18-f37072fd.pth, whose name holds the first eight digits."""


class Net(nn.Module):
    """Conv, pool, conv, pool, three linear layers, with ReLU between them and torch's default initialisation.

    Args:
        num_classes: number of logits.
        widths: channels of conv1 and conv2, features of fc1 and fc2.
    """

    def __init__(self, num_classes: int = 10, widths: tuple[int, int, int, int] = (6, 16, 120, 84)) -> None:
        super().__init__()
        conv1, conv2, fc1, fc2 = widths
        self.conv1 = nn.Conv2d(3, conv1, kernel_size=5)
        self.conv2 = nn.Conv2d(conv1, conv2, kernel_size=5)
        self.fc1 = nn.Linear(conv2 * 5 * 5, fc1)
        self.fc2 = nn.Linear(fc1, fc2)
        self.fc3 = nn.Linear(fc2, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, num_classes) of normalised images (B, 3, 32, 32)."""
        # ReLU and max-pooling commute, and after the pool ReLU has a quarter of the values to pass.
        x = F.relu(F.max_pool2d(self.conv1(images), 2))  # (B, 6, 14, 14)
        x = F.relu(F.max_pool2d(self.conv2(x), 2))  # (B, 16, 5, 5)
        x = F.relu(self.fc1(x.flatten(1)))  # (B, 400) -> (B, 120)
        x = F.relu(self.fc2(x))  # (B, 84)
        logits: Tensor = self.fc3(x)
        return logits


class Net1(Net):
    """Net with BatchNorm (arXiv:1502.03167) after conv1, conv2 and fc1, before their ReLU."""

    def __init__(self, num_classes: int = 10, widths: tuple[int, int, int, int] = (6, 16, 120, 84)) -> None:
        super().__init__(num_classes, widths)
        self.bn1 = nn.BatchNorm2d(self.conv1.out_channels)
        self.bn2 = nn.BatchNorm2d(self.conv2.out_channels)
        self.bn3 = nn.BatchNorm1d(self.fc1.out_features)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, num_classes) of normalised images (B, 3, 32, 32). In training mode B is at least 2."""
        x = F.relu(F.max_pool2d(self.bn1(self.conv1(images)), 2))  # (B, 6, 14, 14)
        x = F.relu(F.max_pool2d(self.bn2(self.conv2(x)), 2))  # (B, 16, 5, 5)
        x = F.relu(self.bn3(self.fc1(x.flatten(1))))  # (B, 400) -> (B, 120)
        x = F.relu(self.fc2(x))  # (B, 84)
        logits: Tensor = self.fc3(x)
        return logits


class Net2(Net):
    """Net with Kaiming-normal, fan-in weights (arXiv:1502.01852). Biases are initialised as in Net."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__(num_classes)
        for layer in self.children():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")


class Net3(Net):
    """Net with twice the width: 12, 32, 240, 168."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__(num_classes, widths=(12, 32, 240, 168))


def wide(
    num_classes: int = 10, channels: tuple[int, int] = (64, 128), widths: tuple[int, int] = (120, 84),
    batch_norm: bool = False,
) -> Net:  # fmt: skip
    """Net, or Net1 with `batch_norm`, with these channels of the convolutions and features of the linear layers."""
    return (Net1 if batch_norm else Net)(num_classes, (*channels, *widths))


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
            fetch(url, path, IMAGENET_SHA256, lambda *_: None, "set TORCH_HOME to a writable folder")
        except NotFetched as error:
            raise WeightsError(
                f"{path.name}: the ImageNet weights of ResNet18 are not on this machine and {url} cannot be downloaded "
                f"({error}); put the file into {path.parent}, or set `model.weights: PATH`"
            ) from error
    with open_file(path) as file:
        found = sha256_of(file)
    if found != IMAGENET_SHA256:
        raise WeightsError(
            f"{path}: damaged: its SHA-256 is {found}, expected {IMAGENET_SHA256}; "
            "delete it, so that the next run downloads it again"
        )
    return path
