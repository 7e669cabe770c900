"""Mirrors of the structures of jobs.cuh, and the constants that the source is compiled with. No torch."""

from __future__ import annotations

from ctypes import Structure, c_double, c_float, c_int32, c_int64, c_void_p, sizeof

SHARED_BYTES = 232_448
"""Shared memory of a block: all that a multiprocessor of compute capability 9.0 gives one (CUDA C++ Programming Guide,
table of compute capabilities)."""

THREADS = 512
"""Of a block, as threads.cuh."""

KINDS = {"sgd": 0, "nesterov": 1, "adam": 2, "adamw": 3}
"""Update rules, as `Kind`."""

MOST_PARAMETERS = 16
"""Of a network: weights and biases of five layers, and of three of BatchNorm."""

MOST_CLASSES = 16
"""Logits that the kernel has a group of threads for."""

PARTS = (8, 16, 32, 64)
"""Sizes of a part of a batch."""


def part_of(batch_size: int) -> int:
    """Images of a part: the smallest that holds the batch, else the largest."""
    return next((size for size in PARTS if size >= batch_size), PARTS[-1])


class BlockMember(Structure):
    """See `Member` in jobs.cuh."""

    _fields_ = (
        *((name, c_void_p) for name in ("weights", "first", "second", "order", "flips", "offsets", "lr", "momenta")),
        *((name, c_void_p) for name in ("loss", "right", "statistics")),
        *((name, c_double) for name in ("momentum", "beta2", "eps", "smoothing")),
        *((name, c_double * MOST_PARAMETERS) for name in ("factors", "decays")),
        *((name, c_double) for name in ("matrix_momentum", "clip_norm")),
        *((name, c_int32) for name in ("kind", "keeps_first", "batch", "part", "images", "stride", "updates")),
        *((name, c_int32) for name in ("iterations", "matrix_nesterov", "share", "blocks")),
    )


class BlockImages(Structure):
    """See `Images` in jobs.cuh."""

    _fields_ = (
        *((name, c_void_p) for name in ("pixels", "labels")),
        *((name, c_float * 3) for name in ("scale", "shift")),
        *((name, c_int32) for name in ("padding", "reflects")),
    )


class Training(Structure):
    """See `Training` in jobs.cuh."""

    _fields_ = (
        ("images", BlockImages),
        *((name, c_void_p) for name in ("members", "scratch", "progress", "shares")),
        *((name, c_int32) for name in ("count", "begin", "end", "segments", "blocks", "most_shares")),
        ("scratch_bytes", c_int64),
    )


class Scoring(Structure):
    """See `Scoring` in jobs.cuh."""

    _fields_ = (
        ("images", BlockImages),
        *((name, c_void_p) for name in ("members", "scratch", "logits")),
        *((name, c_int32) for name in ("networks", "count")),
        ("scratch_bytes", c_int64),
    )


SIZES = {
    "SHARED_BYTES": SHARED_BYTES,
    "MEMBER_BYTES": sizeof(BlockMember),
    "TRAINING_BYTES": sizeof(Training),
    "SCORING_BYTES": sizeof(Scoring),
}
"""Constants of the source. It compares the sizes of its structures with them."""
