"""Recorder of the operations of a forward pass, as torch executes them below autograd."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from cifar_lab.training.backends.kept_libraries import KernelsUnavailable
from cifar_lab.training.backends.kernels.operations import KINDS, Kind, Operation

ATEN = torch.ops.aten

PLAIN_CONVOLUTION = ([1, 1], [0, 0], [1, 1], False, [0, 0], 1)
"""Stride, padding, dilation, transposed, output padding and groups of a convolution that the kernels have."""

OTHER_CONVOLUTIONS = "convolutions other than 5 × 5 pixels with stride 1, no padding and a bias"


class Recorder(TorchDispatchMode):
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

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Keep torch from importing its compiler for this mode, which takes longer than a small run."""
        return False

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
    ATEN.convolution.default: Recorder._convolution,
    ATEN.addmm.default: Recorder._linear,
    ATEN.native_batch_norm.default: Recorder._norm,
    ATEN.relu.default: Recorder._relu,
    ATEN.relu_.default: Recorder._relu,
    ATEN.max_pool2d_with_indices.default: Recorder._max_pool,
    ATEN.view.default: Recorder._flatten,
    ATEN._unsafe_view.default: Recorder._flatten,
}


def _same_memory(one: Tensor | None, other: Tensor | None) -> bool:
    return one is not None and other is not None and one.data_ptr() == other.data_ptr()
