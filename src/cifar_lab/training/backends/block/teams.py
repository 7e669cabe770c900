"""Teams of blocks that train few networks on a GPU, and the shares of a batch that they divide. No torch.

The sum of a gradient depends on the shares of its batch, and these on the batch size alone. The size of a team and that
of a part of a batch only decide which block computes what, so they may change between launches.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from cifar_lab.training.backends.block.jobs import PARTS, part_of

CHUNK = PARTS[0]
"""Images that the convolutions have side by side. Shares are whole chunks."""

SHARES = 8
"""Shares of a batch of up to 512 images. More would let more blocks train one network, but each is summed by itself."""

MOST_SHARES = 16
"""Largest number of shares that blocks exchange: 1,024 images. One block trains a network with larger batches."""

MULTIPROCESSORS = 132
"""Of an H100 or H200 (SXM), for whose teams parts are compiled. On another GPU they may be larger than needed."""


def share_of(batch_size: int) -> int:
    """Images of a share: the least that make `SHARES` of a batch, at most a whole part."""
    return part_of(math.ceil(batch_size / SHARES))


def shares_of(batch_size: int) -> int:
    """Shares of a batch."""
    return math.ceil(batch_size / share_of(batch_size))


def blocks_of(batch_size: int, most: int) -> int:
    """The fewest blocks, at most `most`, with which the largest number of shares per block is smallest."""
    shares = shares_of(batch_size)
    if most < 2 or shares > MOST_SHARES:
        return 1
    return math.ceil(shares / math.ceil(shares / most))


def teams_of(batch_sizes: Sequence[int], most: int) -> list[int]:
    """Blocks of each network of a cohort. One that cannot be divided takes longest, so dividing others is of no use."""
    teams = [blocks_of(size, most) for size in batch_sizes]
    return [1] * len(teams) if 1 in teams else teams


def images_of(batch_size: int, blocks: int) -> int:
    """Most images of a batch that one of so many blocks trains."""
    return math.ceil(shares_of(batch_size) / blocks) * share_of(batch_size)


def parts_for(batch_sizes: Sequence[int], *, divided: bool = True) -> set[int]:
    """Sizes of parts that a cohort needs: with one block per network and, if `divided`, with teams that fill a GPU."""
    most = MULTIPROCESSORS // len(batch_sizes) if divided else 1
    pairs = (pair for each in (1, most) for pair in zip(batch_sizes, teams_of(batch_sizes, each), strict=True))
    return {part_of(images_of(size, blocks)) for size, blocks in pairs}


def part_among(parts: Iterable[int], images: int) -> int:
    """The smallest of these sizes that holds so many images, else the largest."""
    return min(parts, key=lambda size: (size < images, abs(size - images)))
