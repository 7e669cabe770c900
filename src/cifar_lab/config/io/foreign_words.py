"""Words of W&B sweeps, Optuna and Hydra, and the same in a sweep file of this lab."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from cifar_lab.config.io import setting_keys
from cifar_lab.config.io.axis_words import axis_of_text
from cifar_lab.config.io.nearest_name import SYNONYMS, nearest
from cifar_lab.config.io.tree import Node, plain

_LOG_WORDS = ("log_uniform_values", "q_log_uniform_values", "log_uniform", "q_log_uniform", "inv_log_uniform_values")
_FLAT_WORDS = ("uniform", "int_uniform", "q_uniform")


def foreign_axis(setting: str, node: Node) -> str:
    """`write […]` for an axis in the words of Hydra or Optuna, such as `choice(a,b)`. Empty for another value."""
    if not isinstance(node.value, str):
        return ""
    axis = axis_of_text(node.value)
    return f"write {setting}: {axis}" if axis else ""


def foreign_axis_key(name: str, node: Node) -> str:
    """`; write {min: …}` for a key of a W&B parameter, such as `distribution`. Empty for another key."""
    if name not in ("distribution", "value", "q", "mu", "sigma", "probabilities", "parameters"):
        return ""
    axis = axis_of_parameter(plain(node))
    return f", but of a W&B parameter; write {axis}" if axis else ""


def axis_of_parameter(stated: Any) -> str:
    """The axis that a parameter of a W&B sweep means, as a sweep file has it. Empty where it has none."""
    if not isinstance(stated, Mapping):
        return f"[{_word(stated)}]" if stated is not None else ""
    if "value" in stated:
        return f"[{_word(stated['value'])}]"
    if isinstance(stated.get("values"), list):
        return f"[{', '.join(map(_word, stated['values']))}]"
    low, high, kind = stated.get("min"), stated.get("max"), str(stated.get("distribution", ""))
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        return ""
    if kind in ("log_uniform", "q_log_uniform"):  # W&B states the exponents
        low, high = (float(f"{math.exp(min(end, 700)):.4g}") for end in (low, high))
    return f"{{min: {_word(low)}, max: {_word(high)}{', log: true' if kind in _LOG_WORDS else ''}}}"


def key_of_parameter(name: str) -> str:
    """Dotted key that a parameter of another tool means. The name itself where none is near."""
    keys = setting_keys.dotted_keys()
    if name in keys:
        return name
    if name in setting_keys.sections() and setting_keys.choice_key(name):
        return f"{name}.{setting_keys.choice_key(name)}"
    word = SYNONYMS.get(name.lower(), name)
    found = setting_keys.dotted_keys_of(word)
    return found[0] if found else nearest(word, keys) or name


def _word(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


_METHODS = {"bayes": "tpe", "random": "random", "grid": "grid"}

_NO_WORDS = {
    "program": "a sweep trains the settings of base; remove it",
    "command": "a sweep trains the settings of base; remove it",
    "metric": "points are ranked by validation accuracy; remove it",
    "direction": "points are ranked by validation accuracy, the highest first; remove it",
    "early_terminate": "write search: {halving: {eta: 3, rungs: 3}}",
    "pruner": "write search: {halving: {eta: 3, rungs: 3}}",
    "sampler": "write search: {method: tpe, trials: 50}",
    "study_name": "the name of the file names the sweep; remove it",
    "storage": "runs are stored in the results folder; remove it",
    "defaults": "write base: baseline.yaml for the settings that every point starts from",
}


def foreign_top_key(name: str, node: Node) -> str:
    """Equivalent of a top-level key of another tool's sweep file. Empty for another key."""
    if name in ("parameters", "params"):
        return f"write space: {space_of(plain(node))}"
    if name == "method":
        method = _METHODS.get(str(node.value), "")
        trials = "" if method in ("", "grid") else ", trials: 50"
        return f"write search: {{method: {method}{trials}}}" if method else ""
    if name in ("run_cap", "n_trials", "num_samples"):
        return f"write search: {{method: random, trials: {_word(plain(node))}}}"
    if name in ("hydra", "sweeper"):
        params = _params(plain(node))
        return f"write space: {space_of(params)}" if params else "write the values to try into space"
    return _NO_WORDS.get(name, "")


def _params(stated: Any) -> Mapping[str, Any]:
    """`params` of Hydra's sweeper, wherever it stands."""
    if not isinstance(stated, Mapping):
        return {}
    found = stated.get("params")
    return found if isinstance(found, Mapping) else next(filter(None, map(_params, stated.values())), {})


def space_of(stated: Any) -> str:
    """Space of the parameters of a W&B or Hydra sweep, as a sweep file has it."""
    if not isinstance(stated, Mapping):
        return "{optimizer.lr: [0.1, 0.01]}"
    axes = {
        key_of_parameter(str(name)): axis_of_text(value) if isinstance(value, str) else axis_of_parameter(value)
        for name, value in stated.items()
    }
    return f"{{{', '.join(f'{key}: {axis}' for key, axis in axes.items() if axis)}}}"
