"""Recognition of a custom network whose steps the kernels can make, such as a copy of the tutorial's network.

A forward pass is recorded below autograd, so the way in which the code calls an operation does not matter. The kernels
replace later passes in training. So nothing but the images may decide about them: the code of the forward pass has no
branches, changes no attributes and calls only torch. A pass and its gradients must also agree bit for bit with the
operations as they were understood.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cifar_lab.data.splits import IMAGE_SHAPE
from cifar_lab.models.flat_parameters import flatten_parameters
from cifar_lab.models.input_size import ResizeInput
from cifar_lab.models.user_code import forked_generators
from cifar_lab.training.backends.kept_libraries import KernelsUnavailable
from cifar_lab.training.backends.kernels.forward_code import CodeReader, check_forward
from cifar_lab.training.backends.kernels.layers import read_layers
from cifar_lab.training.backends.kernels.operations import KINDS, Kind, Operation
from cifar_lab.training.backends.kernels.recorder import Recorder
from cifar_lab.training.unused_parameters import is_note

IMAGES = 4
"""Images of the passes that are compared."""


def recognised_operations(network: nn.Module) -> list[Operation]:
    """Operations of a custom network, in the order in which the kernels make them. The network stays as it is.

    Raises:
        KernelsUnavailable: the kernels cannot make the steps of this network.
    """
    _check_modules(network)
    if (fault := check_forward(network)) is not None:  # before any of it runs
        raise KernelsUnavailable(f"there are none for a forward that {fault}")
    try:
        own = copy.deepcopy(network)
        with forked_generators(), torch.enable_grad():
            return _compared(own)
    except KernelsUnavailable:
        raise
    except Exception as error:  # the user's code may raise anything
        raise KernelsUnavailable(
            f"there are none for a network that cannot be recorded ({type(error).__name__})"
        ) from error


def _compared(network: nn.Module) -> list[Operation]:
    """Operations of a network that no run uses."""
    recorded = [_recorded(network, mode) for mode in (True, False)]
    if recorded[0] != recorded[1]:
        raise KernelsUnavailable("there are none for a network that does something else in evaluation")
    operations = _pooled_first(recorded[0])
    _check_parameters(network, operations)
    for training in (True, False):
        _compare(network, operations, training=training)
    read_layers(network, operations, flatten_parameters([network]), groups=1, slots=1)
    return operations


def _check_modules(network: nn.Module) -> None:
    """Refuse at once what no recording could allow: other layers, hooks, a changed `state_dict`."""
    for module in network.modules():
        if type(module) not in KINDS and any(True for _ in module.parameters(recurse=False)):
            raise KernelsUnavailable(f"there are none for {type(module).__name__}")
        hooks = [hook for hook in module._forward_pre_hooks.values() if not isinstance(hook, ResizeInput)]
        hooks += [*module._forward_hooks.values(), *module._backward_hooks.values()]
        if hooks or module._backward_pre_hooks:
            raise KernelsUnavailable("there are none for a network with hooks")
    for parameter in network.parameters():
        after: Any = getattr(parameter, "_post_accumulate_grad_hooks", None) or {}
        if parameter._backward_hooks or not all(map(is_note, after.values())):
            raise KernelsUnavailable("there are none for parameters with hooks")


def _recorded(network: nn.Module, training: bool) -> list[Operation]:
    """Operations of one forward pass, and a check of the code that calls them."""
    network.train(training)
    recorder, code = Recorder(network, training=training), CodeReader(network)
    images = _random_images(0)
    with recorder, code:
        recorder.begin(images)
        logits = network(images)
    recorder.end(logits)
    if code.fault is not None:
        raise KernelsUnavailable(f"there are none for a forward that {code.fault}")
    return recorder.operations


def _pooled_first(operations: Sequence[Operation]) -> list[Operation]:
    """The operations with each pooling before its ReLU, where the order makes no difference and is faster."""
    ordered = list(operations)
    for number in range(1, len(ordered)):
        if (ordered[number - 1].kind, ordered[number].kind) == ("relu", "max_pool"):
            ordered[number - 1 : number + 1] = ordered[number], ordered[number - 1]
    return ordered


def _check_parameters(network: nn.Module, operations: Sequence[Operation]) -> None:
    """Check that every parameter is trained, and used once."""
    used = [f"{each.path}.{name}".lstrip(".") for each in operations if each.path for name in ("weight", "bias")]
    trained = [name for name, parameter in network.named_parameters(remove_duplicate=False) if parameter.requires_grad]
    if len(used) != len(set(used)) or set(used) != set(trained) or len(trained) != len(list(network.parameters())):
        raise KernelsUnavailable("there are none for weights that are used twice, not used, or not trained")


def _compare(network: nn.Module, operations: Sequence[Operation], *, training: bool) -> None:
    """Compare logits and gradients of the network with those of the operations, bit for bit, for another batch."""
    network.train(training)
    images, statistics = _random_images(1)[: IMAGES - 1], copy.deepcopy(list(network.buffers()))
    found = list(_logits_and_gradients(network, network(images)))
    with torch.no_grad():
        for buffer, before in zip(network.buffers(), statistics, strict=True):
            buffer.copy_(before)
    again = list(_logits_and_gradients(network, _forward(network, operations, images)))
    if not all(map(torch.equal, found, again)):
        raise KernelsUnavailable("there are none for operations beside its layers")


def _logits_and_gradients(network: nn.Module, logits: Tensor) -> Iterator[Tensor]:
    parameters = list(network.parameters())
    yield logits.detach()
    labels = torch.arange(len(logits)) % logits.shape[1]
    yield from torch.autograd.grad(F.cross_entropy(logits, labels), parameters)


def _forward(network: nn.Module, operations: Sequence[Operation], values: Tensor) -> Tensor:
    """Forward pass of the operations."""
    plain: dict[Kind, Callable[[Tensor], Tensor]] = {
        "relu": F.relu, "max_pool": lambda planes: F.max_pool2d(planes, 2), "flatten": lambda planes: planes.flatten(1)
    }  # fmt: skip
    for kind, path in operations:
        values = network.get_submodule(path)(values) if path else plain[kind](values)
    return values


def _random_images(seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(IMAGES, *IMAGE_SHAPE, generator=generator)
