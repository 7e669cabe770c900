"""The networks of the nine questions as the PyTorch tutorial writes them: ReLU, then pool."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Net(nn.Module):
    """The tutorial's network; `widths` are its channels and features."""

    def __init__(self, widths: tuple[int, int, int, int] = (6, 16, 120, 84)) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, widths[0], 5)
        self.pool = nn.MaxPool2d(2, 2)
        self.conv2 = nn.Conv2d(widths[0], widths[1], 5)
        self.fc1 = nn.Linear(widths[1] * 5 * 5, widths[2])
        self.fc2 = nn.Linear(widths[2], widths[3])
        self.fc3 = nn.Linear(widths[3], 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(F.relu(self.conv2(x)))
        x = torch.flatten(x, 1)
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        logits: Tensor = self.fc3(x)
        return logits


class Net1(Net):
    """With BatchNorm after conv1, conv2 and fc1."""

    def __init__(self) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(6)
        self.bn2 = nn.BatchNorm2d(16)
        self.bn3 = nn.BatchNorm1d(120)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(F.relu(self.bn1(self.conv1(x))))
        x = self.pool(F.relu(self.bn2(self.conv2(x))))
        x = torch.flatten(x, 1)
        x = F.relu(self.bn3(self.fc1(x)))
        x = F.relu(self.fc2(x))
        logits: Tensor = self.fc3(x)
        return logits


class Net2(Net):
    """With Kaiming-normal weights."""

    def __init__(self) -> None:
        super().__init__()
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")


class Net3(Net):
    """With twice the channels."""

    def __init__(self) -> None:
        super().__init__((12, 32, 240, 168))


def resnet18() -> nn.Module:
    """torchvision's ResNet-18 with ten outputs."""
    from torchvision.models import resnet18 as torchvision_resnet18

    model: nn.Module = torchvision_resnet18()
    model.fc = nn.Linear(512, 10)
    return model


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "Net": Net, "Net1": Net1, "Net2": Net2, "Net3": Net3, "ResNet18": resnet18,
}  # fmt: skip


def build(name: str, seed: int) -> nn.Module:
    """The network with the initial weights of `seed`."""
    torch.manual_seed(seed)
    return NETWORKS[name]()
