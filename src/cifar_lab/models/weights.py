"""Pretrained weights from a file, read without executing its content and checked key by key."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from cifar_lab.core.errors import WeightsError
from cifar_lab.core.files import read_file
from cifar_lab.models.weight_inputs import folder_of_weights

WRAPPER_PREFIXES = ("module.", "_orig_mod.")
"""Key prefixes of DataParallel and torch.compile."""

SHOWN_KEYS = 5


STATE_DICT_KEYS = ("state_dict", "model_state_dict", "net", "model", "model_state", "network", "weights", "params")
"""Keys under which training scripts save a state dict, the likeliest first."""

PART_DEPTH = 3
"""Levels of a checkpoint in which a state dict is looked for."""


def load_weights(model: nn.Module, path: Path, new_layer: str, head: Literal["new", "keep"] = "new") -> list[str]:
    """Copy the weights in `path` into `model`, except for the last layer if `head` is `new`.

    Args:
        path: a state dict, .safetensors or torch's format (.pt, .pth), or a checkpoint with one.
        new_layer: name of the last layer.
        head: `new` leaves that layer as it is, `keep` fills it where the file has its shapes.

    Returns:
        Sentences about the part that was used and about the last layer.

    Raises:
        WeightsError: the file cannot be read, has no state dict, or has other keys or shapes than the model.
    """
    layer = new_layer + "."
    everything, notes = _read_part(path, model)
    own = model.state_dict()
    if head == "keep" and _fits(everything, {key: own[key] for key in own if key.startswith(layer)}):
        found, expected = everything, own
        notes.append(f"{_shown(path)}: the last layer {new_layer} is kept (model.head: keep)")
    else:
        found = {key: value for key, value in everything.items() if not key.startswith(layer)}
        expected = {key: value for key, value in own.items() if not key.startswith(layer)}
        why = "model.head: new" if head == "new" else "the file has other shapes for it"
        notes.append(f"{_shown(path)}: the last layer {new_layer} is initialised again ({why})")
    if faults := _faults(found, expected):
        raise WeightsError(
            f"{path}: does not fit {type(model).__name__}: {'; '.join(faults)}; "
            "use weights of this model, or choose the model of these weights"
        )
    model.load_state_dict(found, strict=False)
    return notes


def _faults(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> list[str]:
    """Keys of a file that are missing, unexpected or of another shape, by kind."""
    # Files written before torch 0.4.1 lack this counter, and nothing reads it where BatchNorm has a momentum.
    missing = [key for key in expected if key not in found and not key.endswith(".num_batches_tracked")]
    unexpected = [key for key in found if key not in expected]
    misshaped = [
        f"{key} {tuple(found[key].shape)} instead of {tuple(value.shape)}"
        for key, value in expected.items()
        if key in found and found[key].shape != value.shape
    ]
    kinds = (("missing", missing), ("unexpected", unexpected), ("misshaped", misshaped))
    return [f"{len(keys)} {kind}: {_first(keys)}" for kind, keys in kinds if keys]


def last_layer(model: nn.Module) -> str:
    """Name of the module that has the last parameter of a model."""
    *_, (name, _) = model.named_parameters()
    return name.rpartition(".")[0] or name


def _shown(path: Path) -> str:
    """Name of a file of weights, or of the run that it belongs to."""
    folder = folder_of_weights(path)
    return path.name if folder is None else f"run:{folder.path.name}"


def _fits(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> bool:
    return all(key in state and state[key].shape == value.shape for key, value in expected.items())


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read the only state dict of a file onto the CPU, without the prefixes of wrappers.

    Raises:
        WeightsError: the file is missing, damaged, or has no state dict.
    """
    return _read_part(path, None)[0]


