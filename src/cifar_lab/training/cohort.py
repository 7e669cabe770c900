"""Cohort: K networks of one architecture, their optimizer and schedule, and the state of each member."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor, nn

from cifar_lab.models.flat_parameters import FlatParameters
from cifar_lab.models.freezing import stand_still
from cifar_lab.models.hidden_state import hidden_state, load_hidden_state
from cifar_lab.store.records import EpochMetrics, SplitScore
from cifar_lab.training.stages import EVERY_EPOCH, Stage

if TYPE_CHECKING:
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
    tails: tuple[nn.Module, ...] = ()
    """The networks from the features of their frozen layers on. Empty where a step begins at the images."""

    @property
    def forwards(self) -> Sequence[nn.Module]:
        """What a step calls, per member."""
        return self.tails or self.networks

    def state(self, member: int) -> dict[str, Any]:
        """CPU copy of all state that later steps of one member depend on, as if it had trained alone.

        Random streams are derived from seed and epoch, so they are not saved.
        """
        weights, moments = self.networks[member].state_dict(), self.optimizer.state(member)
        return {
            # Copies of their own: a view would be saved with the memory of the whole cohort.
            "networks": [{name: tensor.detach().to("cpu", copy=True) for name, tensor in weights.items()}],
            "optimizer": {name: value.cpu() if isinstance(value, Tensor) else value for name, value in moments.items()},
            "strides": self.parameters.strides(),
            "schedule": self.schedule.state(member),
            **({} if self.watch is None else {"hidden": hidden_state(self.networks[member])}),
        }

    def update(self, lr: Tensor, momentum: Tensor | None) -> None:
        """Update every member once from its gradients."""
        if self.watch is None:
            self.optimizer.step(lr, momentum)
        else:
            self.watch.step(self.optimizer, lr, momentum)

    def load_state(self, member: int, state: dict[str, Any], *, anew: bool = False) -> None:
        """Restore one member from `state`.

        Args:
            anew: leave the optimizer as it is, because other parameters trained before.

        Raises:
            KeyError, ValueError, RuntimeError: a part is missing or does not fit.
        """
        (weights,) = state["networks"]
        self.networks[member].load_state_dict(weights)
        load_hidden_state(self.networks[member], state.get("hidden", {}))
        self.schedule.load_state(member, state["schedule"])
        if anew:
            return
        moments, strides = state["optimizer"], state.get("strides", self.parameters.strides())
        if strides != self.parameters.strides():  # saved by networks in another memory format: stacked, or not
            width = self.parameters.values.shape[1]
            moments = {
                name: self.parameters.from_layout(value, strides)
                if isinstance(value, Tensor) and value.shape == (1, width)
                else value
                for name, value in moments.items()
            }
        self.optimizer.load_state(member, moments)

    def train_mode(self) -> None:
        """Set all networks to training mode, without the modules that stand still."""
        for network in self.networks:
            network.train()
            stand_still(network, self.stage.still)
        if self.stacked is not None:
            self.stacked.train()


@dataclass
class Member:
    """Progress of one run of a cohort."""

    history: list[EpochMetrics] = field(default_factory=list)
    diverged: str | None = None
    """First non-finite number, as text for the record. None while all are finite."""
    val: SplitScore | None = None
    """Validation score after the last epoch of `history`. None if it was not scored in this process."""
