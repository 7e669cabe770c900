"""Parameters that take no part in a step: left as they are, as torch leaves a parameter whose gradient is None."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING

from torch import Tensor, nn

from cifar_lab.models.flat_parameters import FlatParameters

if TYPE_CHECKING:
    from cifar_lab.training.optim.factory import MixedOptimizer
    from cifar_lab.training.optim.from_torch import TorchRule
    from cifar_lab.training.optim.optimizers import CohortOptimizer


class GradientWatch:
    """Hooks that note which parameters of K networks get a gradient in a step."""

    def __init__(self, networks: Sequence[nn.Module], parameters: FlatParameters) -> None:
        self._values = parameters.values
        self._spans = [(span.offset, span.offset + prod(span.shape)) for span in parameters.spans]
        self._used: list[set[int]] = [set() for _ in networks]
        for used, network in zip(self._used, networks, strict=True):
            trainable = (parameter for parameter in network.parameters() if parameter.requires_grad)
            for number, parameter in enumerate(trainable):
                parameter.register_post_accumulate_grad_hook(_Note(used, number))  # type: ignore[no-untyped-call]

    def step(
        self, optimizer: CohortOptimizer | MixedOptimizer | TorchRule, lr: Tensor, momentum: Tensor | None
    ) -> None:
        """Update every parameter that got a gradient since the last step."""
        kept = []
        for member, used in enumerate(self._used):
            for start, stop in (span for number, span in enumerate(self._spans) if number not in used):
                rows = [self._values[member], *optimizer.rows(member)]
                kept += [(row[start:stop], row[start:stop].clone()) for row in rows]
            used.clear()
        optimizer.step(lr, momentum)
        for span, before in kept:
            span.copy_(before)


class _Note:
    """Hook of one parameter."""

    def __init__(self, used: set[int], number: int) -> None:
        self._used, self._number = used, number

    def __call__(self, parameter: Tensor) -> None:
        self._used.add(self._number)


def is_note(hook: object) -> bool:
    """Whether a hook of a parameter is that of a `GradientWatch`."""
    return isinstance(hook, _Note)
