"""One network as the kernels see it: read from its graph, and its gradients in one call."""

from __future__ import annotations

import math
from collections.abc import Callable
from ctypes import POINTER, byref, c_int32, c_void_p, sizeof
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional as F

from cifar_lab.data.splits import IMAGE_SHAPE
from cifar_lab.models.cropped import graph_of
from cifar_lab.models.flat_parameters import FlatParameters
from cifar_lab.training.backends.kernels.compiler import KernelsUnavailable, library
from cifar_lab.training.backends.kernels.layers import LANES, Activation, Layers
from cifar_lab.training.backends.kernels.structures import (
    STRUCTURES,
    ActOfLayer,
    Batch,
    KernelOp,
    KernelWorker,
    Layer,
    Plan,
)

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)

MODULES: dict[type[nn.Module], Callable[[Layers, Any, str, Activation], Activation]] = {
    nn.Conv2d: Layers.convolution,
    nn.Linear: Layers.linear,
    nn.BatchNorm1d: Layers.norm,
    nn.BatchNorm2d: Layers.norm,
}
"""Layers with parameters, and how the kernels are told of them."""


class KernelNetwork:
    """The gradients of one network, whose parameters are a row of `FlatParameters`."""

    def __init__(
        self, network: nn.Module, parameters: FlatParameters, batch_size: int, threads: int, label_smoothing: float
    ) -> None:
        """Make room for batches of at most `batch_size` images on at most `threads` threads.

        Raises:
            NoKernels: they cannot be had here, or the network does something that there is none for.
        """
        self._step = step_function()
        self._threads = threads
        groups = math.ceil(batch_size / LANES)
        # BatchNorm looks at all groups before the first goes on; otherwise one after the other takes the same room.
        meet = any(isinstance(module, NORMS) for module in network.modules())
        self._layers = Layers(network, parameters, groups, groups if meet else threads)
        _read(network, self._layers)
        self.plan = self._make_plan(parameters, meet, label_smoothing)

    def gradients(self, batch: Batch, threads: int, loss_at: int, right_at: int) -> None:
        """Replace the network's gradients by those of the batch's mean loss.

        `loss_at`, `right_at`: addresses of a float32 that becomes the mean loss, and of an int64 that becomes the
        number of images right.
        """
        self._step(byref(self.plan), byref(batch), min(threads, self._threads), loss_at, right_at)

    def _make_plan(self, parameters: FlatParameters, meet: bool, label_smoothing: float) -> Plan:
        layers, width = self._layers, parameters.values.shape[1]
        acts = [(KernelOp.LOAD_BATCH, 0), *layers.forward, *layers.backward]
        others = layers.keep(torch.zeros(max(1, self._threads - 1), width))
        lane_sums = layers.keep(torch.zeros(self._threads, max(1, layers.lane_sums), LANES))
        return Plan(
            layers=(Layer * len(layers.layers))(*layers.layers),
            acts=(ActOfLayer * len(acts))(*(ActOfLayer(kind, layer) for kind, layer in acts)),
            layer_count=len(layers.layers),
            act_count=len(acts),
            slot_of_each_group=meet,
            smoothing=label_smoothing,
            gradients=layers.keep(parameters.gradients).data_ptr(),
            others=others.data_ptr(),
            width=width,
            lanes=lane_sums.data_ptr(),
            lane_count=layers.lane_sums,
            workers=(KernelWorker * self._threads)(),
        )


def _read(network: nn.Module, layers: Layers) -> None:
    """Tell the layers, one after the other, from the network's graph."""
    place, last = layers.images(IMAGE_SHAPE), None
    for node in graph_of(network).nodes:
        if node.op != "placeholder":
            if node.args[:1] != (last,):
                raise KernelsUnavailable("there are none for layers that are not one after the other")
            if node.op != "output":
                place = _read_layer(node, network, layers, place)
        last = node
    layers.cross_entropy(place)


def _read_layer(node: fx.Node, network: nn.Module, layers: Layers, place: Activation) -> Activation:
    if node.op == "call_module":
        path = str(node.target)
        module = network.get_submodule(path)
        if type(module) in MODULES:
            return MODULES[type(module)](layers, module, path, place)
        raise KernelsUnavailable(f"there are none for {type(module).__name__}")
    if node.target is F.relu:
        return layers.relu(place)
    if node.target is F.max_pool2d and _has_windows_of_two(node):
        return layers.max_pool(place)
    if node.target == "flatten" and node.args[1:] == (1,) and not node.kwargs:
        return layers.flatten(place)
    raise KernelsUnavailable(f"there are none for {getattr(node.target, '__name__', node.target)} as it is called")


def _has_windows_of_two(node: fx.Node) -> bool:
    """Whether a call of `F.max_pool2d` has windows of 2 × 2 pixels, side by side, and nothing special."""
    names = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
    given: dict[str, Any] = {"stride": None, "padding": 0, "dilation": 1, "ceil_mode": False, "return_indices": False}
    given |= dict(zip(names, node.args[1:], strict=False)) | dict(node.kwargs)
    two = (2, [2, 2], (2, 2))
    return given.pop("kernel_size") in two and given.pop("stride") in (None, *two) and list(given.values()) == [
        0, 1, False, False
    ]  # fmt: skip


def step_function() -> Callable[..., None]:
    """`step` of step.c.

    Raises:
        NoKernels: it cannot be had here, or is not what `structures` says.
    """
    made = library()
    if tuple((c_int32 * len(STRUCTURES)).in_dll(made, "sizes")) != tuple(map(sizeof, STRUCTURES)):
        raise KernelsUnavailable("their structures are laid out in another way on this machine")
    function = made.step
    function.restype = None
    function.argtypes = (POINTER(Plan), POINTER(Batch), c_int32, c_void_p, c_void_p)
    step: Callable[..., None] = function
    return step
