"""What the interactive charts of report.html have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor
from typing import Any

from cifar_lab.core.text import plain

NAME_LETTERS = 60
"""Letters of a name on a chart; the table beside it has the whole."""


@dataclass(frozen=True)
class Chart:
    """A chart of the page."""

    spec: Mapping[str, Any]
    alt: str
    """What it says, in words."""
    height: int
    """CSS pixels."""


def short(text: str, letters: int = NAME_LETTERS) -> str:
    """One line of at most so many letters."""
    line = plain(text)
    return line if len(line) <= letters else line[: letters - 1].rstrip() + "…"


def scale(known: Sequence[float], least: float, bottom: float, top: float) -> list[float]:
    """A scale that holds all, with some room, inside its bounds."""
    low, high = min(known), max(known)
    room = max(0.08 * (high - low), (least - (high - low)) / 2, 0.25)
    digits = 10 if high - low < 5 else 1
    return [max(bottom, floor((low - room) * digits) / digits), min(top, ceil((high + room) * digits) / digits)]
