"""Muon for a cohort: orthogonalised momentum for the matrices of all layers but the last, another rule for the rest.

The other rule has the same rows, with a learning rate of 0 for the matrices. On the CPU the rows are updated one after
the other. Elsewhere the matrices that all members have of a layer are one batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from cifar_lab import config
from cifar_lab.core.errors import SettingsError
from cifar_lab.models.flat_parameters import FlatParameters, ParameterSpan
from cifar_lab.training.optim.newton_schulz import orthogonalised
from cifar_lab.training.optim.optimizers import CohortAdam, CohortAdamW, CohortOptimizer, CohortSGD, given_or_own
from cifar_lab.training.optim.parameter_groups import GroupValues, group_values, groups_of

Orthogonalise = Callable[[Tensor, int], Tensor]
"""`orthogonalised`, or another form of it."""


@dataclass(frozen=True)
class Matrix:
    """A parameter that is updated as a matrix (outputs, inputs)."""

    number: int
    """Position among the parameters."""
    span: ParameterSpan

    @property
    def scale(self) -> float:
        """Factor of the update: sqrt(outputs / inputs), the spectral scale of arXiv:2310.17813."""
        outputs, *inputs = self.span.shape
        return math.sqrt(outputs / math.prod(inputs))

    def of(self, rows: Tensor) -> Tensor:
        """View of the parameter: (K, *shape) of rows (K, P), or its shape of one row (P)."""
        shape, stride = (*rows.shape[:-1], *self.span.shape), (*rows.stride()[:-1], *self.span.stride)
        return rows.as_strided(shape, stride, rows.storage_offset() + self.span.offset)

    def direction(self, update: Tensor, steps: int, orthogonalise: Orthogonalise = orthogonalised) -> Tensor:
        """Orthogonalised `update`, in its shape, with the scale."""
        outputs = update.dim() - len(self.span.shape)
        return orthogonalise(update.flatten(outputs + 1), steps).view(update.shape).mul_(self.scale)


def matrices_of(parameters: FlatParameters) -> list[Matrix]:
    """Trained parameters with several dimensions, without the last of the network in the order of its definition.

    Raises:
        SettingsError: the network has no other. All of them may be frozen.
    """
    *others, _ = parameters.matrices or ("",)
    if not others:
        raise SettingsError(
            "optimizer.name: muon updates the matrices of all layers but the last, and this network has none; choose "
            "another optimizer"
        )
    return [Matrix(number, span) for number, span in enumerate(parameters.spans) if span.name in set(others)]


class _Update(NamedTuple):
    """Views of a matrix in one row."""

    matrix: Matrix
    values: GroupValues
    value: Tensor
    gradient: Tensor
    buffer: Tensor


class _StackedUpdate(NamedTuple):
    """Views of a matrix in all rows, (K, *shape), and its values, (K, 1, …)."""

    matrix: Matrix
    lr_factors: Tensor
    weight_decays: Tensor
    value: Tensor
    gradient: Tensor
    buffer: Tensor


class CohortMuon(CohortOptimizer):
    """buf ← m · buf + (1 − m) · g, u = (1 − m) · g + m · buf with nesterov or buf, w ← w − lr · (NS(u) + decay · w)."""

    def __init__(self, settings: Sequence[config.Muon], parameters: FlatParameters, stacked: bool) -> None:
        """All members have the same rule for `others`, and equally many iterations.

        Raises:
            SettingsError: a network without a matrix beside its last layer.
        """
        super().__init__(settings, parameters, stacked)
        self._settings = tuple(settings)
        self._matrices = matrices_of(parameters)
        self._buffer = torch.zeros_like(self._values)  # (K, P)
        self._others = _others(settings, parameters, self._matrices, stacked)
        self._memory = {"momentum_buffer": self._buffer}
        self._memory |= {f"others.{name}": tensor for name, tensor in self._others._memory.items()}
        self._ratios = [each.others.lr / each.lr for each in settings]
        self._ratio = self._column(self._ratios)
        self._momentum = self._column([each.momentum for each in settings])
        self._nesterov = torch.tensor([[each.nesterov] for each in settings], device=self._values.device)
        names = [span.name for span in parameters.spans]
        values = [group_values(each, names) for each in settings]
        self._rows = [list(self._updates(member, each)) for member, each in enumerate(values)]
        self._layers = [self._layer(matrix, values) for matrix in self._matrices] if stacked else []
        self.orthogonalise: Orthogonalise = orthogonalised
        """Of one matrix, for rows."""

    def _updates(self, member: int, values: Sequence[GroupValues]) -> Iterator[_Update]:
        rows = self._values[member], self._gradients[member], self._buffer[member]
        for matrix in self._matrices:
            if values[matrix.number].lr_factor:
                yield _Update(matrix, values[matrix.number], *map(matrix.of, rows))

    def _layer(self, matrix: Matrix, values: Sequence[Sequence[GroupValues]]) -> _StackedUpdate:
        of_matrix = [each[matrix.number] for each in values]
        factors = self._column([each.lr_factor for each in of_matrix])
        decays = self._column([each.weight_decay for each in of_matrix])
        rows = self._values, self._gradients, self._buffer
        return _StackedUpdate(matrix, factors, decays, *map(matrix.of, rows))

    def _step_rows(self, lr: Sequence[float | Tensor], momentum: Sequence[float | None]) -> None:
        rates = [float(rate) for rate in lr]
        for settings, updates, rate, given in zip(self._settings, self._rows, rates, momentum, strict=True):
            kept = settings.momentum if given is None else given
            for matrix, values, value, gradient, buffer in updates:
                buffer.lerp_(gradient, 1 - kept)
                update = gradient.lerp_(buffer, kept) if settings.nesterov else buffer
                step = rate * values.lr_factor
                value.mul_(1 - step * values.weight_decay)
                value.add_(matrix.direction(update, settings.ns_steps, self.orthogonalise), alpha=-step)
        self._others._step_rows([rate * ratio for rate, ratio in zip(rates, self._ratios, strict=True)], momentum)

    def _step_stacked(self, lr: Tensor, momentum: Tensor | None) -> None:
        lr, kept = lr.double(), given_or_own(momentum, self._momentum).float()
        steps = self._settings[0].ns_steps
        for matrix, factors, decays, value, gradient, buffer in self._layers:
            ones = [1] * (value.dim() - 2)
            keep, nesterov = kept.view(-1, 1, *ones), self._nesterov.view(-1, 1, *ones)
            buffer.lerp_(gradient, 1 - keep)
            update = torch.where(nesterov, gradient.lerp(buffer, keep), buffer)
            step = lr * factors  # (K, 1)
            value.mul_((1 - step * decays).float().view(-1, 1, *ones))
            value.addcmul_(matrix.direction(update, steps), step.float().view(-1, 1, *ones), value=-1)
        self._others._step_stacked(lr * self._ratio, momentum)


def _others(
    settings: Sequence[config.Muon], parameters: FlatParameters, matrices: Sequence[Matrix], stacked: bool
) -> CohortOptimizer:
    """Optimizer of the parameters that are no matrices. It leaves the matrices alone."""
    names, taken = [span.name for span in parameters.spans], {matrix.number for matrix in matrices}
    values = [
        [
            GroupValues(0.0, 0.0) if number in taken else value
            for number, value in enumerate(group_values(each, names, each.others.weight_decay))
        ]
        for each in settings
    ]
    groups = groups_of(values, parameters)
    rule = settings[0].others.name
    given = [each.others.model_dump() for each in settings]
    if rule == "sgd":
        return CohortSGD([config.SGD(**each) for each in given], parameters, stacked, groups)
    if rule == "adam":
        return CohortAdam([config.Adam(**each) for each in given], parameters, stacked, groups)
    return CohortAdamW([config.AdamW(**each) for each in given], parameters, stacked, groups)
