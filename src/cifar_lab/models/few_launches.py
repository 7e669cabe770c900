"""Parts of a step that a GPU makes for all layers at once: gradients, weights in low precision, counts of batches.

Forward and backward pass of ResNet18 in bf16 are 273 operations. Made layer by layer, these parts are 126 of them. Made
at once, they are four. The numbers are the same to the bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from cifar_lab.models.convolutions import CroppedConv2d
from cifar_lab.models.flat_parameters import FlatParameters

CAST_BY_AUTOCAST = (nn.Conv2d, CroppedConv2d, nn.Linear)
"""Layers that autocast executes in low precision, with all their parameters."""


@contextmanager
def fresh_gradients(
    parameters: FlatParameters, networks: Sequence[nn.Module], low: torch.dtype | None = None
) -> Iterator[None]:
    """Let the block's `backward` make gradients, and copy them to those of `parameters` at once.

    Adding each gradient to zeros takes a kernel per parameter, 62 of ResNet18.

    Args:
        low: precision of autocast in the block. The weights of the networks' own layers then have it, cast by one
            kernel, and so have their gradients. Autocast casts each weight and each gradient by itself.
    """
    own = [parameter for network in networks for parameter in network.parameters() if parameter.requires_grad]
    views = [parameter.grad for parameter in own]
    for parameter in own:
        parameter.grad = None
    try:
        with _weights_in(low, parameters, networks) as casts:
            yield
        made = [_gradient(parameter, casts) for parameter in own]
    finally:
        for parameter, view in zip(own, views, strict=True):
            parameter.grad = view
    pairs = [(view, grad) for view, grad in zip(views, made, strict=True) if view is not None and grad is not None]
    if len(pairs) < len(own):  # a parameter took no part in the loss
        parameters.zero_gradients()
    for dtype in {grad.dtype for _, grad in pairs}:  # torch's kernel copies from one type
        of_type = [(view, grad) for view, grad in pairs if grad.dtype == dtype]
        torch._foreach_copy_([view for view, _ in of_type], [grad for _, grad in of_type])


def _gradient(parameter: Tensor, casts: Mapping[int, Tensor]) -> Tensor | None:
    """Gradient of a parameter, or of its cast if the network was computed with that."""
    cast = casts.get(id(parameter))
    return parameter.grad if cast is None or cast.grad is None else cast.grad


@contextmanager
def _weights_in(
    low: torch.dtype | None, parameters: FlatParameters, networks: Sequence[nn.Module]
) -> Iterator[dict[int, Tensor]]:
    """Trained weights of convolutions and linear layers in low precision. Yields them by the id of the parameter."""
    casts: dict[int, Tensor] = {}
    if low is None:
        yield casts
        return
    rows = parameters.values.detach().to(low)
    for network, row in zip(networks, rows, strict=True):
        own = (parameter for parameter in network.parameters() if parameter.requires_grad)
        for parameter, span in zip(own, parameters.spans, strict=True):
            place = row.storage_offset() + span.offset
            casts[id(parameter)] = row.as_strided(span.shape, span.stride, place).requires_grad_()
    replaced = [
        (module, name, parameter)
        for network in networks
        for module in network.modules()
        if type(module) in CAST_BY_AUTOCAST
        for name, parameter in module.named_parameters(recurse=False)
        if id(parameter) in casts
    ]
    for module, name, parameter in replaced:
        module._parameters[name] = casts[id(parameter)]  # type: ignore[assignment]
    try:
        yield {id(parameter): casts[id(parameter)] for _, _, parameter in replaced}
    finally:
        for module, name, parameter in replaced:
            module._parameters[name] = parameter


@contextmanager
def counted_at_once(networks: Sequence[nn.Module]) -> Iterator[None]:
    """Add the batch of the block to the counts of all BatchNorm layers by one kernel. The block calls each once."""
    counting = [
        (module, count)
        for network in networks
        for module in network.modules()
        if isinstance(module, _BatchNorm) and module.training and module.momentum is not None
        if (count := module.num_batches_tracked) is not None
    ]
    for module, _ in counting:
        module.num_batches_tracked = None
    try:
        yield
    finally:
        for module, count in counting:
            module.num_batches_tracked = count
    if counting:
        torch._foreach_add_([count for _, count in counting], 1)
