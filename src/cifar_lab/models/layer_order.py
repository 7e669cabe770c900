"""Layers of a network from its input to its head, as fine-tuning counts them.

A layer is a child of the network with parameters. The children of a list or a chain of blocks count each by itself,
unless the network has three or more such chains, as ResNet has. A normalisation belongs to the layer before it. The
last module with parameters in a forward pass is the head, whatever holds it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from cifar_lab.models.user_code import forked_generators

STEM = "stem"
"""Name of a first layer of several modules, such as conv1 and bn1 of ResNet18."""

CHAINS = (nn.Sequential, nn.ModuleList)

FEWEST_STAGES = 3
"""Chains of a network that are its layers, as layer1 to layer4 of ResNet18 are."""

MAIN_SHARE = 0.8
"""Share of the parameters that makes one child the network itself, such as the encoder of a transformer."""


@dataclass(frozen=True)
class NetworkLayer:
    """One layer: its name and its parameters, by their names."""

    name: str
    parameters: tuple[str, ...]


def layers_of(network: nn.Module, side: int) -> list[NetworkLayer]:
    """Layers in the order of a forward pass, the head last. Parameters outside the pass are at their place by name.

    Args:
        side: rows and columns of its images in pixels.
    """
    order = _in_order(network, side)
    tops = _tops(network)
    head = order[-1]
    groups: dict[str, list[str]] = {}
    previous, waiting = "", list[str]()
    for path in order[:-1]:
        top = max((each for each in tops if path == each or path.startswith(f"{each}.")), key=len, default="")
        if not top:  # held between the layers, such as the embedding of positions
            waiting.append(path)
            continue
        if top not in groups and previous and _is_norm(network.get_submodule(path)) and path == top:
            top = previous
        groups.setdefault(top, []).extend([*waiting, path])
        previous, waiting = top, []
    if waiting:
        groups.setdefault(previous or waiting[0], []).extend(waiting)
    names = dict(_shown(groups, network))
    layers = [NetworkLayer(names[top], _parameters(network, paths)) for top, paths in groups.items()]
    return [*layers, NetworkLayer(head, _parameters(network, [head]))]


def _shown(groups: dict[str, list[str]], network: nn.Module) -> Iterator[tuple[str, str]]:
    """(key, name) of each layer. The name is that of its module."""
    children = {name for name, _ in network.named_modules()}
    for number, (top, paths) in enumerate(groups.items()):
        is_stem = number == 0 and len(paths) > 1 and top in paths and STEM not in children
        yield top, STEM if is_stem else top


def _parameters(network: nn.Module, paths: Sequence[str]) -> tuple[str, ...]:
    """Names of the parameters that these modules hold themselves."""
    return tuple(
        f"{path}.{name}".lstrip(".")
        for path in paths
        for name, _ in network.get_submodule(path).named_parameters(recurse=False)
    )


def _in_order(network: nn.Module, side: int) -> list[str]:
    """Paths of the modules that hold parameters, by their first call. Those that are not called follow their neighbour.

    A network whose forward pass fails in evaluation mode has the order in which its modules were made.
    """
    held = _holders(network)
    called: list[str] = []
    names = {module: path for path, module in network.named_modules() if path in held}
    handles = [module.register_forward_pre_hook(lambda each, _: called.append(names[each])) for module in names]
    was_training, device = network.training, next(network.parameters()).device
    modes = {module: module.training for module in network.modules()}
    try:
        with forked_generators(), torch.no_grad():
            network.eval()(torch.zeros(2, 3, side, side, device=device))
    except Exception:  # the code of the user may raise anything, and its trial says so
        called.clear()
    finally:
        for handle in handles:
            handle.remove()
        network.train(was_training)
        for module, mode in modes.items():
            module.training = mode
    order = list(dict.fromkeys(called)) or list(held)
    for number, path in enumerate(held):
        if path not in order:
            order.insert(order.index(held[number - 1]) + 1 if number else 0, path)
    return order


def _holders(network: nn.Module) -> list[str]:
    """Paths of the modules that hold a parameter themselves, each parameter once."""
    seen: set[int] = set()
    found = []
    for path, module in network.named_modules():
        own = {id(parameter) for parameter in module.parameters(recurse=False)}
        if own - seen:
            found.append(path)
        seen |= own
    return found


def _tops(network: nn.Module, prefix: str = "") -> list[str]:
    """Paths of the modules that count as one layer each."""
    children = [(name, child) for name, child in network.named_children() if _size(child)]
    if len(children) == 1 and not isinstance(network, CHAINS):
        ((name, child),) = children
        return _tops(child, f"{prefix}{name}.") or [f"{prefix}{name}"]
    chains = [name for name, child in children if isinstance(child, CHAINS)]
    total, tops = _size(network), []
    for name, child in children:
        path = f"{prefix}{name}"
        is_main = not isinstance(child, CHAINS) and _size(child) > MAIN_SHARE * total and _branches(child)
        if isinstance(child, CHAINS) and len(chains) < FEWEST_STAGES:
            tops += [f"{path}.{each}" for each, inner in child.named_children() if _size(inner)]
        elif is_main:
            tops += _tops(child, f"{path}.")
        else:
            tops.append(path)
    return tops


def _branches(module: nn.Module) -> bool:
    """Whether a module is a network with chains of blocks."""
    return any(isinstance(child, CHAINS) and len(child) > 1 for child in module.children())


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _is_norm(module: nn.Module) -> bool:
    return "norm" in type(module).__name__.lower()
