"""Training of a cohort by the block kernel: one launch per epoch, and one for the logits of a split."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Collection, Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor

from cifar_lab.data.batches import EpochRandomness
from cifar_lab.data.resident_split import ResidentSplit
from cifar_lab.training.backends.base import MemberMetrics, StepMetrics
from cifar_lab.training.backends.block.concurrent_members import members_training
from cifar_lab.training.backends.block.draws import Draws
from cifar_lab.training.backends.block.jobs import (
    BlockImages,
    BlockMember,
    Scoring,
    Training,
)
from cifar_lab.training.backends.block.member_state import MemberState
from cifar_lab.training.backends.block.rows import RowConversion, matrices, share_width
from cifar_lab.training.backends.block.running_statistics import RunningStatistics
from cifar_lab.training.backends.block.shapes import Shape
from cifar_lab.training.backends.block.teams import images_of, part_among, share_of, shares_of, teams_of
from cifar_lab.training.backends.block.update_rules import BlockOptimizer, has_squares, rule_fields
from cifar_lab.training.backends.eager import EagerBackend

LAUNCH_IMAGES = 10_000
"""Images that a block trains per launch, about 0.15 s. A block occupies a multiprocessor. Other kernels, such as those
at the end of another cohort's epoch, wait for it."""

LAUNCH_SEGMENTS = 8
"""Segments per launch. After each a block may take another network. At the end of a launch some blocks have no work,
for at most the time of one segment."""


class BlockKernel(Protocol):
    """The compiled kernel, on a GPU or as C++."""

    @property
    def blocks(self) -> int:
        """Thread blocks that run at once."""

    @property
    def shape(self) -> Shape:
        """Of the networks that it is compiled for."""

    @property
    def parts(self) -> Collection[int]:
        """Sizes of parts of a batch that it is compiled for."""

    def train(self, job: Training, blocks: int) -> None:
        """Launch a training on the current stream."""

    def score(self, job: Scoring, blocks: int) -> None:
        """Launch a scoring on the current stream."""


