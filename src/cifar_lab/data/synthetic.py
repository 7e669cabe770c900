"""Ten synthetic classes: coloured shapes at random positions, sizes and angles, over gradients, clutter and noise.

Every operation gives the same bits on every machine: integers, the four operations and the root on floats, a table of
sines, and no sum whose order the processor may choose. Images are drawn in blocks with a stream each, so a larger set
begins with the smaller one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cifar_lab.config import Synthetic
from cifar_lab.data.splits import IMAGE_SHAPE, Images, Progress, Split

GENERATOR = 1
"""Version of the generator. Increased when the same settings would give other images."""

Floats = NDArray[np.float32]

_SIDE = IMAGE_SHAPE[1]
_BLOCK = 500  # images; a multiple of the number of classes
_CLUTTER = 3  # other shapes, faint, behind the one that counts
_TURN = 1024  # steps of a full turn
_SINE = np.array([math.sin(2 * math.pi * step / _TURN) for step in range(_TURN)], np.float32)

# Each takes coordinates (…, 32, 32) in which the shape's half-size is 1, right and down, and gives a signed measure:
# above 0 inside, falling by about 1 a half-size.
SHAPES: dict[str, Callable[[Floats, Floats], Floats]] = {
    "disc": lambda x, y: 1 - np.sqrt(x * x + y * y),
    "ring": lambda x, y: np.float32(0.28) - np.abs(np.sqrt(x * x + y * y) - np.float32(0.72)),
    "square": lambda x, y: np.float32(0.85) - np.maximum(np.abs(x), np.abs(y)),
    "frame": lambda x, y: np.float32(0.2) - np.abs(np.maximum(np.abs(x), np.abs(y)) - np.float32(0.72)),
    "triangle": lambda x, y: np.minimum(np.float32(0.7) - y, (y + 1) * np.float32(0.5) - np.abs(x)),
    "plus": lambda x, y: np.minimum(
        np.float32(0.3) - np.minimum(np.abs(x), np.abs(y)), 1 - np.maximum(np.abs(x), np.abs(y))
    ),
    "cross": lambda x, y: np.minimum(
        np.float32(0.42) - np.minimum(np.abs(x + y), np.abs(x - y)),
        np.float32(0.95) - np.maximum(np.abs(x), np.abs(y)),
    ),
    "bars": lambda x, y: np.minimum(_stripes(y), np.float32(0.95) - np.maximum(np.abs(x), np.abs(y))),
    "columns": lambda x, y: np.minimum(_stripes(x), np.float32(0.95) - np.maximum(np.abs(x), np.abs(y))),
    "crescent": lambda x, y: np.minimum(
        1 - np.sqrt(x * x + y * y),
        np.sqrt((x - np.float32(0.5)) * (x - np.float32(0.5)) + y * y) - np.float32(0.75),
    ),
}
"""Class names and the signed distance function of each shape."""


class SyntheticSource:
    """Images drawn from `data.data_seed`. Both splits have the same distribution and balanced classes."""

    name = "synthetic"
    synthetic = True

    def __init__(self, data: Synthetic) -> None:
        self.data = data

    def key(self) -> Mapping[str, Any]:
        data = self.data
        return {
            "generator": GENERATOR,
            "train_size": data.train_size,
            "test_size": data.test_size,
            "difficulty": data.difficulty,
            "data_seed": data.data_seed,
        }

    def state(self) -> dict[str, Any] | None:
        """Constant, because the key determines the images."""
        return {}

    def read(self, progress: Progress) -> Images:
        """Draw both splits."""
        data = self.data
        total = data.train_size + data.test_size
        train = _draw(data, 0, data.train_size, lambda done: progress("drawing images", done, total))
        test = _draw(data, 1, data.test_size, lambda done: progress("drawing images", data.train_size + done, total))
        return Images(tuple(SHAPES), train, test)


def _draw(data: Synthetic, split: int, size: int, report: Callable[[int], None]) -> Split:
    images = np.empty((size, *IMAGE_SHAPE), np.uint8)
    labels = np.empty(size, np.int64)
    for start in range(0, size, _BLOCK):
        count = min(_BLOCK, size - start)
        bits = np.random.PCG64(np.random.SeedSequence([data.data_seed, split, start // _BLOCK]))
        block_labels = _shuffled_tens(bits)
        labels[start : start + count] = block_labels[:count]
        images[start : start + count] = _block(bits, block_labels, np.float32(data.difficulty))[:count]
        report(start + count)
    return Split(images, labels)


def _shuffled_tens(bits: np.random.PCG64) -> NDArray[np.int64]:
    """(_BLOCK,) labels. Every ten images hold each class once, so any number of them is balanced."""
    return np.argsort(bits.random_raw(_BLOCK).reshape(-1, len(SHAPES)), axis=1).ravel().astype(np.int64)


def _block(bits: np.random.PCG64, labels: NDArray[np.int64], difficulty: np.float32) -> NDArray[np.uint8]:
    """(_BLOCK, 3, 32, 32) images of the given classes."""
    grey = _uniform(bits, 0.25, 0.75, 1)
    back = grey + _uniform(bits, -0.12, 0.12, 3)  # (B, 3)
    tilt = _uniform(bits, -0.2, 0.2, 3)
    slope = _uniform(bits, -1, 1, 2)  # (B, 2)
    grid = (np.arange(_SIDE, dtype=np.float32) - np.float32(15.5)) / np.float32(16)
    ramp = slope[:, :1, None] * grid[None, :, None] + slope[:, 1:, None] * grid[None, None, :]  # (B, 32, 32)
    picture = back[:, :, None, None] + tilt[:, :, None, None] * ramp[:, None]  # (B, 3, 32, 32)

    for _ in range(_CLUTTER):
        others = (bits.random_raw(_BLOCK) % np.uint64(len(SHAPES))).astype(np.int64)
        cover = _cover(bits, others, 3, 7, reach=14) * (np.float32(0.15) + np.float32(0.45) * difficulty)
        picture = _over(picture, cover, _colours(bits))

    hue = _class_hues(bits, labels, difficulty)
    strength = 1 - difficulty * _uniform(bits, 0.4, 1, 1)
    cover = _cover(bits, labels, 7, 12, reach=5) * strength[:, :, None]
    picture = _over(picture, cover, hue)

    spread = np.float32(0.02) + np.float32(0.16) * difficulty + np.float32(0.34) * difficulty * difficulty * difficulty
    picture = picture + _noise(bits, picture.shape) * spread
    return (_clipped(picture) * np.float32(255) + np.float32(0.5)).astype(np.uint8)


def _cover(bits: np.random.PCG64, labels: NDArray[np.int64], small: float, large: float, reach: float) -> Floats:
    """(B, 32, 32) in [0, 1]: share of each pixel that the shape covers, at a random position, size and small angle."""
    half = _uniform(bits, small, large, 1)[:, :, None]
    centre = _uniform(bits, -reach, reach, 2) + np.float32(15.5)
    turn = (_uniform(bits, -0.04, 0.04, 1)[:, :, None] * np.float32(_TURN)).astype(np.int64) % _TURN
    sine, cosine = _SINE[turn], _SINE[(turn + _TURN // 4) % _TURN]
    pixels = np.arange(_SIDE, dtype=np.float32)
    right = (pixels[None, None, :] - centre[:, :1, None]) / half
    down = (pixels[None, :, None] - centre[:, 1:, None]) / half
    x, y = right * cosine + down * sine, down * cosine - right * sine
    cover = np.empty((len(labels), _SIDE, _SIDE), np.float32)
    for label, measure in enumerate(SHAPES.values()):
        of_class = labels == label
        cover[of_class] = measure(x[of_class], y[of_class])
    return _clipped(cover * half + np.float32(0.5))  # one pixel of soft edge


def _clipped(values: Floats) -> Floats:
    return np.asarray(np.clip(values, np.float32(0), np.float32(1)), np.float32)


def _over(picture: Floats, cover: Floats, colour: Floats) -> Floats:
    """Paint a colour (B, 3) over the picture (B, 3, 32, 32) where it covers."""
    return picture + cover[:, None] * (colour[:, :, None, None] - picture)


def _colours(bits: np.random.PCG64) -> Floats:
    """(B, 3) colours, neither black nor white."""
    return _uniform(bits, 0.15, 0.85, 3)


def _class_hues(bits: np.random.PCG64, labels: NDArray[np.int64], difficulty: np.float32) -> Floats:
    """(B, 3) colours with a hue from the class's tenth of the circle at difficulty 0, from all of it at 1."""
    step = (labels * _TURN) // len(SHAPES)
    blur = _uniform(bits, -0.5, 0.5, 1)[:, 0] * (np.float32(0.1) + np.float32(0.9) * difficulty * difficulty)
    angle = step + (blur * np.float32(_TURN)).astype(np.int64)
    thirds = np.stack([_SINE[(angle + third * _TURN // 3) % _TURN] for third in range(3)], axis=1)
    return np.asarray(np.float32(0.5) + np.float32(0.45) * thirds, np.float32)


def _stripes(x: Floats) -> Floats:
    """Two bright stripes of width 0.5 in each unit from −1 to 1."""
    return np.float32(0.2) - np.abs(np.abs(x) - np.float32(0.5))


def _uniform(bits: np.random.PCG64, low: float, high: float, columns: int) -> Floats:
    """(_BLOCK, columns) uniform from low to high."""
    raw = (bits.random_raw(_BLOCK * columns) >> np.uint64(40)).astype(np.float32).reshape(_BLOCK, columns)
    return np.asarray(np.float32(low) + raw * np.float32((high - low) / 2**24), np.float32)


def _noise(bits: np.random.PCG64, shape: tuple[int, ...]) -> Floats:
    """Sum of four uniform bytes: mean 0, standard deviation 1, bell-shaped up to 3.4."""
    size = math.prod(shape)
    parts = bits.random_raw(size // 2).astype("<u8").view(np.uint8).reshape(4, size).astype(np.int16)
    total = parts[0] + parts[1] + parts[2] + parts[3] - np.int16(510)
    deviation = np.float32(math.sqrt(4 * (256**2 - 1) / 12))
    return np.asarray(total.reshape(shape).astype(np.float32) / deviation, np.float32)
