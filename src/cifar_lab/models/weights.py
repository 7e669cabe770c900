"""Pretrained weights from a file, read without executing its content and checked key by key."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from cifar_lab.core.errors import WeightsError
from cifar_lab.core.files import read_file

WRAPPER_PREFIXES = ("module.", "_orig_mod.")
"""Key prefixes of DataParallel and torch.compile."""

SHOWN_KEYS = 5


def load_weights(model: nn.Module, path: Path, new_layer: str) -> None:
    """Copy the weights in `path` into `model`, except for the layer `new_layer`.

    Args:
        path: a state dict, .safetensors or torch's format (.pt, .pth).
        new_layer: layer that keeps its values, whatever the file holds for it.

    Raises:
        WeightsError: the file cannot be read, is not a state dict, or has other keys or shapes than the model.
    """
    layer = new_layer + "."
    found = {key: value for key, value in read_state_dict(path).items() if not key.startswith(layer)}
    expected = {key: value for key, value in model.state_dict().items() if not key.startswith(layer)}
    # Files written before torch 0.4.1 lack this counter, and nothing reads it where BatchNorm has a momentum.
    missing = [key for key in expected if key not in found and not key.endswith(".num_batches_tracked")]
    unexpected = [key for key in found if key not in expected]
    misshaped = [
        f"{key} {tuple(found[key].shape)} instead of {tuple(value.shape)}"
        for key, value in expected.items()
        if key in found and found[key].shape != value.shape
    ]
    faults = [
        f"{len(keys)} {kind}: {_first(keys)}"
        for kind, keys in (("missing", missing), ("unexpected", unexpected), ("misshaped", misshaped))
        if keys
    ]
    if faults:
        raise WeightsError(
            f"{path}: does not fit {type(model).__name__}: {'; '.join(faults)}; "
            "use weights of this model, or choose the model of these weights"
        )
    model.load_state_dict(found, strict=False)


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read a state dict onto the CPU, without the prefixes of wrappers.

    Raises:
        WeightsError: the file is missing, damaged, or holds anything but tensors by name.
    """
    try:
        content = read_file(path)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror}); correct `model.weights`") from error
    try:
        if path.suffix == ".safetensors":
            state: object = safetensors.torch.load(content)
        else:
            state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes raise nearly anything, and the reader names no set of exceptions
        raise WeightsError(
            f"{path}: not a file of weights ({_short(error)}); it is damaged or holds more than tensors: "
            "save `model.state_dict()` again"
        ) from error
    return _strip_wrappers(_tensors_by_name(state, path))


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
