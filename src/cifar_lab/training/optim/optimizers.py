"""SGD, Adam and AdamW for a cohort: torch's update rules with separate hyper-parameters per member.

On the CPU torch's fused kernel updates one row after the other: one pass over a row that stays in the cache. Elsewhere
vector operations update all rows at once, with hyper-parameters of shape (K, 1). They never synchronise the device, so
a CUDA graph can capture them. Rows of large networks have torch's fused kernel there too, with the learning rate as a
tensor. A step leaves `gradients` undefined.

On the CPU a member gets the same bits alone and in any cohort, equal to torch's `fused=True` optimizers on the flat
row, or on its parts if `optimizer.groups` gives them other values. A momentum that a schedule moves to exactly 0 leaves
the buffer unchanged on the CPU, as in torch. Elsewhere the buffer takes the gradient.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from cifar_lab import config
from cifar_lab.models.flat_parameters import FlatParameters
from cifar_lab.training.optim.clipping import GradientClipper
from cifar_lab.training.optim.parameter_groups import GroupValues, RowGroups, row_groups

FUSED_NUMBERS = 1_000_000
"""Numbers of a row from which on a GPU has one fused kernel per row, and not vector operations on all rows. With
momentum and weight decay, those of SGD read or write each number of a network 11 times, and the fused kernel 5 times.
For smaller rows launches cost more than memory, and a cohort of any size has the same number of vector operations."""


class CohortOptimizer(ABC):
    """Updates the parameters of K networks in place from their gradients."""

    has_fused_rows = False
    """Whether `_step_rows` takes learning rates as tensors, so that no number leaves the device."""

    def __init__(
        self, settings: Sequence[config.OptimizerOptions], parameters: FlatParameters, stacked: bool,
        groups: RowGroups | None = None,
    ) -> None:  # fmt: skip
        """`groups`: values of the parameters. None is those of the settings."""
        self._given = tuple(settings)
        self._values, self._gradients = parameters.values, parameters.gradients
        self._stacked = stacked
        self._groups = row_groups(settings, parameters) if groups is None else groups
        self._weight_decay = self._groups.weight_decays()
        """float64: (K, P), or (K, 1) where each row has one."""
        self._lr_factors = self._groups.lr_factors()
        self._clipper = GradientClipper(settings, self._gradients)
        self._memory: dict[str, Tensor] = {}
        """State between steps. The first dimension of each tensor is K."""

    def __len__(self) -> int:
        return len(self._values)

    def step(self, lr: Tensor, momentum: Tensor | None = None) -> None:
        """Update every member once.

        Args:
            lr: (K, 1), learning rate of each member in this step, on the device of the parameters.
            momentum: (K, 1) or None. Replaces SGD's momentum or Adam's first beta in this step. NaN keeps the member's
                setting.
        """
        with torch.no_grad():
            if self._stacked:
                if self._clipper.needed:
                    self._clipper.clip_stacked()
                if momentum is None and self.has_fused_rows and self._values.shape[1] >= FUSED_NUMBERS:
                    self._step_rows(lr.flatten().unbind(), [None] * len(self))
                else:
                    self._step_stacked(lr, momentum)
            else:
                given = [math.nan] * len(self._values) if momentum is None else momentum.flatten().tolist()
                self.step_rows(lr.flatten().tolist(), given)

    def step_rows(self, lr: Sequence[float], momentum: Sequence[float]) -> None:
        """`step` of networks that are not stacked, where gradients are off already. NaN keeps the member's momentum."""
        if self._clipper.needed:
            self._clipper.clip_rows()
        self._step_rows(lr, [None if math.isnan(each) else each for each in momentum])

    def state(self, member: int) -> dict[str, Tensor]:
        """Copy of one member's state, one row per tensor. Its parameters are not included."""
        return {name: tensor.clone() for name, tensor in self.parts(member).items()}

    def parts(self, member: int) -> dict[str, Tensor]:
        """Views of what `state` copies."""
        return {name: tensor[member : member + 1] for name, tensor in self._memory.items()}

    def rows(self, member: int) -> list[Tensor]:
        """One member's rows of the state that has a number per parameter."""
        return [tensor[member] for tensor in self._memory.values() if tensor.shape == self._values.shape]

    def settings_of(self, member: int) -> config.OptimizerOptions:
        """Settings of one member, in whose groups are the rates of its layers."""
        return self._given[member]

    def load_state(self, member: int, state: dict[str, Tensor]) -> None:
        """Restore one member's state in place.

        Raises:
            ValueError: a part is missing, unknown, or of another shape or type.
        """
        if state.keys() != self._memory.keys():
            raise ValueError(f"optimizer state has {_names(state)}, expected {_names(self._memory)}")
        rows = self.parts(member)
        for name, row in rows.items():
            if state[name].shape != row.shape or state[name].dtype != row.dtype:
                raise ValueError(
                    f"optimizer state: {name} is {state[name].dtype} {tuple(state[name].shape)}, "
                    f"expected {row.dtype} {tuple(row.shape)}"
                )
        for name, row in rows.items():
            row.copy_(state[name])

    @abstractmethod
    def _step_rows(self, lr: Sequence[float | Tensor], momentum: Sequence[float | None]) -> None:
        """Update one member after the other. Learning rates are numbers where `has_fused_rows` is false."""

    @abstractmethod
    def _step_stacked(self, lr: Tensor, momentum: Tensor | None) -> None:
        """Update all members at once, without synchronising the device."""

    def _parts(self, *tensors: Tensor) -> list[list[RowPart]]:
        """Parts of each row with their views of `tensors`, (K, P) each."""
        return [
            [
                RowPart(values, [[tensor[member, where] for where in segments] for tensor in tensors])
                for values, segments in self._groups.parts(member)
            ]
            for member in range(len(self))
        ]

    def _rates(self, lr: Tensor, rows: slice = slice(None)) -> Tensor:
        """Learning rate of each number of the rows, (K, P), from that of each member, (K, 1). (K, 1) without groups."""
        return lr if self._lr_factors is None else lr * self._lr_factors[rows]

    def _column(self, numbers: Sequence[float]) -> Tensor:
        """One number per member, (K, 1) float64, so products of hyper-parameters are rounded to float32 only once."""
        return torch.tensor(numbers, dtype=torch.float64, device=self._values.device).unsqueeze(1)


