"""Training steps by this project's kernels: one call for loss and gradients, and one for the optimizer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from ctypes import POINTER, byref, c_int32, c_void_p, sizeof

import torch
from torch import Tensor, nn

from cifar_lab.data.batches import BatchAugmenter, EpochRandomness
from cifar_lab.data.mixing import Mix, neighbour
from cifar_lab.models.flat_parameters import FlatParameters
from cifar_lab.training.backends.eager import EagerBackend
from cifar_lab.training.backends.kept_libraries import KernelsUnavailable
from cifar_lab.training.backends.kernels.compiler import (
    STRUCTURES,
    Batch,
    KernelOp,
    KernelWorker,
    Layer,
    LayerOp,
    Plan,
    library,
)
from cifar_lab.training.backends.kernels.layers import LANES, read_layers
from cifar_lab.training.backends.kernels.newton_schulz import KernelOrthogonaliser
from cifar_lab.training.backends.kernels.operations import Operations, operations_of
from cifar_lab.training.optim.muon import CohortMuon

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


class KernelNetwork:
    """Computes the gradients of one network, whose parameters are a row of `FlatParameters`."""

    def __init__(
        self, network: nn.Module, parameters: FlatParameters, batch_size: int, threads: int, label_smoothing: float,
        operations: Operations | None = None,
    ) -> None:  # fmt: skip
        """Allocate memory for batches of at most `batch_size` images on at most `threads` threads.

        `operations`: those of the network. None reads its graph.

        Raises:
            KernelsUnavailable: no kernels on this machine, or none for a layer of the network.
        """
        self._step = step_function()
        self._threads, self._shards = threads, library().shards_of(batch_size)
        groups = math.ceil(batch_size / LANES)
        # BatchNorm needs the statistics of all groups before it can normalise one, so each group keeps its
        # activations. Otherwise a thread finishes one group before the next, and both use the same memory.
        has_norm = any(isinstance(module, NORMS) for module in network.modules())
        self._layers = read_layers(
            network, operations or operations_of(network), parameters, groups, groups if has_norm else threads
        )
        self.plan = self._make_plan(parameters, has_norm, label_smoothing)

    def gradients(self, batch: Batch, threads: int, loss_at: int, right_at: int) -> None:
        """Replace the network's gradients by those of the batch's mean loss.

        Args:
            loss_at: address of a float32, which receives the mean loss.
            right_at: address of an int64, which receives the number of correct images.
        """
        self._step(byref(self.plan), byref(batch), min(threads, self._threads), loss_at, right_at)

    def _make_plan(self, parameters: FlatParameters, slot_per_group: bool, label_smoothing: float) -> Plan:
        layers, width = self._layers, parameters.values.shape[1]
        ops = [(KernelOp.LOAD_BATCH, 0), *layers.forward, *layers.backward]
        others = layers.keep(torch.zeros(max(1, self._shards - 1), width))
        lane_sums = layers.keep(torch.zeros(self._threads, max(1, layers.lane_sums), LANES))
        return Plan(
            layers=(Layer * len(layers.layers))(*layers.layers),
            ops=(LayerOp * len(ops))(*(LayerOp(kind, layer) for kind, layer in ops)),
            layer_count=len(layers.layers),
            op_count=len(ops),
            slot_per_group=slot_per_group,
            smoothing=label_smoothing,
            gradients=layers.keep(parameters.gradients).data_ptr(),
            others=others.data_ptr(),
            width=width,
            lanes=lane_sums.data_ptr(),
            lane_count=layers.lane_sums,
            workers=(KernelWorker * self._shards)(),
        )


class KernelBackend:
    """Backend of one run on the CPU. Training images and weights are in torch's contiguous format."""

    def __init__(self, eager: EagerBackend, operations: Operations | None = None) -> None:
        """Use the cohort, batches and loss of `eager`. `operations` as in `KernelNetwork`.

        Raises:
            KernelsUnavailable: no kernels for this network on this machine.
        """
        self.cohort = eager.cohort
        self.metrics = eager.metrics
        self._eager, self._batches = eager, eager.batches
        self._threads = eager.execution.threads
        (network,) = self.cohort.networks
        if isinstance(self.cohort.optimizer, CohortMuon):
            self.cohort.optimizer.orthogonalise = KernelOrthogonaliser()
        self.network = KernelNetwork(
            network, self.cohort.parameters, max(self._batches.batch_sizes), self._threads,
            eager.label_smoothing, operations,
        )  # fmt: skip

    def epoch(self, epoch: int) -> Iterator[int]:
        """See `StepBackend`."""
        self.metrics = self._eager.new_metrics()
        lr, momentum = self._eager.rates(epoch)
        for step, batch in enumerate(self.epoch_batches(epoch)):
            self.compute_gradients(batch, step)
            self.cohort.optimizer.step(lr[step], None if momentum is None else momentum[step])
            self.cohort.after_step()
            yield step + 1

    def use_threads(self, threads: int) -> None:
        """See `StepBackend`. The kernels give the same bits on any number of threads."""
        self._threads = threads

    def compute_gradients(self, batch: Batch, step: int) -> None:
        """Compute the gradients of a batch and store its loss in the metrics of `step`."""
        loss, right = self.metrics.loss, self.metrics.right
        self.network.gradients(
            batch, self._threads, loss.data_ptr() + step * loss.element_size(),
            right.data_ptr() + step * right.element_size(),
        )  # fmt: skip

    def epoch_batches(self, epoch: int) -> Iterator[Batch]:
        """Batches of `CohortBatches.epoch`. Mostly they are image numbers, and the kernels load the pixels.

        One object is yielded again and again. Use each batch before the next is requested.
        """
        randomness, begin = self._batches.randomness(epoch), 0
        augmenter = BatchAugmenter(self._batches, epoch) if self._batches.draws_per_batch else None
        batch, mix = self._make_batch(randomness), randomness.mix
        for step, size in enumerate(self._batches.batch_sizes):
            index = randomness.order[:, begin : begin + size]  # (1, B)
            batch.images = size
            if augmenter is None and mix is None:
                batch.chosen, batch.kept = index.data_ptr(), randomness
            else:
                images, labels = self._batches.augmented(randomness, index, augmenter)
                self._fill_ready(batch, images, labels, None if mix is None else mix.at(step))
            yield batch
            begin += size

    @staticmethod
    def _fill_ready(batch: Batch, images: Tensor, labels: Tensor, mix: Mix | None) -> None:
        """Give the batch images (1, B, 3, 32, 32) that torch made, which are still to be mixed."""
        others = None
        if mix is not None:
            images, others = mix.images(images), neighbour(labels)
            batch.share, batch.others = float(mix.share[0]), others.data_ptr()
        images = images.contiguous()
        batch.pixels, batch.ready, batch.labels = None, images.data_ptr(), labels.data_ptr()
        batch.kept = images, labels, others

    def _make_batch(self, randomness: EpochRandomness) -> Batch:
        """Batch with the fields that are constant over an epoch."""
        split = self._batches.split
        scale, shift = (table[0, :, 0, 0].tolist() for table in split.normalizer.scale_shift)
        return Batch(
            pixels=split.stored.data_ptr(),
            labels=split.labels.data_ptr(),
            offsets=None if randomness.offsets is None else randomness.offsets.data_ptr(),
            flips=None if randomness.flips is None else randomness.flips.data_ptr(),
            padding=self._batches.options.crop_padding,
            reflect=self._batches.options.crop_padding_mode == "reflect",
            scale=tuple(scale),
            shift=tuple(shift),
        )


def step_function() -> Callable[..., None]:
    """`step` of step.c.

    Raises:
        KernelsUnavailable: it cannot be built here, or its structures differ from those of `structures`.
    """
    compiled = library()
    if tuple((c_int32 * len(STRUCTURES)).in_dll(compiled, "sizes")) != tuple(map(sizeof, STRUCTURES)):
        raise KernelsUnavailable("their structures have another layout on this machine")
    function = compiled.step
    function.restype = None
    function.argtypes = (POINTER(Plan), POINTER(Batch), c_int32, c_void_p, c_void_p)
    step: Callable[..., None] = function
    return step
