"""Augmentation of whole batches on their device. Random numbers are passed in or drawn from a given generator.

The policies apply torchvision's own operations with its probabilities and magnitudes. Only the drawing differs: it
serves a whole batch at once, from one generator on the CPU.
"""

from __future__ import annotations

import functools
import math
from collections import defaultdict
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Operation = tuple[str, float]
"""Name and signed magnitude of an operation on an image."""

IDENTITY: Operation = ("Identity", 0.0)

UNSIGNED = ("Posterize", "Solarize", "AutoContrast", "Equalize", "Invert", "Identity")
"""Operations whose magnitude has no sign."""

SPACE = (
    "Identity", "ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate", "Brightness", "Color", "Contrast",
    "Sharpness", "Posterize", "Solarize", "AutoContrast", "Equalize",
)  # fmt: skip
"""Operations of RandAugment and TrivialAugment, equally likely (arXiv:1909.13719, arXiv:2103.10158)."""

WIDE_TRANSLATE_PIXELS = 32.0
"""Largest translation of TrivialAugment, for images of any size (arXiv:2103.10158)."""

TRANSLATE_SHARE = 150 / 331
"""Largest translation of the other policies, as a share of the image: 150 of 331 pixels (arXiv:1805.09501)."""


def flip(images: Tensor, which: Tensor) -> Tensor:
    """Mirror left to right the images (B, C, H, W) for which `which` (B,) is true."""
    channels_last = _is_channels_last(images)
    # In the order of memory, or `cat` would copy channels_last images into the other order.
    stored, width = (images.permute(0, 2, 3, 1), 2) if channels_last else (images, 3)
    batch = len(stored)
    both = torch.cat([stored, stored.flip(width)])  # (2B, …)
    # Whole images are picked: three times as quick on a CPU as torch.where, which picks pixel by pixel.
    picked = both.index_select(0, torch.arange(batch, device=images.device) + batch * which)
    return picked.permute(0, 3, 1, 2) if channels_last else picked


def crop(images: Tensor, offsets: Tensor, padding: int, mode: Literal["zeros", "reflect"] = "zeros") -> Tensor:
    """Pad each side of the images (B, C, H, W) and cut windows of H × W.

    Args:
        offsets: (B, 2) integers from 0 to 2 · padding, row and column of each image's window.
        padding: pixels per side, with `reflect` below H and W.
        mode: `zeros`, or `reflect`, which mirrors the image at its border without repeating the border itself.
    """
    batch, channels, height, width = images.shape
    # An invalid offset would read from a neighbour. This look-up raises for it.
    offsets = torch.arange(2 * padding + 1, device=images.device)[offsets]
    # Whole rows of an image are picked out of memory: three to eight times as quick on a CPU as pixels or windows.
    channels_last = _is_channels_last(images)
    pad = _reflected if mode == "reflect" else _black
    if channels_last:
        planes = pad(images.permute(0, 2, 3, 1), padding, 1)  # (B, H + 2P, W + 2P, C)
    else:
        planes = pad(images, padding, 2).view(batch * channels, height + 2 * padding, width + 2 * padding, 1)
        offsets = offsets.unsqueeze(1).expand(batch, channels, 2).reshape(-1, 2)
    count, tall, wide, depth = planes.shape
    # (positions, W · depth): at each position in memory the row of a window that would begin there, a view.
    rows = planes.as_strided((count * tall * wide - width + 1, width * depth), (depth, 1))
    plane, down = (torch.arange(size, device=images.device) for size in (count, height))
    begin = (plane.unsqueeze(1) * tall + offsets[:, :1] + down) * wide + offsets[:, 1:]  # (planes, H)
    windows = rows.index_select(0, begin.flatten())
    if channels_last:
        return windows.view(batch, height, width, channels).permute(0, 3, 1, 2)
    return windows.view(images.shape)


def _black(stored: Tensor, padding: int, rows: int) -> Tensor:
    """Zeros around dimensions `rows` and `rows` + 1 of four."""
    return F.pad(stored, (0, 0) * (2 - rows) + (padding,) * 4)