class RowPart(NamedTuple):
    """Parameters of one row that have equal values."""

    values: GroupValues
    views: list[list[Tensor]]
    """Of each tensor, one view per segment."""


class CohortSGD(CohortOptimizer):
    """torch.optim.SGD: buf = momentum · buf + g, w = w - lr · buf, or w - lr · (g + momentum · buf) with nesterov.

    A buffer that begins as 0 gives torch's first step, buf = g.
    """

    has_fused_rows = True

    def __init__(
        self, settings: Sequence[config.SGD], parameters: FlatParameters, stacked: bool,
        groups: RowGroups | None = None,
    ) -> None:  # fmt: skip
        super().__init__(settings, parameters, stacked, groups)
        self._settings = tuple(settings)
        self._buffer = torch.zeros_like(self._values)  # (K, P)
        self._memory = {"momentum_buffer": self._buffer}
        self._rows = self._parts(self._values, self._gradients, self._buffer)
        self._momentum = self._column([s.momentum for s in settings])
        self._nesterov = torch.tensor([[s.nesterov] for s in settings], device=self._values.device)
        self._decay = self._weight_decay.float()
        self._any_decay = bool(self._weight_decay.any())
        self._any_momentum = any(s.momentum for s in settings)
        self._any_nesterov = any(s.nesterov for s in settings)

    def _step_rows(self, lr: Sequence[float | Tensor], momentum: Sequence[float | None]) -> None:
        for settings, parts, rate, override in zip(self._settings, self._rows, lr, momentum, strict=True):
            for values, (value, gradient, buffer) in parts:
                own = settings.momentum if override is None else override
                # The kernel of torch.optim.SGD itself. Its wrapper takes longer than the update of a small head.
                torch._fused_sgd_(
                    value, gradient, buffer if own else [], lr=_scaled(rate, values.lr_factor), momentum=own,
                    weight_decay=values.weight_decay, nesterov=settings.nesterov, dampening=0.0, maximize=False,
                    is_first_step=False, grad_scale=None, found_inf=None,
                )  # fmt: skip

    def _step_stacked(self, lr: Tensor, momentum: Tensor | None) -> None:
        update = self._gradients
        if self._any_decay:
            update.addcmul_(self._values, self._decay)
        if momentum is not None or self._any_momentum:
            momentum = given_or_own(momentum, self._momentum).float()
            self._buffer.mul_(momentum).add_(update)
            if self._any_nesterov:
                update.addcmul_(self._buffer, momentum)
                update = torch.where(self._nesterov, update, self._buffer)
            else:
                update = self._buffer
        self._values.addcmul_(update, self._rates(lr).float(), value=-1)


