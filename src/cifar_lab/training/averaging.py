"""Exponential moving average of the weights of a cohort, and its use for an evaluation.

The average is free of the initial weights, as Adam's moments are (arXiv:1412.6980, section 3): after step t the newest
weights have the share (1 − d) / (1 − dᵗ). BatchNorm's statistics are those of the trained weights, so they are computed
again for the average before it is evaluated (arXiv:1803.05407, section 3.2).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from cifar_lab.config import Ema
from cifar_lab.data.resident_split import ResidentSplit
from cifar_lab.models.flat_parameters import FlatParameters
from cifar_lab.training.device import Execution

STATISTICS_IMAGES = 10_000
"""Most training images, without augmentation, over which the statistics are computed."""

STATISTICS_BATCH = 500
"""Images of each batch. The statistics are the means over equal batches, as in `torch.optim.swa_utils.update_bn`."""


class WeightAverage:
    """Averages of the parameters of K networks."""

    def __init__(
        self, settings: Sequence[Ema], networks: Sequence[nn.Module], parameters: FlatParameters, steps_per_epoch: int,
        still: Sequence[str] = (),
    ) -> None:  # fmt: skip
        """`still`: modules whose statistics stay as they are."""
        self.settings, self._still = tuple(settings), tuple(still)
        self._networks, self._values = networks, parameters.values
        self._average = torch.zeros_like(self._values)  # (K, P)
        halves = [each.half_life_epochs * steps_per_epoch for each in settings]
        self._decays = [0.5 ** (1 / steps) for steps in halves]
        device = self._values.device
        self._decay = torch.tensor(self._decays, dtype=torch.float64, device=device).unsqueeze(1)
        # float64, because the powers of a decay near 1 are exact to more steps.
        self._steps = torch.zeros(len(settings), 1, dtype=torch.float64, device=device)
        self._stacked = device.type != "cpu"

    @torch.no_grad()
    def step(self) -> None:
        """Take in the weights after a step. Does not synchronise a GPU."""
        self._steps.add_(1)
        share = (1 - self._decay) / (1 - self._decay**self._steps)
        if self._stacked:
            self._average.lerp_(self._values, share.float())
            return
        for average, values, each in zip(self._average, self._values, share.flatten().tolist(), strict=True):
            average.lerp_(values, each)

    def used(self, *, average: bool) -> list[int]:
        """Members of which `average.use` says that the average counts, or that the last weights do."""
        wanted = "ema" if average else "last"
        return [number for number, each in enumerate(self.settings) if each.use == wanted]

    def parts(self, member: int) -> dict[str, Tensor]:
        """Views of one member's state."""
        return {name: tensor[member : member + 1] for name, tensor in self._memory().items()}

    def load_state(self, member: int, state: dict[str, Tensor]) -> None:
        """Restore one member's state in place.

        Raises:
            ValueError: it is not what `parts` returns.
        """
        memory = self._memory()
        if state.keys() != memory.keys() or any(state[name].shape != memory[name][:1].shape for name in memory):
            raise ValueError("the saved average belongs to another network")
        for name, tensor in memory.items():
            tensor[member : member + 1].copy_(state[name])

    def _memory(self) -> dict[str, Tensor]:
        return {"average": self._average, "steps": self._steps}

    @contextmanager
    def evaluated(self, members: Collection[int], images: ResidentSplit, execution: Execution) -> Iterator[None]:
        """Give these members their averages for a while. Afterwards all is as before, to the bit.

        Args:
            images: those of the training, for the statistics of BatchNorm.
        """
        values = {member: self._values[member].clone() for member in members}
        buffers = {member: _copies(self._networks[member]) for member in members}
        try:
            with torch.no_grad():
                for member in members:
                    self._values[member].copy_(self._average[member])
                    compute_statistics(self._networks[member], images, execution, self._still)
            yield
        finally:
            with torch.no_grad():
                for member in members:
                    self._values[member].copy_(values[member])
                    for buffer, before in buffers[member]:
                        buffer.copy_(before)


def _copies(network: nn.Module) -> list[tuple[Tensor, Tensor]]:
    return [(buffer, buffer.clone()) for buffer in network.buffers()]


def _spread_batches(images: int) -> list[Tensor]:
    """Image numbers of each batch, spread evenly over all images, which may be sorted by class."""
    size = min(STATISTICS_BATCH, images)
    batches = min(images, STATISTICS_IMAGES) // size
    spread = torch.arange(batches * size) * images // (batches * size)
    return [spread[number::batches] for number in range(batches)]


@torch.no_grad()
def compute_statistics(
    network: nn.Module, images: ResidentSplit, execution: Execution, still: Sequence[str] = ()
) -> None:
    """Replace BatchNorm's running statistics by those of `images`. Other layers are in evaluation mode.

    `still`: modules that keep their statistics, with all inside them.
    """
    kept = {inner for name in still for inner in network.get_submodule(name).modules()}
    norms: list[Any] = [
        module
        for module in network.modules()
        if isinstance(module, _BatchNorm) and module.track_running_stats and module not in kept
    ]
    if not norms:
        return
    was_training, momenta = network.training, [norm.momentum for norm in norms]
    network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
        norm.train()
    try:
        for index in _spread_batches(len(images)):
            with execution.autocast():
                network(images.normalizer.from_bytes(images.take(index.to(images.labels.device))))
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        network.train(was_training)
