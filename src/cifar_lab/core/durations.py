"""Lengths of time as a person writes and reads them: `90s`, `15m`, `2h`."""

from __future__ import annotations

import re

from cifar_lab.core.errors import SettingsError

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
"""Seconds in each."""

LONGEST_SECONDS = 366 * UNITS["d"]


def parse_duration(text: str, option: str) -> float:
    """Seconds of `90s`, `15m`, `2h`, `1.5h`, `1h30m`.

    Args:
        option: that it was given to, for the message.

    Raises:
        SettingsError: it is none of these, is nothing, or is more than a year.
    """
    parts = re.findall(r"([0-9]+(?:\.[0-9]+)?)([smhd])", text.strip())
    if not parts or "".join(number + unit for number, unit in parts) != text.strip():
        raise SettingsError(f"{option}: {text!r} is no length of time; write 90s, 15m, 2h or 1h30m")
    seconds = sum(float(number) * UNITS[unit] for number, unit in parts)
    if not 0 < seconds <= LONGEST_SECONDS:
        raise SettingsError(f"{option}: {text!r} is out of range; write a time above 0 and up to a year")
    return seconds


def in_words(seconds: float) -> str:
    """`8 s`, `14 min`, `3 h 20 min`, `2 d 5 h`: as fine as a person cares to know."""
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
