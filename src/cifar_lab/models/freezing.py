"""Frozen parts of a network: parameters without gradient, and modules that compute as in evaluation."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from cifar_lab.core.errors import SettingsError

if TYPE_CHECKING:
    from cifar_lab.models.layer_order import NetworkLayer

ALL_BUT_HEAD = "all_but_head"

SHOWN_NAMES = 8
"""Layers that a message lists."""


def frozen_by_name(network: nn.Module, layers: Sequence[NetworkLayer], freeze: Sequence[str] | str) -> frozenset[str]:
    """Names of the parameters that `model.freeze` means.

    Args:
        layers: of `layers_of`.
        freeze: names of layers, modules and parameters, or `all_but_head`.

    Raises:
        SettingsError: a name that the network does not have, or nothing is left to train.
    """
    known = [name for name, parameter in network.named_parameters() if parameter.requires_grad]
    if freeze == ALL_BUT_HEAD:
        return frozenset(known) - set(layers[-1].parameters)
    of_layers = {layer.name: layer.parameters for layer in layers}
    found: set[str] = set()
    for name in freeze:
        own = {each for each in known if is_below(each, name)} | set(of_layers.get(name, ()))
        if not own and name not in dict(network.named_modules()):
            raise SettingsError(f"model.freeze: {_unknown(name, network, list(of_layers))}")
        found |= own
    if not set(known) - found:
        raise SettingsError(
            f"model.freeze: nothing is left to train; leave out {layers[-1].name}, the last layer, or write "
            f"model.freeze: {ALL_BUT_HEAD}"
        )
    return frozenset(found)


def _unknown(name: str, network: nn.Module, layers: list[str]) -> str:
    """Message for a name that the network does not have."""
    if name == ALL_BUT_HEAD:
        return f"{ALL_BUT_HEAD} is not one of a list; write model.freeze: {ALL_BUT_HEAD}"
    modules = [path for path, _ in network.named_modules() if path]
    names = list(dict.fromkeys([*layers, *modules, *(each for each, _ in network.named_parameters())]))
    if near := get_close_matches(name, names, 2) or [each for each in names if each.rpartition(".")[2] == name][:2]:
        return f"{type(network).__name__} has no {name}; did you mean {' or '.join(near)}?"
    shown = ", ".join(layers[:SHOWN_NAMES]) + (", …" if len(layers) > SHOWN_NAMES else "")
    return f"{type(network).__name__} has no {name}; its layers are {shown}"


def batch_norms(network: nn.Module) -> frozenset[str]:
    """Names of the parameters of every BatchNorm."""
    return frozenset(
        f"{path}.{name}".lstrip(".")
        for path, module in network.named_modules()
        if isinstance(module, _NormBase)
        for name, _ in module.named_parameters(recurse=False)
    )


def is_below(path: str, module: str) -> bool:
    """Whether a path is that of a module, or of a part or parameter of it."""
    return path == module or path.startswith(f"{module}.")


def freeze(network: nn.Module, names: Collection[str]) -> None:
    """Take the gradient of these parameters away."""
    for name, parameter in network.named_parameters():
        if name in names:
            parameter.requires_grad_(False)


def still_modules(network: nn.Module, frozen: Collection[str], *, norms: bool = False) -> tuple[str, ...]:
    """Paths of the modules that compute as in evaluation: those whose parameters are all frozen, without their parts.

    A BatchNorm without parameters is one of them where everything around it with parameters is frozen.

    Args:
        frozen: names of parameters, as of `frozen_by_name`.
        norms: whether every BatchNorm is one.
    """
    found: list[str] = []
    for path, module in network.named_modules():
        if path and not any(is_below(path, each) for each in found):
            names = [f"{path}.{name}" for name, _ in module.named_parameters()]
            is_norm = isinstance(module, _NormBase) and not names and _follows(path, network, frozen)
            if all(name in frozen for name in names) if names else is_norm or (norms and isinstance(module, _NormBase)):
                found.append(path)
    return tuple(found)


def _follows(path: str, network: nn.Module, frozen: Collection[str]) -> bool:
    """Whether the last parameter before a module without parameters is frozen."""
    before = ""
    for name, module in network.named_modules():
        if name == path:
            break
        for each, _ in module.named_parameters(recurse=False):
            before = f"{name}.{each}".lstrip(".")
    return before in frozen


def stand_still(network: nn.Module, paths: Collection[str]) -> None:
    """Set modules to evaluation mode."""
    for path in paths:
        network.get_submodule(path).eval()