class CohortAdam(CohortOptimizer):
    """torch.optim.Adam without AMSGrad."""

    has_fused_rows = True
    _decoupled = False
    """Whether weight decay acts on the weights and not through the gradient."""

    def __init__(
        self,
        settings: Sequence[config.Adam],
        parameters: FlatParameters,
        stacked: bool,
        groups: RowGroups | None = None,
    ) -> None:
        super().__init__(settings, parameters, stacked, groups)
        self._settings = tuple(settings)
        self._mean = torch.zeros_like(self._values)  # (K, P)
        self._square = torch.zeros_like(self._values)  # (K, P)
        # float32 as in torch's kernels: exact to 16,777,216 steps.
        self._steps = torch.zeros(len(settings), 1, device=self._values.device)
        self._memory = {"step": self._steps, "exp_avg": self._mean, "exp_avg_sq": self._square}
        self._rows = self._parts(self._values, self._gradients, self._mean, self._square)
        self._beta1 = self._column([s.betas[0] for s in settings])
        self._beta2 = self._column([s.betas[1] for s in settings])
        self._eps = self._column([s.eps for s in settings]).float()
        self._any_decay = bool(self._weight_decay.any())
        self._work = torch.empty_like(self._values) if stacked else None  # (K, P)

    def _step_rows(self, lr: Sequence[float | Tensor], momentum: Sequence[float | None]) -> None:
        update = torch._fused_adamw_ if self._decoupled else torch._fused_adam_  # the kernels of torch.optim
        self._steps.add_(1)
        members = zip(self._settings, self._rows, self._steps.flatten(), lr, momentum, strict=True)
        for settings, parts, step, rate, override in members:
            for values, (value, gradient, mean, square) in parts:
                update(
                    value, gradient, mean, square, [], [step] * len(value), lr=_scaled(rate, values.lr_factor),
                    beta1=settings.betas[0] if override is None else override, beta2=settings.betas[1],
                    weight_decay=values.weight_decay, eps=settings.eps, amsgrad=False, maximize=False,
                    grad_scale=None, found_inf=None,
                )  # fmt: skip

    def _step_stacked(self, lr: Tensor, momentum: Tensor | None) -> None:
        assert self._work is not None
        gradient, work, lr = self._gradients, self._work, self._rates(lr.double())
        beta1 = given_or_own(momentum, self._beta1)
        self._steps.add_(1)
        if self._any_decay:
            if self._decoupled:
                self._values.mul_((1 - lr * self._weight_decay).float())
            else:
                gradient.addcmul_(self._values, self._weight_decay.float())
        self._mean.lerp_(gradient, (1 - beta1).float())
        torch.mul(gradient, (1 - self._beta2).float(), out=work)
        self._square.mul_(self._beta2.float()).addcmul_(work, gradient)
        # As in torch: the powers in float64, for near 1 float32 loses the first steps' correction.
        steps = self._steps.double()
        step_size = (lr / (1 - beta1**steps)).float()
        torch.sqrt(self._square, out=work)
        work.div_((1 - self._beta2**steps).sqrt().float()).add_(self._eps)
        torch.div(self._mean, work, out=work)
        self._values.addcmul_(work, step_size, value=-1)


class CohortAdamW(CohortAdam):
    """torch.optim.AdamW without AMSGrad."""

    _decoupled = True


def _scaled(rate: float | Tensor, factor: float) -> float | Tensor:
    """Learning rate of a group. A factor of 1 costs a GPU no launch."""
    return rate if factor == 1 else rate * factor


def given_or_own(given: Tensor | None, own: Tensor) -> Tensor:
    """(K, 1) float64."""
    return own if given is None else torch.where(given.isnan(), own, given.double())


def _names(state: dict[str, Tensor]) -> str:
    return ", ".join(sorted(state)) or "nothing"
