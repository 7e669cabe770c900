"""CifarNet: the network of airbench94 (Jordan 2024, arXiv:2404.00498), after its published description."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WHITENED = 24
"""Outputs of the first convolution: a filter for each of the 3 · 2 · 2 values of a patch, and their negatives."""

NORM_MOMENTUM, NORM_EPS = 0.4, 1e-12
"""Of BatchNorm, in torch's form. The description has 0.6 as the share that is kept."""


class CifarNet(nn.Module):
    """Whitening convolution, three blocks, a scaled linear layer.

    Args:
        num_classes: number of logits.
        widths: channels of the blocks.
        head_scale: factor of the logits.
        whiten_bias_epochs: epochs in which the bias of the first convolution is trained.
    """

    def __init__(
        self, num_classes: int = 10, widths: tuple[int, int, int] = (64, 256, 256), head_scale: float = 1 / 9,
        whiten_bias_epochs: int = 3,
    ) -> None:  # fmt: skip
        super().__init__()
        self.whiten = nn.Conv2d(3, WHITENED, kernel_size=2)
        self.whiten.weight.requires_grad_(False)
        self.block1, self.block2, self.block3 = (
            _Block(inputs, outputs) for inputs, outputs in zip((WHITENED, *widths), widths, strict=False)
        )
        self.head = nn.Linear(widths[-1], num_classes, bias=False)
        self.head_scale = head_scale
        self.held_after = {"whiten.bias": whiten_bias_epochs}
        """Parameters that keep their value after so many epochs."""

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, num_classes) of normalised images (B, 3, 32, 32)."""
        x = F.gelu(self.whiten(images))  # (B, 24, 31, 31)
        x = self.block3(self.block2(self.block1(x)))  # (B, 256, 3, 3)
        x = F.max_pool2d(x, 3).flatten(1)
        logits: Tensor = self.head(x) * self.head_scale
        return logits


class _Block(nn.Module):
    """Two convolutions, with a max-pool after the first and BatchNorm and GELU after each."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = _identity(inputs, outputs), _norm(outputs)
        self.conv2, self.norm2 = _identity(outputs, outputs), _norm(outputs)

    def forward(self, planes: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H / 2, W / 2)."""
        planes = F.gelu(self.norm1(F.max_pool2d(self.conv1(planes), 2)))
        out: Tensor = F.gelu(self.norm2(self.conv2(planes)))
        return out


@torch.no_grad()
def _identity(inputs: int, outputs: int) -> nn.Conv2d:
    """Convolution of 3 × 3 pixels whose first filters copy the input channels (dirac). Others are torch's."""
    layer = nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=False)
    nn.init.dirac_(layer.weight[:inputs])
    return layer


def _norm(channels: int) -> nn.BatchNorm2d:
    """BatchNorm whose weights stay 1."""
    layer = nn.BatchNorm2d(channels, NORM_EPS, NORM_MOMENTUM)
    layer.weight.requires_grad_(False)
    return layer