class BlockBackend:
    """Backend of networks of the Net family. Training images and weights are in torch's contiguous format."""

    def __init__(
        self, eager: EagerBackend, kernel: BlockKernel, optimizers: Sequence[BlockOptimizer], classes: int,
        smoothings: Sequence[float] | None = None,
    ) -> None:  # fmt: skip
        """Use the cohort, batches and loss of `eager`.

        Args:
            kernel: compiled for their shape and as many classes.
            optimizers: settings of each member's optimizer, with the rates of its layers.
            smoothings: label smoothing of each member. None takes that of `eager` for all.
        """
        self.cohort = eager.cohort
        self.metrics: StepMetrics = eager.metrics
        self._eager, self._kernel, self._classes = eager, kernel, classes
        self._optimizers = tuple(optimizers)
        self._smoothings = smoothings or [eager.label_smoothing] * len(optimizers)
        self._rows = RowConversion.of(self.cohort.parameters, kernel.shape, classes)
        names = [span.name for span in self.cohort.parameters.spans]
        order = [each.name for each in matrices(kernel.shape, classes)]
        self._rules = [rule_fields(settings, names, order) for settings in self._optimizers]
        self._statistics = RunningStatistics.of(self.cohort.networks, kernel.shape, eager.batches)
        self._draws = Draws(eager.batches)
        self._scratch = torch.empty(0, dtype=torch.uint8, device=self._device)
        self.blocks_per_network = 1
        """Size of the largest team in the last epoch."""

    @property
    def _device(self) -> torch.device:
        return self.cohort.parameters.values.device

    def epoch(self, epoch: int) -> Iterator[int]:
        """See `StepBackend`. A launch makes many steps."""
        with members_training(self._device, len(self.cohort.networks)) as on_device:
            most = 1 if self._kernel.shape.batch_norm else self._kernel.blocks // on_device
            yield from self._epoch(epoch, most)

    def _epoch(self, epoch: int, most: int) -> Iterator[int]:
        """The steps of an epoch, with at most `most` blocks per network."""
        batches = self._eager.batches
        self.metrics = MemberMetrics(len(batches.split), batches.sizes, self._device)
        rows = _MemberRows(self)
        tables = (*self._eager.rates(epoch), *self._draws.of_epoch(epoch))
        steps, members = self.metrics.loss.shape
        # Small batches take longest. They come first, so that no block is left with one at the end of a launch.
        longest_first = sorted(range(members), key=batches.sizes.__getitem__)
        teams = teams_of(batches.sizes, most)
        table = self._table([self._member(k, epoch, rows, teams[k], *tables) for k in longest_first])
        each = self.blocks_per_network = max(teams)
        blocks = members * each if each > 1 else min(members, self._kernel.blocks)
        segments = self._segments(steps, math.ceil(members / blocks))
        progress = torch.zeros(1 + members, dtype=torch.int32, device=self._device)
        reflects = batches.options.crop_padding_mode == "reflect"
        images = self._images(batches.split, batches.options.crop_padding, reflects)
        own = self._kernel.shape.bytes_for(max(batches.sizes))
        scratch = self._scratch_for(blocks, own)
        shares, most_shares = self._shares_for(teams)
        places = table.data_ptr(), scratch, progress.data_ptr(), shares.data_ptr()
        for begin in range(0, segments, LAUNCH_SEGMENTS):
            end = min(begin + LAUNCH_SEGMENTS, segments)
            job = Training(images, *places, members, begin, end, segments, each, most_shares, own)
            progress.zero_()
            self._kernel.train(job, blocks)
            if end < segments:
                yield steps * end // segments
        self._draws.draw(epoch + 1)  # while the GPU trains
        rows.store([(epoch + 1) * each for each in batches.member_steps])
        yield steps

    def _segments(self, steps: int, rounds: int) -> int:
        """Segments of an epoch, if each block trains `rounds` networks."""
        launches = math.ceil(rounds * len(self._eager.batches.split) / LAUNCH_IMAGES)
        return max(1, min(launches * LAUNCH_SEGMENTS, steps))

    def use_threads(self, threads: int) -> None:
        """See `StepBackend`. The GPU makes the steps."""

    def predict(self, split: ResidentSplit) -> Tensor | None:
        """See `Predictor`."""
        if split.memory_format != torch.contiguous_format:
            return None
        members = len(self.cohort.networks)
        weights = self._rows.kernel_rows(self.cohort.parameters.values.detach())
        if self._statistics is not None:
            self._statistics.fold(weights, self._classes)
        row = weights.shape[1] * weights.element_size()
        table = self._table([BlockMember(weights=weights.data_ptr() + k * row) for k in range(members)])
        logits = torch.empty(members, len(split), self._classes, device=self._device)
        blocks, own = self._kernel.blocks, self._kernel.shape.scratch_bytes
        job = Scoring(
            self._images(split), table.data_ptr(), self._scratch_for(blocks, own), logits.data_ptr(), members,
            len(split), own,
        )  # fmt: skip
        self._kernel.score(job, blocks)
        return logits

    def _member(
        self, k: int, epoch: int, rows: _MemberRows, blocks: int, lr: Tensor, momenta: Tensor | None,
        draws: EpochRandomness, number: Sequence[int],
    ) -> BlockMember:  # fmt: skip
        """Description of a member for one epoch, counted from 0, which `blocks` train."""
        settings, batches = self._optimizers[k], self._eager.batches
        loss, right = self.metrics.loss, self.metrics.right
        squares, rule = has_squares(settings), self._rules[k]
        images, batch, drawn = len(batches.split), batches.sizes[k], number[k]
        return BlockMember(
            weights=_row(rows.weights, k), first=_row(rows.first, k),
            second=_row(rows.second, k) if squares and rows.second is not None else None,
            order=_row(draws.order, drawn),
            flips=_row(draws.flips, drawn) if draws.flips is not None and batches.flips[k] else None,
            offsets=None if draws.offsets is None else _row(draws.offsets, drawn),
            lr=_column(lr, k), momenta=None if momenta is None else _column(momenta, k),
            loss=_column(loss, k), right=_column(right, k),
            statistics=None if rows.statistics is None else _row(rows.statistics, k),
            **rule, keeps_first=squares or rule["momentum"] > 0 or momenta is not None,
            smoothing=self._smoothings[k], batch=batch, share=share_of(batch), blocks=blocks, images=images,
            part=part_among(self._kernel.parts, images_of(batch, blocks)),
            stride=loss.shape[1], updates=epoch * math.ceil(images / batch),
        )  # fmt: skip

    def _images(self, split: ResidentSplit, padding: int = 0, reflects: bool = False) -> BlockImages:
        scale, shift = (table[0, :, 0, 0].tolist() for table in split.normalizer.scale_shift)
        floats = ctypes.c_float * 3
        pixels, labels = split.stored.data_ptr(), split.labels.data_ptr()
        return BlockImages(pixels, labels, floats(*scale), floats(*shift), padding, reflects)

    def _table(self, members: Sequence[BlockMember]) -> Tensor:
        """The members' descriptions on the device."""
        content = bytearray((BlockMember * len(members))(*members))
        return torch.frombuffer(content, dtype=torch.uint8).to(self._device)

    def _scratch_for(self, blocks: int, own: int) -> int:
        """Address of the scratch memory of so many blocks, of `own` bytes each."""
        size = blocks * own
        if len(self._scratch) < size:
            self._scratch = torch.empty(size, dtype=torch.uint8, device=self._device)
        return self._scratch.data_ptr()

    def _shares_for(self, teams: Sequence[int]) -> tuple[Tensor, int]:
        """Memory for the gradients of shares, and the number of shares per network."""
        sizes = [size for size, blocks in zip(self._eager.batches.sizes, teams, strict=True) if blocks > 1]
        most = max(map(shares_of, sizes), default=0)
        width = share_width(self._kernel.shape, self._classes)
        return torch.empty(len(teams) * most * width, dtype=torch.float32, device=self._device), most


