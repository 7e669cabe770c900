"""Attacked training images of a cohort: each step trains on what an attack makes of its batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from cifar_lab.config.adversarial import Adversarial
from cifar_lab.data.random_streams import stream
from cifar_lab.data.resident_split import MAX_PIXEL, Normalizer
from cifar_lab.models.outputs import main_output
from cifar_lab.training.attacks.descent import project, random_start, step_up
from cifar_lab.training.attacks.gradients import gradient
from cifar_lab.training.attacks.victims import Victims
from cifar_lab.training.cohort import Cohort
from cifar_lab.training.device import Execution

STEP_FACTOR = 2.5
"""Length of a step: STEP_FACTOR · eps / steps, as in attacks on trained networks."""

Batches = Iterator[tuple[Tensor, Tensor]]


class Adversary:
    """Attacks the batches of a cohort. Random starts come from a stream of each member's seed."""

    def __init__(
        self, options: Adversarial, cohort: Cohort, normalizer: Normalizer, seeds: Sequence[int], execution: Execution
    ) -> None:
        self._options, self._cohort, self._seeds, self._execution = options, cohort, tuple(seeds), execution
        self._scale, self._shift = normalizer.scale_shift  # (1, 3, side, side)
        self._victims = Victims(self._logits, len(self._seeds), self._scale.device)

    def epoch(self, batches: Batches, epoch: int) -> Batches:
        """Attacked batches of an epoch, counted from 0: images (K, B, 3, H, W), normalised, and labels (K, B)."""
        generators = [stream("adversarial", seed, epoch) for seed in self._seeds]
        for images, labels in batches:
            yield self._attacked(images, labels, generators), labels

    def _attacked(self, images: Tensor, labels: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        options = self._options
        clean = (images + self._shift) / (MAX_PIXEL * self._scale)
        starts = [random_start(each, images.shape[1:], options.norm) for each in generators]
        attacked = project(clean + options.eps * torch.stack(starts).to(clean), clean, options.eps, options.norm)
        length = STEP_FACTOR * options.eps / options.steps
        self._cohort.evaluation_mode()
        try:
            for _ in range(options.steps):
                slope, _ = gradient(self._victims, attacked, labels, "cross_entropy")
                attacked = project(step_up(attacked, slope, length, options.norm), clean, options.eps, options.norm)
        finally:
            self._cohort.train_mode()
        return (attacked * MAX_PIXEL * self._scale - self._shift).detach()

    def _logits(self, images: Tensor) -> Tensor:
        normalized = images * MAX_PIXEL * self._scale - self._shift
        with self._execution.autocast():
            if self._cohort.stacked is not None:
                return self._cohort.stacked(normalized)
            return torch.stack(
                [main_output(network(each)) for network, each in zip(self._cohort.networks, normalized, strict=True)]
            )
