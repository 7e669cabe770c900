"""Cohort: K networks of one architecture, their optimizer and schedule, and the state of each member."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, UntypedStorage, nn

from cifar_lab.models.flat_parameters import FlatParameters
from cifar_lab.models.freezing import stand_still
from cifar_lab.models.hidden_state import hidden_state, load_hidden_state
from cifar_lab.store.records import EpochMetrics, SplitScore
from cifar_lab.training.stages import EVERY_EPOCH, Stage

if TYPE_CHECKING:
    from cifar_lab.training.averaging import WeightAverage
    from cifar_lab.training.held_parameters import HeldParameters
    from cifar_lab.training.optim.factory import MixedOptimizer
    from cifar_lab.training.optim.from_torch import TorchRule
    from cifar_lab.training.optim.optimizers import CohortOptimizer
    from cifar_lab.training.optim.schedules import CohortSchedule
    from cifar_lab.training.unused_parameters import GradientWatch


class Stacked(Protocol):
    """K networks as one, see `models.stacked`."""

    def __call__(self, images: Tensor) -> Tensor:
        """images (K, B, 3, 32, 32) to logits (K, B, classes)."""

    def backward(self, loss: Tensor) -> None:
        """Overwrite the gradients of all networks with those of `loss`."""

    def train(self, mode: bool = True) -> object:
        """Set training or evaluation mode."""


def own_copy(tensor: Tensor) -> Tensor:
    """Copy of one tensor on the CPU."""
    return tensor.detach().to("cpu", copy=True)


class SharedTransfer:
    """Copies of tensors on the CPU. The memory behind them is transferred once, however many tensors are its parts."""

    def __init__(self) -> None:
        self._copies: dict[int, tuple[UntypedStorage, UntypedStorage]] = {}
        """Memory on the device and its copy, by address. It is held, or other tensors could take its address."""

    def __call__(self, tensor: Tensor) -> Tensor:
        """A copy with its own memory."""
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_conj() or tensor.is_neg():
            return own_copy(tensor)
        storage = tensor.untyped_storage()
        if (held := self._copies.get(storage.data_ptr())) is None:
            held = self._copies[storage.data_ptr()] = storage, storage.cpu()  # type: ignore[no-untyped-call]
        part = torch.empty(0, dtype=tensor.dtype)
        return part.set_(held[1], tensor.storage_offset(), tensor.shape, tensor.stride()).clone()


@dataclass(frozen=True)
class Cohort:
    """K networks of one architecture, with optimizer and schedule."""

    networks: Sequence[nn.Module]
    parameters: FlatParameters
    optimizer: CohortOptimizer | MixedOptimizer | TorchRule
    schedule: CohortSchedule
    stacked: Stacked | None = None
    """The same networks and parameters in one pass. None runs them one after the other."""
    watch: GradientWatch | None = None
    """Notes which parameters take part in a step. Only custom models have parameters that may not."""
    aux_weights: tuple[float, ...] = ()
    """Weight in the loss of each auxiliary output."""
    stage: Stage = EVERY_EPOCH
    """Epochs in which these parameters train, and the modules that stand still."""
    average: WeightAverage | None = None
    """Average of the weights over the steps."""
    held: HeldParameters | None = None
    """Parameters that are not trained in all epochs. None where all are."""
    tails: tuple[nn.Module, ...] = ()
    """The networks from the features of their frozen layers on. Empty where a step begins at the images."""

    @property
    def forwards(self) -> Sequence[nn.Module]:
        """Modules that a step calls, per member."""
        return self.tails or self.networks

    def state(self, member: int) -> dict[str, Any]:
        """CPU copy of all state that later steps of one member depend on, as if it had trained alone.

        Random streams are derived from seed and epoch, so they are not saved.
        """
        return self._state(member, own_copy)

    def states(self, members: Iterable[int]) -> list[dict[str, Any]]:
        """The same of several members. What they share on the device is transferred once."""
        shared = SharedTransfer()
        return [self._state(member, shared) for member in members]

    def _state(self, member: int, to_cpu: Callable[[Tensor], Tensor]) -> dict[str, Any]:
        """`to_cpu` makes a new copy, because a view would be saved with the memory of the whole cohort."""
        weights, moments = self.networks[member].state_dict(), self.optimizer.parts(member)
        return {
            "networks": [{name: to_cpu(tensor) for name, tensor in weights.items()}],
            "optimizer": {
                name: to_cpu(value) if isinstance(value, Tensor) else value for name, value in moments.items()
            },
            "strides": self.parameters.strides(),
            "schedule": self.schedule.state(member),
            **({} if self.watch is None else {"hidden": hidden_state(self.networks[member])}),
            **({} if self.average is None else {"average": self._average_state(member, to_cpu)}),
        }

    def _average_state(self, member: int, to_cpu: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
        assert self.average is not None
        return {name: to_cpu(tensor) for name, tensor in self.average.parts(member).items()}

    def update(self, lr: Tensor, momentum: Tensor | None) -> None:
        """Update every member once from its gradients."""
        if self.watch is None:
            self.optimizer.step(lr, momentum)
        else:
            self.watch.step(self.optimizer, lr, momentum)
        self.after_step()

    def after_step(self) -> None:
        """Set back the parameters that are no longer trained, and take the weights into their average."""
        if self.held is not None:
            self.held.restore()
        if self.average is not None:
            self.average.step()

    def load_state(self, member: int, state: dict[str, Any], *, anew: bool = False) -> None:
        """Restore one member from `state`.

        Args:
            anew: leave the optimizer and the average as they are, because other parameters trained before.

        Raises:
            KeyError, ValueError, RuntimeError: a part is missing or does not fit.
        """
        (weights,) = state["networks"]
        self.networks[member].load_state_dict(weights)
        load_hidden_state(self.networks[member], state.get("hidden", {}))
        self.schedule.load_state(member, state["schedule"])
        if anew:
            return
        strides = state.get("strides", self.parameters.strides())
        self.optimizer.load_state(member, self._in_layout(state["optimizer"], strides))
        if self.average is not None:
            self.average.load_state(member, self._in_layout(state["average"], strides))

    def _in_layout(self, rows: dict[str, Any], strides: list[list[int]]) -> dict[str, Any]:
        """Rows of networks in another memory format, stacked or not, in the layout of these."""
        if strides == self.parameters.strides():
            return rows
        shape = (1, self.parameters.values.shape[1])
        return {
            name: self.parameters.from_layout(value, strides)
            if isinstance(value, Tensor) and value.shape == shape
            else value
            for name, value in rows.items()
        }

    def begin_epoch(self, epoch: int) -> None:
        """Prepare the steps of an epoch, counted from 0."""
        self.train_mode()
        if self.held is not None:
            self.held.begin(epoch)

    def train_mode(self) -> None:
        """Set all networks to training mode, without the modules that stand still."""
        for network in self.networks:
            network.train()
            stand_still(network, self.stage.still)
        if self.stacked is not None:
            self.stacked.train()

    def evaluation_mode(self) -> None:
        """Set all networks to evaluation mode."""
        for network in self.networks:
            network.eval()
        if self.stacked is not None:
            self.stacked.train(False)


@dataclass
class Member:
    """Progress of one run of a cohort."""

    history: list[EpochMetrics] = field(default_factory=list)
    diverged: str | None = None
    """First non-finite number, as text for the record. None while all are finite."""
    val: SplitScore | None = None
    """Validation score after the last epoch of `history`. None if it was not scored in this process."""
