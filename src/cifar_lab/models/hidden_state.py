"""State of a custom model outside its state dict: buffers that are not saved, and plain attributes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

GENERATOR = "generator state"
"""Key of a dictionary that stands for a `torch.Generator`."""

_OF_TORCH = frozenset(vars(nn.Module()))
"""Attributes that every module has."""


def hidden_state(network: nn.Module) -> dict[str, Any]:
    """CPU copy of non-persistent buffers, and of attributes that are numbers, strings, tensors or lists of them.

    Keys are the module's path, a colon and the name.
    """
    found = {}
    for path, module in network.named_modules():
        held = {name: module._buffers[name] for name in module._non_persistent_buffers_set}
        held |= {name: value for name, value in vars(module).items() if name not in _OF_TORCH}
        for name, value in held.items():
            try:
                found[f"{path}:{name}"] = _plain(value)
            except TypeError:
                continue
    return found


def load_hidden_state(network: nn.Module, state: dict[str, Any]) -> None:
    """Restore what `hidden_state` returned.

    Raises:
        KeyError: the network has no such module.
    """
    modules, device = dict(network.named_modules()), next(network.parameters()).device
    for key, value in state.items():
        path, _, name = key.rpartition(":")
        module = modules[path]
        present = module._buffers.get(name) if name in module._buffers else vars(module).get(name)
        if isinstance(value, dict) and GENERATOR in value:
            if isinstance(present, torch.Generator):
                present.set_state(value[GENERATOR])
            continue
        restored = _on(value, present.device if isinstance(present, Tensor) else device)
        if name in module._buffers:
            module._buffers[name] = restored
        else:
            module.__dict__[name] = restored


def _plain(value: Any) -> Any:
    """Copy of a value that a checkpoint can keep.

    Raises:
        TypeError: it can keep no such value.
    """
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, Tensor) and not isinstance(value, nn.Parameter) and not value.requires_grad:
        return value.detach().to("cpu", copy=True)
    if type(value) in (list, tuple):
        return type(value)(map(_plain, value))
    if type(value) is dict and all(type(key) in (str, int) for key in value):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, torch.Generator):
        return {GENERATOR: value.get_state()}
    raise TypeError(f"a {type(value).__name__} is not kept")


def _on(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        return value.to(device, copy=True)
    if isinstance(value, list | tuple):
        return type(value)(_on(each, device) for each in value)
    return {key: _on(each, device) for key, each in value.items()} if isinstance(value, dict) else value
