"""Operations of a network as the kernels know them, one after the other, read from the graph of a built-in network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from torch import fx, nn
from torch.nn import functional as F

from cifar_lab.models.convolutions import graph_of
from cifar_lab.training.backends.kept_libraries import KernelsUnavailable

Kind = Literal["convolution", "linear", "norm", "max_pool", "relu", "flatten"]


class Operation(NamedTuple):
    """One operation of a forward pass."""

    kind: Kind
    path: str = ""
    """Name of the module whose weight and bias it uses. Empty where it has none."""


Operations = Sequence[Operation]

KINDS: dict[type[nn.Module], Kind] = {
    nn.Conv2d: "convolution",
    nn.Linear: "linear",
    nn.BatchNorm1d: "norm",
    nn.BatchNorm2d: "norm",
}
"""Modules with parameters that the kernels know."""


def operations_of(network: nn.Module) -> Operations:
    """Operations of a built-in network, read from its traced graph.

    Raises:
        KernelsUnavailable: no kernel for a layer, or layers that are not sequential.
    """
    found: list[Operation] = []
    last = None
    for node in graph_of(network).nodes:
        if node.op != "placeholder":
            if node.args[:1] != (last,):
                raise KernelsUnavailable("there are none for layers that are not one after the other")
            if node.op != "output":
                found.append(_operation(node, network))
        last = node
    return found


def _operation(node: fx.Node, network: nn.Module) -> Operation:
    if node.op == "call_module":
        path = str(node.target)
        module = network.get_submodule(path)
        if type(module) in KINDS:
            return Operation(KINDS[type(module)], path)
        raise KernelsUnavailable(f"there are none for {type(module).__name__}")
    if node.target is F.relu:
        return Operation("relu")
    if node.target is F.max_pool2d and _has_windows_of_two(node):
        return Operation("max_pool")
    if node.target == "flatten" and node.args[1:] == (1,) and not node.kwargs:
        return Operation("flatten")
    raise KernelsUnavailable(f"there are none for {getattr(node.target, '__name__', node.target)} as it is called")


def _has_windows_of_two(node: fx.Node) -> bool:
    """Whether a call of `F.max_pool2d` has adjacent windows of 2 × 2 pixels and default options otherwise."""
    names = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
    given: dict[str, Any] = {"stride": None, "padding": 0, "dilation": 1, "ceil_mode": False, "return_indices": False}
    given |= dict(zip(names, node.args[1:], strict=False)) | dict(node.kwargs)
    two = (2, [2, 2], (2, 2))
    return given.pop("kernel_size") in two and given.pop("stride") in (None, *two) and list(given.values()) == [
        0, 1, False, False
    ]  # fmt: skip
