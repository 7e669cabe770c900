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
from torch.utils._python_dispatch import TorchDispatchMode

from cifar_lab.data.splits import IMAGE_SHAPE
from cifar_lab.models.flat_parameters import flatten_parameters
from cifar_lab.models.input_size import ResizeInput
from cifar_lab.models.user_code import forked_generators
from cifar_lab.training.backends.kernels.compiler import KernelsUnavailable
from cifar_lab.training.backends.kernels.forward_code import CodeReader
from cifar_lab.training.backends.kernels.layers import read_layers
from cifar_lab.training.backends.kernels.operations import KINDS, Kind, Operation
from cifar_lab.training.unused_parameters import is_note

ATEN = torch.ops.aten

PLAIN_CONVOLUTION = ([1, 1], [0, 0], [1, 1], False, [0, 0], 1)
"""Stride, padding, dilation, transposed, output padding and groups of a convolution that the kernels have."""

OTHER_CONVOLUTIONS = "convolutions other than 5 × 5 pixels with stride 1, no padding and a bias"

IMAGES = 4
"""Images of the passes that are compared."""


def recognised_operations(network: nn.Module) -> list[Operation]:
    """Operations of a custom network, in the order in which the kernels make them. The network stays as it is.

    Raises:
        KernelsUnavailable: the kernels cannot make the steps of this network.
    """
    _check_modules(network)
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
    recorder, code = _Recorder(network, training=training), CodeReader(network)
    images = _random_images(0)
    with recorder, code:
        recorder.begin(images)
        logits = network(images)
    recorder.end(logits)
    if code.fault is not None:
        raise KernelsUnavailable(f"there are none for a forward that {code.fault}")
    return recorder.operations


class _Recorder(TorchDispatchMode):
    """Recorder of the operations of a forward pass. Anything that the kernels do not have is noted as a fault."""

    def __init__(self, network: nn.Module, *, training: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations: list[Operation] = []
        self._training = training
        self._fault: str | None = None
        self._kept: list[Any] = []  # memory that is freed could be taken for that of another tensor
        self._last: Tensor | None = None
        self._paths: dict[tuple[int, int], tuple[str, Any]] = {
            (module.weight.data_ptr(), module.bias.data_ptr()): (path, module)
            for path, module in network.named_modules()
            if isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm1d | nn.BatchNorm2d)
            and module.weight is not None
            and module.bias is not None
        }
        self._counters = {
            module.num_batches_tracked.data_ptr()
            for module in network.modules()
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and module.num_batches_tracked is not None
        }

    def begin(self, images: Tensor) -> None:
        self._last = images

    def end(self, logits: object) -> None:
        """Check that the last output is what the network returned.

        Raises:
            KernelsUnavailable: it is not, or something was noted.
        """
        if self._fault is None and not (isinstance(logits, Tensor) and self._follows(logits)):
            self._fault = "layers that are not one after the other"
        if self._fault is not None:
            raise KernelsUnavailable(f"there are none for {self._fault}")

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        self._kept.append((args, out))
        if self._fault is None:
            self._fault = self._note(func, args, kwargs, out)
        return out

    def _note(self, func: Any, args: Any, kwargs: Any, out: Any) -> str | None:
        """Note an operation. Returns the reason why the kernels do not have it, if so."""
        if func in (ATEN.detach.default, ATEN.t.default, ATEN.empty.memory_format):
            return None  # of autograd, of a linear layer, of BatchNorm: followed by their memory
        if func is ATEN.add_.Tensor and args[0].data_ptr() in self._counters:
            return None
        reader = _READERS.get(func)
        operation = reader(self, *args, **kwargs) if reader is not None else None
        if operation is None and func is ATEN.convolution.default:
            return OTHER_CONVOLUTIONS
        if operation is None:
            return f"{func.overloadpacket.__name__} as it is called"
        given = args[1] if func is ATEN.addmm.default else args[0]
        if not self._follows(given):
            return "layers that are not one after the other"
        self.operations.append(operation)
        self._last = out[0] if isinstance(out, tuple) else out
        return None

    def _follows(self, given: Tensor) -> bool:
        """Whether a tensor is the output of the operation before."""
        last = self._last
        return last is not None and given.data_ptr() == last.data_ptr() and given.shape == last.shape

    def _with_weights(self, kind: Kind, weight: Tensor, bias: Tensor | None) -> Operation | None:
        if weight is None or bias is None:
            return None
        path, module = self._paths.get((weight.data_ptr(), bias.data_ptr()), ("", None))
        return Operation(kind, path) if module is not None and KINDS.get(type(module)) == kind else None

    def _convolution(self, _: Tensor, weight: Tensor, bias: Tensor | None, *geometry: Any) -> Operation | None:
        return self._with_weights("convolution", weight, bias) if geometry == PLAIN_CONVOLUTION else None

    def _linear(self, bias: Tensor, _: Tensor, turned: Tensor) -> Operation | None:
        return self._with_weights("linear", turned, bias)

    def _norm(
        self, _: Tensor, weight: Tensor, bias: Tensor, mean: Tensor | None, variance: Tensor | None, training: bool,
        momentum: float, eps: float,
    ) -> Operation | None:  # fmt: skip
        operation = self._with_weights("norm", weight, bias)
        if operation is None or training != self._training:
            return None
        module = self._paths[weight.data_ptr(), bias.data_ptr()][1]
        own = _same_memory(mean, module.running_mean) and _same_memory(variance, module.running_var)
        return operation if own else None

    def _relu(self, _: Tensor) -> Operation:
        return Operation("relu")

    def _max_pool(self, _: Tensor, kernel: list[int], stride: Sequence[int] = (), *rest: Any) -> Operation | None:
        plain = kernel in ([2], [2, 2]) and list(stride) in ([], [2], [2, 2])
        defaults = ([0, 0], [1, 1], False)
        return Operation("max_pool") if plain and all(a == b for a, b in zip(rest, defaults, strict=False)) else None

    def _flatten(self, given: Tensor, shape: Sequence[int]) -> Operation | None:
        images = len(given)
        whole = list(shape) in ([images, -1], [-1, given[0].numel()], [images, given[0].numel()])
        return Operation("flatten") if given.dim() == 4 and whole else None


_READERS: dict[Any, Callable[..., Operation | None]] = {
    ATEN.convolution.default: _Recorder._convolution,
    ATEN.addmm.default: _Recorder._linear,
    ATEN.native_batch_norm.default: _Recorder._norm,
    ATEN.relu.default: _Recorder._relu,
    ATEN.relu_.default: _Recorder._relu,
    ATEN.max_pool2d_with_indices.default: _Recorder._max_pool,
    ATEN.view.default: _Recorder._flatten,
    ATEN._unsafe_view.default: _Recorder._flatten,
}


def _same_memory(one: Tensor | None, other: Tensor | None) -> bool:
    return one is not None and other is not None and one.data_ptr() == other.data_ptr()


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
