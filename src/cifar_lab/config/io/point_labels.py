"""Names of the points of a sweep, made of their values."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cifar_lab.core.text import count

_NAMES = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW", "muon": "Muon", "one_cycle": "one-cycle"}


def _weights(value: Any) -> str:
    return "from scratch" if value is None else Path(str(value)).name


def _freeze(value: Any) -> str:
    if isinstance(value, str):
        return "head alone"
    return f"frozen {', '.join(value)}" if value else "nothing frozen"


def _layer_decay(value: Any) -> str:
    return "no layer decay" if value == 1 else f"layer decay {value_text(value)}"


def _freeze_epochs(value: Any) -> str:
    return f"head alone for {count(value, 'epoch')}" if value else "all epochs alike"


_FINE_TUNING: Mapping[str, Callable[[Any], str]] = {
    "model.weights": _weights,
    "model.freeze": _freeze,
    "fine_tune.layer_decay": _layer_decay,
    "fine_tune.freeze_epochs": _freeze_epochs,
}


def point_label(values: Mapping[str, Any]) -> str:
    """Short name of a point, in the order of its keys: `Adam · lr 0.001 · batch 64 · no flip`.

    Disabled settings are named too, because the base may enable them.
    """
    return " · ".join(_label(key, value) for key, value in values.items())


def _label(key: str, value: Any) -> str:
    """`optimizer.name: adam` as Adam, `data.flip: false` as no flip, `data.batch_size: 64` as batch 64.

    A setting of a section inside a section follows its name: `optimizer.others.lr: 0.02` as others lr 0.02.
    """
    if key in _FINE_TUNING:
        return _FINE_TUNING[key](value)
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
