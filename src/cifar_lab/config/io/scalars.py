"""What a plain (unquoted) YAML scalar means: the YAML 1.2 core schema, less the number forms that people misread."""

from __future__ import annotations

import re

UNPRINTABLE = re.compile("[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Everything that YAML 1.2 calls not printable (chapter 5.1): control characters, lone surrogates."""

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"true", "True", "TRUE"})
_FALSE = frozenset({"false", "False", "FALSE"})
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")

MAX_DIGITS = 400
"""Digits of an integer that are looked at: what has more is refused as too large, and Python converts 4,300 at most."""


def resolve(text: str) -> bool | int | float | str | None:
    """None, bool, int, float, or the text itself.

    Unlike YAML 1.1, `yes`, `no`, `on`, `off`, dates, `1:30`, `1_000` are text and `1e-3` is a number. Unlike YAML 1.2,
    `0123` and `0x1F` are text too: nobody means 83 or 31 by them.
    """
    if text in _NULL:
        return None
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    if _INTEGER.fullmatch(text):
        return int(text[:MAX_DIGITS])
    if _FLOAT.fullmatch(text):
        return float(text)
    if _INFINITE.fullmatch(text):
        return float(text.replace(".", ""))
    return text


def as_number(text: str) -> str:
    """The number that a person probably meant by a text (`1_000`, `0123`, `1,5`), as YAML writes it; else empty."""
    bare = text.strip()
    bare = re.sub(r"(?<=[0-9])[_'](?=[0-9])", "", bare)
    bare = re.sub(r"(?<=[0-9]),(?=[0-9]{3}\b)", "", bare)
    bare = re.sub(r"^([-+]?)0+(?=[0-9])", r"\1", bare)
    bare = re.sub(r"^([-+]?[0-9]+),([0-9]+)$", r"\1.\2", bare)
    value = resolve(bare)
    return bare if isinstance(value, int | float) and not isinstance(value, bool) else ""
