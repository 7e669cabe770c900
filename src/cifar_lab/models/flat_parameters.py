"""Trainable parameters of K networks as rows of one tensor, so that one vector operation updates all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

ALIGNMENT = 16
"""Parameters begin at multiples of this many floats: 64 bytes, as torch aligns separate tensors. Vector libraries round
differently at other addresses, so a network's numbers would otherwise depend on its position in the cohort."""


@dataclass(frozen=True)
class ParameterSpan:
    """Location of one parameter in each row."""

    name: str
    offset: int
    """Index of its first number in the row."""
    shape: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass(frozen=True)
class StackedParameter:
    """One parameter of all networks."""

    values: Tensor
    """(K, *shape), a leaf of the autograd graph."""
    gradient: Tensor
    """(K, *shape), memory of its gradient."""


@dataclass(frozen=True)
class FlatParameters:
    """Parameters and gradients of K networks, which are views of two tensors.

    Do not set the networks' gradients to None outside `few_launches.fresh_gradients`, and do not move or cast the
    networks. Their parameters would leave the rows.
    """

    values: Tensor
    """(K, P) float32, a row per network. P includes padding between parameters, which stays 0."""
    gradients: Tensor
    """(K, P) float32, with the same layout. `backward` adds to it."""
    spans: tuple[ParameterSpan, ...]
    matrices: tuple[str, ...] = ()
    """Names of the parameters with several dimensions, frozen ones included. The last is that of the last layer."""

    def rows(self, start: int, stop: int) -> FlatParameters:
        """View of networks `start` to `stop` - 1."""
        return FlatParameters(self.values[start:stop], self.gradients[start:stop], self.spans, self.matrices)

    def stacked_parameters(self) -> dict[str, StackedParameter]:
        """Each parameter of all networks as one tensor, by name."""
        members, width = self.values.shape
        found = {}
        for span in self.spans:
            # The rows are `width` apart, so a stride over them reaches the same parameter of each network.
            values, gradient = (
                tensor.as_strided((members, *span.shape), (width, *span.stride), tensor.storage_offset() + span.offset)
                for tensor in (self.values, self.gradients)
            )
            found[span.name] = StackedParameter(values.requires_grad_(), gradient)
        return found

    def strides(self) -> list[list[int]]:
        """Stride of each parameter in its row. It depends on the memory format of the networks."""
        return [list(span.stride) for span in self.spans]

    def from_layout(self, row: Tensor, strides: Sequence[Sequence[int]]) -> Tensor:
        """Convert a row (1, P) whose parameters have `strides` to this layout.

        Raises:
            ValueError: strides of other parameters.
        """
        if [len(stride) for stride in strides] != [len(span.stride) for span in self.spans]:
            raise ValueError("the row belongs to networks with other parameters")
        moved = torch.zeros_like(row)
        for span, stride in zip(self.spans, strides, strict=True):
            target = moved.as_strided(span.shape, span.stride, span.offset)
            target.copy_(row.as_strided(span.shape, tuple(stride), span.offset))
        return moved

    def zero_gradients(self) -> None:
        """Set every gradient to 0 in target."""
        self.gradients.zero_()


def flatten_parameters(modules: Sequence[nn.Module]) -> FlatParameters:
    """Move the trainable parameters of K networks into one tensor and make each parameter a view of it.

    A parameter object that is used twice is stored once. Frozen parameters and buffers stay where they are. Device and
    memory format are kept.

    Raises:
        ValueError: no network or no trainable parameter. Parameters that are not float32 or not all on one device.
            Networks of different architectures, or that share parameters.
    """
    if not modules:
        raise ValueError("no network to flatten; a cohort has at least one")
    spans = _spans_of(modules[0])
    rows = [[p for p in module.parameters() if p.requires_grad] for module in modules]
    device = _check_parameters(modules, rows, spans)

    # Only the memory of a parameter changes, not the object, so tied weights and references to it stay valid.
    last = spans[-1]
    width = _aligned(last.offset + math.prod(last.shape))
    values = torch.zeros(len(rows), width, device=device)  # (K, P)
    gradients = torch.zeros_like(values)
    with torch.no_grad():
        for k, row in enumerate(rows):
            for span, parameter in zip(spans, row, strict=True):
                start = k * width + span.offset
                view = values.as_strided(span.shape, span.stride, start)
                gradient = gradients.as_strided(span.shape, span.stride, start)
                view.copy_(parameter)
                if parameter.grad is not None:
                    gradient.copy_(parameter.grad)
                parameter.data = view
                parameter.grad = gradient
    matrices = tuple(name for name, parameter in modules[0].named_parameters() if parameter.dim() > 1)
    return FlatParameters(values, gradients, spans, matrices)


def _check_parameters(
    modules: Sequence[nn.Module], rows: Sequence[Sequence[nn.Parameter]], spans: tuple[ParameterSpan, ...]
) -> torch.device:
    """Device of the parameters. Raises as `flatten_parameters`."""
    if not spans:
        raise ValueError(f"{type(modules[0]).__name__} has no trainable parameter")
    for k, module in enumerate(modules):
        if _spans_of(module) != spans:
            raise ValueError(f"network {k} of the cohort has other parameters than network 0")
    everything = [parameter for row in rows for parameter in row]
    if len({id(parameter) for parameter in everything}) < len(everything):
        raise ValueError("two networks of the cohort share a parameter; build each network separately")
    devices = {parameter.device for parameter in everything}
    if len(devices) > 1:
        raise ValueError(f"parameters on several devices ({', '.join(sorted(map(str, devices)))}); use one")
    for span, parameter in zip(spans * len(rows), everything, strict=True):
        if parameter.dtype != torch.float32:
            raise ValueError(f"{span.name} is {parameter.dtype}; trainable parameters must be torch.float32")
    return devices.pop()


def _spans_of(module: nn.Module) -> tuple[ParameterSpan, ...]:
    """Span of each trainable parameter in a row."""
    spans, offset = [], 0
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            # empty_like gives the strides of a dense copy in the parameter's own memory format.
            stride = torch.empty_like(parameter, device="meta").stride()
            spans.append(ParameterSpan(name, offset, tuple(parameter.shape), stride))
            offset = _aligned(offset + parameter.numel())
    return tuple(spans)


def _aligned(count: int) -> int:
    return math.ceil(count / ALIGNMENT) * ALIGNMENT