def _reflected(stored: Tensor, padding: int, rows: int) -> Tensor:
    """The images mirrored around dimensions `rows` and `rows` + 1. torch's own reflection takes no bytes."""
    for dimension in (rows, rows + 1):
        last = stored.shape[dimension] - 1
        inside = torch.arange(-padding, last + padding + 1, device=stored.device).abs()
        stored = stored.index_select(dimension, last - (last - inside).abs())
    return stored


def _is_channels_last(images: Tensor) -> bool:
    """Whether the channels of a pixel are adjacent in memory."""
    return not images.is_contiguous() and images.is_contiguous(memory_format=torch.channels_last)


def add_noise(images: Tensor, std: float, generator: torch.Generator) -> Tensor:
    """Add Gaussian noise, drawn on the generator's device, to float images. Values may leave [0, 1]."""
    noise = torch.randn(images.shape, generator=generator, device=generator.device, dtype=images.dtype)
    return torch.add(images, noise.to(images.device), alpha=std)


def apply_policy(images: Tensor, policy: str, generator: torch.Generator) -> Tensor:
    """Change each image by operations drawn for it.

    Args:
        images: uint8 (B, 3, H, W).
        policy: "autoaugment" (its CIFAR-10 policy), "randaugment" or "trivialaugment" (wide).
        generator: on the CPU. Draws depend on it and on B, H, W alone.

    Returns:
        New images of the same shape, type and device.
    """
    images = images.clone()
    height, width = images.shape[-2:]
    for operations in draw_operations(policy, len(images), height, width, generator):
        groups: dict[Operation, list[int]] = defaultdict(list)
        for position, operation in enumerate(operations):
            groups[operation].append(position)
        groups.pop(IDENTITY, None)
        for (name, magnitude), members in groups.items():
            index = torch.tensor(members, device=images.device)
            images[index] = _apply(images[index], name, magnitude)
    return images


def draw_operations(
    policy: str, batch: int, height: int, width: int, generator: torch.Generator
) -> list[list[Operation]]:
    """Draw the operation of each image per round of a policy (1 round for TrivialAugment, 2 otherwise)."""
    if policy == "autoaugment":
        return _draw_autoaugment(batch, height, width, generator)
    if policy == "randaugment":
        return [_draw_randaugment(batch, height, width, generator) for _ in range(2)]
    if policy == "trivialaugment":
        return [_draw_trivialaugment(batch, generator)]
    raise ValueError(f"unknown policy {policy!r}: autoaugment, randaugment or trivialaugment")


def _draw_autoaugment(batch: int, height: int, width: int, generator: torch.Generator) -> list[list[Operation]]:
    """One of 25 pairs per image. Each operation of a pair has its own probability (arXiv:1805.09501, table 7)."""
    pairs = _autoaugment_pairs()
    tables = _magnitudes(10, 0.3, width * TRANSLATE_SHARE, height * TRANSLATE_SHARE, 30.0, 0.9, 4)
    chosen = torch.randint(len(pairs), (batch,), generator=generator).tolist()
    draws = torch.rand(2, batch, generator=generator).tolist()
    signs = torch.randint(2, (2, batch), generator=generator).tolist()
    rounds = []
    for turn in range(2):
        operations = []
        for pair, draw, sign in zip(chosen, draws[turn], signs[turn], strict=True):
            name, probability, level = pairs[pair][turn]
            applied = draw < probability
            operations.append(_signed(name, tables[name][level or 0], sign) if applied else IDENTITY)
        rounds.append(operations)
    return rounds


def _draw_randaugment(batch: int, height: int, width: int, generator: torch.Generator) -> list[Operation]:
    """One operation per image at magnitude 9 of 0 to 30 (arXiv:1909.13719)."""
    tables = _magnitudes(31, 0.3, width * TRANSLATE_SHARE, height * TRANSLATE_SHARE, 30.0, 0.9, 4)
    names = torch.randint(len(SPACE), (batch,), generator=generator).tolist()
    signs = torch.randint(2, (batch,), generator=generator).tolist()
    return [_signed(SPACE[n], tables[SPACE[n]][9], sign) for n, sign in zip(names, signs, strict=True)]


