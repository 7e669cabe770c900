"""Corruptions of five severities, with the parameters of CIFAR-10-C (arXiv:1903.12261, make_cifar_c.py)."""

from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from cifar_lab.config.attack import CorruptionKind

SEVERITIES = 5

NOISE_STD = (0.04, 0.06, 0.08, 0.09, 0.10)
BLUR_SIGMA_PIXELS = (0.4, 0.6, 0.7, 0.8, 1.0)
CONTRAST = (0.75, 0.5, 0.4, 0.3, 0.15)
JPEG_QUALITY = (80, 65, 58, 50, 40)

BLUR_REACH = 4.0
"""Half width of the blur's kernel in multiples of sigma, as in scipy."""


def corrupt(images: Tensor, kind: CorruptionKind, severity: int, noise: Tensor) -> Tensor:
    """Corrupted images (B, 3, H, W) with pixels from 0 to 1.

    Args:
        severity: 1 to 5.
        noise: standard normal numbers of the same shape.
    """
    level = severity - 1
    if kind == "noise":
        return (images + NOISE_STD[level] * noise).clamp(0, 1)
    if kind == "blur":
        return blur(images, BLUR_SIGMA_PIXELS[level]).clamp(0, 1)
    if kind == "contrast":
        mean = images.mean(dim=(2, 3), keepdim=True)
        return ((images - mean) * CONTRAST[level] + mean).clamp(0, 1)
    return jpeg(images, JPEG_QUALITY[level])


def blur(images: Tensor, sigma: float) -> Tensor:
    """Gaussian blur, the border pixels repeated."""
    reach = int(BLUR_REACH * sigma + 0.5)
    offsets = torch.arange(-reach, reach + 1, dtype=torch.float64)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = (kernel / kernel.sum()).to(images)
    channels = images.shape[1]
    padded = F.pad(images, (reach, reach, reach, reach), mode="replicate")
    rows = F.conv2d(padded, kernel.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)
    return F.conv2d(rows, kernel.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)


def jpeg(images: Tensor, quality: int) -> Tensor:
    """Images after JPEG compression."""
    pixels = (images * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    decoded = []
    for each in pixels:
        buffer = io.BytesIO()
        Image.fromarray(each).save(buffer, "JPEG", quality=quality)
        decoded.append(np.asarray(Image.open(buffer)))
    return torch.from_numpy(np.stack(decoded)).permute(0, 3, 1, 2).to(images) / 255
