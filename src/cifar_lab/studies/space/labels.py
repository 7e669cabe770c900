"""The name of a point of a sweep, the same on the terminal, in winners.json and on the chart. No torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_NAMES = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW", "one_cycle": "one-cycle"}


def point_label(values: Mapping[str, Any]) -> str:
    """What a point sets, in few words and in the order given: `Adam · lr 0.001 · batch 64 · no flip`.

    What is switched off is said too: the base may have it on.

    Args:
        values: dotted key → value.
    """
    return " · ".join(_words(key, value) for key, value in values.items())


def dotted(values: Mapping[str, Any]) -> str:
    """The same with keys spelled out, for points whose labels would be alike: `data.batch_size: 64`."""
    return ", ".join(f"{key}: {_text(value)}" for key, value in values.items())


def _words(key: str, value: Any) -> str:
    """`optimizer.name: adam` → Adam, `data.flip: false` → no flip, `data.batch_size: 64` → batch 64."""
    section, _, last = key.rpartition(".")
    what = {"batch_size": "batch", "name": section, "dataset": section}.get(last, last)
    if value is False or value == "none":
        return f"no {what}"
    if value is True:
        return what
    if last in ("name", "dataset"):
        return _NAMES.get(str(value), str(value))
    return f"{what} {_text(value)}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
