"""Chart of the page: a mapping with a `kind`, for which `charts.js` has a function, and a text that says the same.

Texts are shortened here and never trusted there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cifar_lab.core.text import plain

NAME_LETTERS = 60
"""Length of a name on a chart. The table beside it has the whole."""


@dataclass(frozen=True)
class Chart:
    """Chart of the page."""

    spec: Mapping[str, Any]
    """Content, as JSON for charts.js."""
    alt: str
    """Text alternative."""
    height: int
    """Height before the chart is drawn, CSS pixels."""


def short(text: str, letters: int = NAME_LETTERS) -> str:
    """Cut a text to one line of at most so many letters."""
    line = plain(text)
    return line if len(line) <= letters else line[: letters - 1].rstrip() + "…"