class _MemberRows:
    """Weights and optimizer state in the kernel's layout, for one epoch."""

    def __init__(self, backend: BlockBackend) -> None:
        self._cohort, self._conversion = backend.cohort, backend._rows
        self._state = MemberState(backend.cohort, backend._optimizers)
        second = self._state.second()
        self.weights = self._conversion.kernel_rows(self._cohort.parameters.values.detach())
        self.first = self._conversion.kernel_rows(self._state.first())
        self._running, self._steps = backend._statistics, backend._eager.batches.member_steps
        self.statistics = None if self._running is None else self._running.rows()
        self.second = None if second is None else self._conversion.kernel_rows(second)
        """Of all members, although only Adam's use it."""

    def store(self, updates: Sequence[int]) -> None:
        """Copy the rows back. `updates`: of each member so far."""
        if self._running is not None and self.statistics is not None:
            self._running.store(self.statistics, self._steps)
        self._conversion.store(self.weights, self._cohort.parameters.values.detach())
        flat = torch.empty_like(self._cohort.parameters.values)
        self._conversion.store(self.first, flat)
        self._state.store_first(flat)
        if self.second is not None:
            self._conversion.store(self.second, flat)
            self._state.store_second(flat)
        self._state.store_updates(updates)


def _row(table: Tensor, number: int) -> int:
    """Address of a row."""
    return table.data_ptr() + number * table.stride(0) * table.element_size()


def _column(table: Tensor, member: int) -> int:
    """Address of a member's first number in (steps, K), or (steps, K, 1)."""
    return table.data_ptr() + member * table.element_size()