def _read_part(path: Path, model: nn.Module | None) -> tuple[dict[str, Tensor], list[str]]:
    """State dict in a file, and a sentence about what was left out. Of several the one that has the model's keys."""
    content = _read(path)
    parts = {where: _strip_wrappers(part) for where, part in _state_dicts(content)}
    wanted = set(model.state_dict()) if model is not None else set()
    if not parts or "" in parts:
        return _under_prefix(_strip_wrappers(_tensors_by_name(content, path)), wanted, path)
    fitting = {where: _under_prefix(part, wanted, path) for where, part in parts.items()}
    parts = {where: part for where, (part, _) in fitting.items()}

    def rank(where: str) -> tuple[int, int]:
        name = where.rpartition(".")[2]
        known = STATE_DICT_KEYS.index(name) if name in STATE_DICT_KEYS else len(STATE_DICT_KEYS)
        return -len(wanted & parts[where].keys()), known

    chosen = min(parts, key=rank)
    assert isinstance(content, Mapping)
    others = [str(key) for key in content if key != chosen.partition(".")[0]]
    left = f"; not used: {_first([*others, *(each for each in parts if each != chosen and '.' in each)])}"
    note = f"{_shown(path)}: the state dict under {chosen} is used{left if others else ''}"
    return parts[chosen], [note, *fitting[chosen][1]]


def _under_prefix(state: dict[str, Tensor], wanted: set[str], path: Path) -> tuple[dict[str, Tensor], list[str]]:
    """The keys below the prefix that makes most of them those of the model, with a note. Mostly there is none.

    A training script that keeps its model as an attribute saves `model.conv1.weight`, beside the keys of a loss.
    """
    found: Counter[str] = Counter({"": len(wanted & state.keys())})
    for key in state:
        for position in (number + 1 for number, letter in enumerate(key) if letter == "."):
            found[key[:position]] += key[position:] in wanted
    (prefix, most), *others_found = found.most_common(2)
    if not prefix or any(number == most for _, number in others_found):
        return state, []  # nothing to take off, or two networks of which either could be meant
    below = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    others = [key for key in state if not key.startswith(prefix)]
    left = f"; not used: {_first(others)}" if others else ""
    return below, [f"{_shown(path)}: the keys under {prefix.rstrip('.')} are used{left}"]


def _state_dicts(content: object, where: str = "", depth: int = PART_DEPTH) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """(dotted key, state dict) of each part of a checkpoint that is one."""
    if not isinstance(content, Mapping) or not content:
        return
    if all(isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items()):
        yield where, dict(content)
    elif depth:
        for key, value in content.items():
            if isinstance(key, str):
                yield from _state_dicts(value, f"{where}.{key}".lstrip("."), depth - 1)


def _read(path: Path) -> object:
    """Content of a file. Nothing but containers, numbers, strings, tensors and NumPy scalars is unpickled."""
    try:
        content = read_file(path)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror}); correct `model.weights`") from error
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load(content)
        with torch.serialization.safe_globals(_numpy_scalars()):
            found: object = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
            return found
    except Exception as error:  # damaged bytes raise nearly anything, and the reader names no set of exceptions
        raise WeightsError(
            f"{path}: not a file of weights ({_short(error)}); it is damaged or holds more than tensors: "
            "save `model.state_dict()` again"
        ) from error


def _numpy_scalars() -> list[Any]:
    """Classes and functions of pickled NumPy scalars, under the names of NumPy 1 and 2."""
    scalar = np.float64(0).__reduce__()[0]
    kinds = {type(np.dtype(name)) for name in ("bool", "int32", "int64", "uint8", "float16", "float32", "float64")}
    names = [f"numpy.{core}.multiarray.scalar" for core in ("core", "_core")]
    return [np.dtype, *kinds, *((scalar, name) for name in names)]


def _tensors_by_name(state: object, path: Path) -> dict[str, Tensor]:
    if not isinstance(state, Mapping):
        raise WeightsError(f"{path}: holds a {type(state).__name__}, not a state dict; save `model.state_dict()`")
    strangers = [str(key) for key, value in state.items() if not (isinstance(key, str) and isinstance(value, Tensor))]
    if strangers or not state:
        holds = f"holds {_first(strangers)} besides tensors" if strangers else "is empty"
        raise WeightsError(f"{path}: not a state dict: it {holds}; save `model.state_dict()` alone")
    return dict(state)


def _strip_wrappers(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Remove a prefix that every key has, so that no two keys can become one."""
    for prefix in WRAPPER_PREFIXES * 2:
        if all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def _first(keys: Iterable[str]) -> str:
    keys = list(keys)
    return ", ".join(keys[:SHOWN_KEYS]) + (", …" if len(keys) > SHOWN_KEYS else "")


def _short(error: Exception) -> str:
    """First sentence of an error, whose text may be a page long."""
    line = (str(error).splitlines() or [""])[0].split(". ")[0]
    return f"{type(error).__name__}: {line[:160]}" if line else type(error).__name__
