"""Text written by people, made safe for the place where it is shown: terminal, chart, Markdown, CSV."""

from __future__ import annotations

import re
import unicodedata

_UNSEEN = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode categories that move a cursor, break a line or cannot be encoded."""

_DIRECTION = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Marks that turn the direction of what follows (UAX #9), so that a table reads other than it is."""

_MARKDOWN = re.compile(r"([\\`*_\[\]|~#$!])")
_FORMULA = ("=", "+", "-", "@")


def plain(text: str) -> str:
    """One line without control characters: line breaks and tabs become spaces, the rest goes."""
    if text.isprintable():  # nearly always, and it may be one of thousands: nothing to take out
        return " ".join(text.split())
    kept = (
        character
        for character in text
        if character.isspace() or (unicodedata.category(character) not in _UNSEEN and character not in _DIRECTION)
    )
    return " ".join("".join(kept).split())


def markdown(text: str) -> str:
    """Text that Markdown (with tables, and HTML inside) shows as it is."""
    escaped = _MARKDOWN.sub(r"\\\1", plain(text))
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def code_span(text: str) -> str:
    """Text as Markdown code, whatever backticks it holds."""
    body = plain(text)
    longest = max((len(run) for run in re.findall("`+", body)), default=0)
    pad = " " if longest else ""
    fence = "`" * (longest + 1)
    return f"{fence}{pad}{body}{pad}{fence}"


def csv_cell(value: str | float | int | None) -> str:
    """A cell that no spreadsheet runs as a formula; numbers stay numbers, None is empty."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return repr(value)
    body = plain(value)
    return "'" + body if body.startswith(_FORMULA) else body


def count(number: int, what: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
