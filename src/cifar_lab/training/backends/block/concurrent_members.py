"""Number of networks that the block kernel trains on a device at the same time, for the size of their teams."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

import torch

_members: Counter[torch.device] = Counter()
_changing = Lock()


@contextmanager
def members_training(device: torch.device, members: int) -> Iterator[int]:
    """Count these networks until the end, and give the number of all on the device."""
    with _changing:
        _members[device] += members
        counted = _members[device]
    try:
        yield counted
    finally:
        with _changing:
            _members[device] -= members
