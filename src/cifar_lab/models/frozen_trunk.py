"""Cut of a network where its frozen part ends: a trunk whose values never change, and a tail that trains.

A built-in network is cut in its graph, wherever a single tensor leaves the frozen layers. Of other code only the end is
known: modules that pass a tensor from one to the next up to the logits. Everything before them is its own forward pass.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.dropout import _DropoutNd

from cifar_lab.models.convolutions import graph_of
from cifar_lab.models.freezing import is_below, stand_still
from cifar_lab.models.input_size import ResizeInput
from cifar_lab.models.user_code import forked_generators

PURE = (nn.ReLU, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.Identity, nn.Flatten)
"""Modules without parameters and random numbers in the built-in networks."""


class NoCut(Exception):
    """The network cannot be cut. The message gives the reason for the record."""


@dataclass(frozen=True)
class Cut:
    """Trunk and tail of one network, which share its modules."""

    trunk: Callable[[Tensor], Tensor]
    """Images (B, 3, H, W) to features (B, …), in the mode of the network."""
    tail: nn.Module
    """Features to logits (B, classes)."""
    below: str
    """Name of what comes first in the tail."""
    graph: fx.Graph | None = None
    """Graph of the tail of a built-in network."""


def cut_graph(network: nn.Module, still: Collection[str]) -> Cut:
    """Cut a built-in network.

    Args:
        still: modules that stand still.

    Raises:
        NoCut: no layer is frozen from the input on, or several tensors leave the frozen ones.
    """
    graph = graph_of(network)
    stable = _stable_nodes(graph, network, still)
    leaving = [node for node in stable if any(user not in stable for user in node.users)]
    if len(leaving) != 1:
        raise NoCut("several tensors leave the frozen layers")
    (last,) = leaving
    if last.op == "placeholder":
        raise NoCut("the first layer trains")
    whole = list(graph.nodes)
    trunk = _part(stable[: stable.index(last) + 1], network, last)
    tail, first = _tail(whole, stable, last)
    resize = next((hook for hook in network._forward_pre_hooks.values() if isinstance(hook, ResizeInput)), None)
    run = trunk if resize is None else lambda images: trunk(resize.resize(images))
    return Cut(run, fx.GraphModule(network, tail), first, tail)


def _stable_nodes(graph: fx.Graph, network: nn.Module, still: Collection[str]) -> list[fx.Node]:
    """Nodes whose values depend on the image alone as long as the modules stand still."""
    stable: dict[fx.Node, None] = {}
    for node in graph.nodes:
        if node.op == "output" or not all(each in stable for each in node.all_input_nodes):
            continue
        if node.op == "call_module":
            path, module = str(node.target), network.get_submodule(str(node.target))
            held = any(is_below(path, each) for each in still)
            if not held and not isinstance(module, PURE):
                continue
        elif node.op == "get_attr":
            continue
        stable[node] = None
    return list(stable)


def _part(nodes: Sequence[fx.Node], network: nn.Module, last: fx.Node) -> fx.GraphModule:
    graph, known = fx.Graph(), dict[fx.Node, fx.Node]()
    for node in nodes:
        known[node] = graph.node_copy(node, known.__getitem__)
    graph.output(known[last])
    return fx.GraphModule(network, graph)


def _tail(nodes: Sequence[fx.Node], stable: Collection[fx.Node], last: fx.Node) -> tuple[fx.Graph, str]:
    """Graph of the nodes after `last`, and the name of the first of them with a module."""
    graph = fx.Graph()
    known = {last: graph.placeholder("features")}
    rest = [node for node in nodes if node not in stable]
    for node in rest:
        known[node] = graph.node_copy(node, known.__getitem__)
    first = next((str(node.target) for node in rest if node.op == "call_module"), "the logits")
    return graph, first


def cut_modules(network: nn.Module, still: Collection[str], side: int) -> Cut:
    """Cut a network of any code before the modules at its end that hold all trained parameters.

    Raises:
        NoCut: its end is not one module after the other, or its frozen part draws random numbers or changes.
    """
    try:
        chains = [_chain(network, still, side, training) for training in (True, False)]
    except NoCut:
        raise
    except Exception as error:  # the user's code may raise anything
        raise NoCut(f"its forward pass cannot be followed ({type(error).__name__})") from error
    if chains[0] != chains[1]:
        raise NoCut("its forward pass is another one in evaluation")
    modules = [network.get_submodule(path) for path in chains[0]]
    return Cut(_Until(network, modules[0]), nn.Sequential(*modules), chains[0][0])


class _Reached(Exception):
    """The forward pass has reached the tail."""

    def __init__(self, features: Tensor) -> None:
        super().__init__()
        self.features = features


class _Until:
    """The forward pass of a network up to the input of one module."""

    def __init__(self, network: nn.Module, module: nn.Module) -> None:
        self._network, self._module = network, module

    def __call__(self, images: Tensor) -> Tensor:
        handle = self._module.register_forward_pre_hook(_stop)
        try:
            self._network(images)
        except _Reached as reached:
            return reached.features
        finally:
            handle.remove()
        raise NoCut("its forward pass did not reach its last layers")


def _stop(module: nn.Module, inputs: tuple[Any, ...]) -> None:
    raise _Reached(inputs[0])


@dataclass(frozen=True)
class _Call:
    """One call of a module without parts."""

    path: str
    given: Any
    returned: Any


def _chain(network: nn.Module, still: Collection[str], side: int, training: bool) -> list[str]:
    """Paths of the modules at the end of a forward pass that hold all trained parameters, in their order."""
    own = copy.deepcopy(network)
    own.train(training)
    stand_still(own, still)
    trained = {name for name, parameter in own.named_parameters() if parameter.requires_grad}
    images = torch.zeros(2, 3, side, side, device=next(own.parameters()).device)
    with forked_generators(), torch.no_grad():
        calls, logits = _calls(own, images)
    chain = list(reversed(list(_backwards(calls, logits, own, trained))))
    _check_still(own, chain[0], images)
    return chain


def _calls(network: nn.Module, images: Tensor) -> tuple[list[_Call], Any]:
    calls: list[_Call] = []
    names = {module: path for path, module in network.named_modules() if path and not list(module.children())}
    handles = [
        module.register_forward_hook(lambda each, given, out: calls.append(_Call(names[each], given, out)))
        for module in names
    ]
    logits = network(images)
    for handle in handles:
        handle.remove()
    return calls, logits


def _backwards(calls: list[_Call], logits: Any, network: nn.Module, trained: set[str]) -> Iterator[str]:
    """Paths from the last module back to the first that holds a trained parameter, and to dropout just before it."""
    missing, current, rest = set(trained), logits, list(calls)
    while missing or _is_dropout(rest, current, network):
        number = next((number for number in reversed(range(len(rest))) if rest[number].returned is current), None)
        if number is None:
            raise NoCut("its last layers are not one module after the other")
        call = rest[number]
        if len(call.given) != 1 or sum(each.path == call.path for each in calls) > 1:
            raise NoCut("its last layers are not one module after the other")
        missing -= {f"{call.path}.{name}" for name, _ in network.get_submodule(call.path).named_parameters()}
        current, rest = call.given[0], rest[:number]
        yield call.path


def _is_dropout(rest: list[_Call], current: Any, network: nn.Module) -> bool:
    """Whether dropout made this tensor."""
    made = [call.path for call in rest if call.returned is current]
    return bool(made) and isinstance(network.get_submodule(made[-1]), _DropoutNd)


def _check_still(network: nn.Module, first: str, images: Tensor) -> None:
    """Check on a copy that its trunk gives the same features again and changes no buffer.

    Raises:
        NoCut: it does not.
    """
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    trunk = _Until(network, network.get_submodule(first))
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0)).to(images)
    with forked_generators(), torch.no_grad():
        one, other = trunk(noise), trunk(noise)
    if not isinstance(one, Tensor) or len(one) != len(images):
        raise NoCut("its last layers take no tensor with a row per image")
    if not torch.equal(one, other):
        raise NoCut("its frozen layers draw random numbers")
    changed = [name for name, buffer in network.named_buffers() if not torch.equal(buffer, before[name])]
    if changed:
        raise NoCut(f"its frozen layers change {changed[0]}")
