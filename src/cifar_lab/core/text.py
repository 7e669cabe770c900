"""Text for users: safe for terminal, chart, Markdown and CSV, with counts and durations."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from cifar_lab.core.errors import SettingsError

_UNSEEN = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode categories that move a cursor, break a line or cannot be encoded."""

_DIRECTION = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Bidirectional controls (UAX #9), which would reorder a table."""

_MARKDOWN = re.compile(r"([\\`*_\[\]|~#$!])")
_FORMULA = ("=", "+", "-", "@")


def plain(text: str) -> str:
    """One line without control characters. Line breaks and tabs become spaces."""
    if text.isprintable():  # nearly always, and it may be one of thousands: nothing to take out
        return " ".join(text.split())
    kept = (each for each in text if each.isspace() or _kept(each))
    return " ".join("".join(kept).split())


def printable(text: str) -> str:
    """Text without control characters. Line breaks remain, and tabs become spaces.

    What reaches a terminal goes through here, because no text of a file may move its cursor or change its state.
    """
    if text.isprintable():
        return text
    return "\n".join(_kept(line.expandtabs(4)) for line in text.split("\n"))


def _kept(line: str) -> str:
    return "".join(each for each in line if unicodedata.category(each) not in _UNSEEN and each not in _DIRECTION)


def markdown(text: str) -> str:
    """Escape text for Markdown with tables and HTML."""
    escaped = _MARKDOWN.sub(r"\\\1", plain(text))
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def code_span(text: str) -> str:
    """Text as Markdown code, with a fence longer than any run of backticks in it."""
    body = plain(text)
    longest = max((len(run) for run in re.findall("`+", body)), default=0)
    pad = " " if longest else ""
    fence = "`" * (longest + 1)
    return f"{fence}{pad}{body}{pad}{fence}"


def csv_cell(value: str | float | int | None) -> str:
    """A CSV cell that no spreadsheet runs as a formula. Numbers stay numbers, None is empty."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return repr(value)
    body = plain(value)
    return "'" + body if body.startswith(_FORMULA) else body


def count(number: int, what: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
"""Seconds per unit."""

LONGEST_SECONDS = 366 * UNITS["d"]


def parse_duration(text: str, option: str) -> float:
    """Seconds of `90s`, `15m`, `2h`, `1.5h`, `1h30m`.

    Args:
        option: the command-line option, for the message.

    Raises:
        SettingsError: another form, zero, or more than a year.
    """
    parts = re.findall(r"([0-9]+(?:\.[0-9]+)?)([smhd])", text.strip())
    if not parts or "".join(number + unit for number, unit in parts) != text.strip():
        raise SettingsError(f"{option}: {text!r} is not a duration; write 90s, 15m, 2h or 1h30m")
    seconds = sum(float(number) * UNITS[unit] for number, unit in parts)
    if not 0 < seconds <= LONGEST_SECONDS:
        raise SettingsError(f"{option}: {text!r} is out of range; write a time above 0 and up to a year")
    return seconds


def progress_time(seconds: float) -> str:
    """An elapsed or remaining time in whole seconds, as `in_words`. Never zero."""
    return in_words(max(1, round(seconds)))


def in_words(seconds: float) -> str:
    """A duration in two units at most: `8 s`, `14 min`, `3 h 20 min`, `2 d 5 h`."""
    if seconds < 100:
        return f"{seconds:.3g} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(round(seconds / 3600), 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def setting_words(value: Any) -> str:
    """A setting as a settings file writes it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(setting_words, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {setting_words(inner)}' for key, inner in value.items())}}}"
    return f"{value:g}" if isinstance(value, float) else str(value)
