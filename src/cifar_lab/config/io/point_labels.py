"""Names of the points of a sweep, made of their values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_NAMES = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW", "muon": "Muon", "one_cycle": "one-cycle"}


def point_label(values: Mapping[str, Any]) -> str:
    """Short name of a point, in the order of its keys: `Adam · lr 0.001 · batch 64 · no flip`.

    Disabled settings are named too, because the base may enable them.
    """
    return " · ".join(_label(key, value) for key, value in values.items())


def _label(key: str, value: Any) -> str:
    """`optimizer.name: adam` as Adam, `data.flip: false` as no flip, `data.batch_size: 64` as batch 64.

    A setting of a section inside a section follows its name: `optimizer.others.lr: 0.02` as others lr 0.02.
    """
    section, _, last = key.rpartition(".")
    if "." in section and not section.endswith(".options"):
        inside = section.rpartition(".")[2]
        return f"{inside} {_label(last, value)}" if last != "name" else f"{inside} {_NAMES.get(str(value), value)}"
    setting = {"batch_size": "batch", "name": section, "dataset": section}.get(last, last)
    if value is False or value in ("none", [], ()):
        return f"no {setting}"
    if value is True:
        return setting
    if last in ("name", "dataset"):
        return _NAMES.get(str(value), str(value))
    return f"{setting} {value_text(value)}"


def dotted(values: Mapping[str, Any]) -> str:
    """Name with full keys, for points whose short names are equal: `data.batch_size: 64`."""
    return ", ".join(f"{key}: {value_text(value)}" for key, value in values.items())


def value_text(value: Any) -> str:
    """Value of a setting in a name or a message, as a sweep file has it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
