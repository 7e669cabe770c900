"""Running statistics of BatchNorm: rows for the block kernel, and weights that hold them for evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cifar_lab.data.batches import CohortBatches
from cifar_lab.training.backends.block.rows import NORM_LAYERS, PaddedMatrix, matrices, norm_widths
from cifar_lab.training.backends.block.shapes import Shape

MOMENTUM, EPS = 0.1, 1e-5
"""Of every BatchNorm, as batch_norm.cuh."""

NAMES = ("running_mean", "running_var")


@dataclass(frozen=True)
class RunningStatistics:
    """Running statistics of a cohort. A row has the means of all layers, then the variances."""

    networks: Sequence[nn.Module]
    shape: Shape

    @classmethod
    def of(cls, networks: Sequence[nn.Module], shape: Shape, batches: CohortBatches) -> RunningStatistics | None:
        """Running statistics of these networks. None without BatchNorm.

        Raises:
            ValueError: BatchNorm of another kind, or a batch of one image, which has no variance.
        """
        if not shape.batch_norm:
            return None
        statistics = cls(networks, shape)
        if any((layer.momentum, layer.eps) != (MOMENTUM, EPS) for layer in statistics._layers()):
            raise ValueError("BatchNorm of another kind")
        if any(size == 1 or len(batches.split) % size == 1 for size in batches.sizes):
            raise ValueError("a batch of one image with BatchNorm")
        return statistics

    def rows(self) -> Tensor:
        """(K, 2 C), a copy."""
        return torch.cat([buffer.detach() for buffer in self._buffers()]).view(len(self.networks), -1)

    def store(self, rows: Tensor, steps: Sequence[int]) -> None:
        """Write them back after `steps` of each member."""
        widths = [*norm_widths(self.shape).values()] * len(NAMES)
        parts = [part for row in rows for part in row.split(widths)]
        torch._foreach_copy_(list(self._buffers()), parts)
        for network, count in zip(self.networks, steps, strict=True):
            torch._foreach_add_([getattr(network, name).num_batches_tracked for name in norm_widths(self.shape)], count)

    def fold(self, weights: Tensor, classes: int) -> None:
        """Let the layers before BatchNorm do its work in evaluation, in rows (K, row_width) of the kernel."""
        found = {each.name: each for each in matrices(self.shape, classes)}
        widths = norm_widths(self.shape)
        statistics = self.rows().double().view(len(self.networks), len(NAMES), -1)
        for layer, of_layer in zip(widths, torch.split(statistics, [*widths.values()], dim=2), strict=True):
            mean, variance = of_layer.unbind(1)
            scale, bias = (_matrix(weights, found[f"{layer}.{name}"])[:, 0] for name in ("weight", "bias"))
            before, before_bias = (
                _matrix(weights, found[f"{NORM_LAYERS[layer]}.{name}"]) for name in ("weight", "bias")
            )
            factor = scale.double() / (variance + EPS).sqrt()  # (K, outputs)
            before.copy_(before.double() * factor.unsqueeze(1))
            before_bias[:, 0] = (before_bias[:, 0].double() - mean) * factor + bias

    def _layers(self) -> Iterator[nn.BatchNorm1d | nn.BatchNorm2d]:
        for network in self.networks:
            for name in norm_widths(self.shape):
                yield getattr(network, name)

    def _buffers(self) -> Iterator[Tensor]:
        for network in self.networks:
            for buffer in NAMES:
                yield from (getattr(getattr(network, name), buffer) for name in norm_widths(self.shape))


def _matrix(rows: Tensor, given: PaddedMatrix) -> Tensor:
    """View (K, inputs, outputs) of one parameter."""
    numbers = rows[:, given.offset : given.offset + given.inputs * given.padded]
    return numbers.view(len(rows), given.inputs, given.padded)[:, :, : given.outputs]
