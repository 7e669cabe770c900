"""Values of an axis in the words of Hydra and Optuna: `choice(…)`, `interval(…)`, `suggest_float(…)`, `1,2,3`."""

from __future__ import annotations

import re

_CALL = re.compile(r"(?:[A-Za-z_.]+\.)?(?P<name>[A-Za-z_]+)\((?P<inside>.*)\)\s*", re.DOTALL)

_LISTS = ("choice", "suggest_categorical", "categorical", "grid_search")
_RANGES = ("interval", "uniform", "suggest_float", "suggest_uniform", "randint", "suggest_int", "quniform", "qrandint")
_LOG_RANGES = ("loguniform", "log_uniform", "suggest_loguniform", "qloguniform", "lograndint")
_MOST_VALUES = 100


def axis_of_text(text: str) -> str:
    """The axis that a text means: `choice(…)`, `interval(…)`, `suggest_float(…)` or `1,2,3`. Empty for another text."""
    text = text.strip()
    if match := _CALL.fullmatch(text):
        return _axis_of_call(match["name"].lower(), match["inside"])
    items = [item.strip() for item in text.split(",")]
    plain_items = all(re.fullmatch(r"[A-Za-z0-9_.+-]+", item) for item in items)
    return f"[{', '.join(items)}]" if len(items) > 1 and plain_items else ""


def _axis_of_call(name: str, inside: str) -> str:
    if name in ("tag", "shuffle", "sort"):
        inner = _CALL.search(inside)
        found = _axis_of_call(inner["name"].lower(), inner["inside"]) if inner else ""
        return found.replace("}", ", log: true}") if found.startswith("{") and "log" in inside.split("(")[0] else found
    parts = [part.strip() for part in inside.strip().split(",")]
    named = {key.strip(): value.strip() for key, _, value in (part.partition("=") for part in parts) if value}
    bare = [part for part in parts if "=" not in part]
    if name.startswith("suggest_") and bare and bare[0][:1] in "\"'":
        bare = bare[1:]
    if name in _LISTS:
        values = ", ".join(bare).strip("[]() ")
        return f"[{values}]" if values else ""
    if name == "range":
        return _axis_of_range(bare)
    if name not in (*_RANGES, *_LOG_RANGES):
        return ""
    bounds = [each for each in (named.get("low"), named.get("high")) if each] or bare[:2]
    if len(bounds) != 2 or not all(map(_is_number, bounds)):
        return ""
    is_log = name in _LOG_RANGES or named.get("log", "").lower() == "true"
    return f"{{min: {bounds[0]}, max: {bounds[1]}{', log: true' if is_log else ''}}}"


def _axis_of_range(bare: list[str]) -> str:
    """Values of Hydra's `range(start,stop,step)`, whose end is left out."""
    whole = [int(part) for part in bare if re.fullmatch(r"-?[0-9]{1,9}", part)]
    if len(whole) != len(bare) or not 1 <= len(whole) <= 3 or 0 in whole[2:]:
        return ""
    return str(list(range(*whole))[:_MOST_VALUES])


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[-+]?[0-9]*\.?[0-9]+(e[-+]?[0-9]+)?", text.lower()) is not None