def _draw_trivialaugment(batch: int, generator: torch.Generator) -> list[Operation]:
    """One operation per image at one of 31 magnitudes of a wide range (arXiv:2103.10158)."""
    tables = _magnitudes(31, 0.99, WIDE_TRANSLATE_PIXELS, WIDE_TRANSLATE_PIXELS, 135.0, 0.99, 6)
    names = torch.randint(len(SPACE), (batch,), generator=generator).tolist()
    levels = torch.randint(31, (batch,), generator=generator).tolist()
    signs = torch.randint(2, (batch,), generator=generator).tolist()
    draws = zip(names, levels, signs, strict=True)
    return [_signed(SPACE[n], tables[SPACE[n]][level], sign) for n, level, sign in draws]


def _signed(name: str, magnitude: float, sign: int) -> Operation:
    return name, -magnitude if sign and name not in UNSIGNED else magnitude


@functools.cache
def _autoaugment_pairs() -> list[tuple[tuple[str, float, int | None], tuple[str, float, int | None]]]:
    from torchvision.transforms import AutoAugment, AutoAugmentPolicy

    pairs: list[tuple[tuple[str, float, int | None], tuple[str, float, int | None]]]
    pairs = AutoAugment(AutoAugmentPolicy.CIFAR10).policies
    return pairs


@functools.cache
def _magnitudes(
    levels: int, shear: float, translate_x: float, translate_y: float, degrees: float, enhance: float, bits: int
) -> dict[str, list[float]]:
    """Magnitude of each level, from weakest to strongest. The arguments are the strongest.

    Shear is a slope, translation whole pixels, enhance the distance of a factor from 1, `bits` the bits that Posterize
    drops, and Solarize a threshold in pixel values.
    """

    def rising(strongest: float) -> list[float]:
        values: list[float] = torch.linspace(0.0, strongest, levels).tolist()
        return values

    return {
        "ShearX": rising(shear),
        "ShearY": rising(shear),
        "TranslateX": [float(int(pixels)) for pixels in rising(translate_x)],
        "TranslateY": [float(int(pixels)) for pixels in rising(translate_y)],
        "Rotate": rising(degrees),
        **dict.fromkeys(("Brightness", "Color", "Contrast", "Sharpness"), rising(enhance)),
        "Posterize": [8.0 - round(level * bits / (levels - 1)) for level in range(levels)],
        "Solarize": torch.linspace(255.0, 0.0, levels).tolist(),
        **dict.fromkeys(("AutoContrast", "Equalize", "Invert", "Identity"), [0.0] * levels),
    }


def _apply(images: Tensor, name: str, magnitude: float) -> Tensor:
    """Apply one operation to uint8 images (B, 3, H, W): nearest-neighbour sampling, black outside the image."""
    from torchvision.transforms.v2 import functional as V

    shift: dict[str, Any] = {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [0.0, 0.0]}
    slope = math.degrees(math.atan(magnitude))
    match name:
        case "ShearX":
            changed = V.affine(images, **shift | {"shear": [slope, 0.0], "center": [0, 0]})
        case "ShearY":
            changed = V.affine(images, **shift | {"shear": [0.0, slope], "center": [0, 0]})
        case "TranslateX":
            changed = V.affine(images, **shift | {"translate": [int(magnitude), 0]})
        case "TranslateY":
            changed = V.affine(images, **shift | {"translate": [0, int(magnitude)]})
        case "Rotate":
            changed = V.rotate(images, magnitude)
        case "Brightness":
            changed = V.adjust_brightness(images, 1.0 + magnitude)
        case "Color":
            changed = V.adjust_saturation(images, 1.0 + magnitude)
        case "Contrast":
            changed = V.adjust_contrast(images, 1.0 + magnitude)
        case "Sharpness":
            changed = V.adjust_sharpness(images, 1.0 + magnitude)
        case "Posterize":
            changed = V.posterize(images, int(magnitude))
        case "Solarize":
            changed = V.solarize(images, magnitude)
        case "AutoContrast":
            changed = V.autocontrast(images)
        case "Equalize":
            changed = V.equalize(images)
        case "Invert":
            changed = V.invert(images)
        case _:
            raise ValueError(f"unknown operation {name!r}")
    result: Tensor = changed
    return result
