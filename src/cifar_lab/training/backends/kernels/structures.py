"""ctypes mirrors of the structures in kernels.h and step.c."""

from __future__ import annotations

from ctypes import POINTER, Structure, c_double, c_float, c_int32, c_int64, c_void_p
from enum import IntEnum


class KernelOp(IntEnum):
    """Operations on a group of images, in the order of step.c."""

    LOAD_BATCH = 0
    CONVOLVE = 1
    CONVOLVE_BACK = 2
    MAX_POOL = 3
    MAX_POOL_BACK = 4
    RELU = 5
    RELU_BACK = 6
    FLATTEN = 7
    FLATTEN_BACK = 8
    LINEAR = 9
    LINEAR_BACK = 10
    CROSS_ENTROPY = 11
    NORM_MEASURE = 12
    NORM = 13
    NORM_BACK_MEASURE = 14
    NORM_BACK = 15
    NORM_MERGE = 16
    NORM_BACK_MERGE = 17


class Layer(Structure):
    """See `layer` in kernels.h."""

    _fields_ = (
        *((name, c_void_p) for name in ("in_", "out", "in_gradient", "out_gradient")),
        *((name, c_int64) for name in ("in_size", "out_size")),
        *((name, c_int32) for name in ("channels", "height", "width", "outputs", "out_height", "out_width")),
        *((name, c_void_p) for name in ("weight", "bias")),
        *((name, c_int64) for name in ("weight_at", "bias_at", "lanes_at")),
        *((name, c_void_p) for name in ("index", "moments", "running_mean", "running_variance", "batches")),
        *((name, c_float) for name in ("momentum", "eps")),
    )


class Batch(Structure):
    """See `batch` in kernels.h."""

    _fields_ = (
        *((name, c_void_p) for name in ("pixels", "ready", "labels", "chosen", "offsets", "flips")),
        ("scale", c_float * 3),
        ("shift", c_float * 3),
        *((name, c_int32) for name in ("padding", "images")),
    )
    kept: object = None
    """Owners of the memory that the addresses point to, kept alive while the batch is used."""


class KernelWorker(Structure):
    """See `worker` in kernels.h."""

    _fields_ = (
        *((name, c_int32) for name in ("group", "slot", "count")),
        *((name, c_void_p) for name in ("gradients", "lanes")),
        ("loss", c_double),
        ("right", c_int64),
    )


class LayerOp(Structure):
    """See `op` in step.c."""

    _fields_ = (("kind", c_int32), ("layer", c_int32))


class Plan(Structure):
    """See `plan` in step.c."""

    _fields_ = (
        ("layers", POINTER(Layer)),
        ("ops", POINTER(LayerOp)),
        *((name, c_int32) for name in ("layer_count", "op_count", "slot_per_group")),
        ("smoothing", c_float),
        *((name, c_void_p) for name in ("gradients", "others")),
        ("width", c_int64),
        ("lanes", c_void_p),
        ("lane_count", c_int64),
        ("workers", POINTER(KernelWorker)),
    )


STRUCTURES = (Layer, Batch, Plan, KernelWorker)
"""Structures whose sizes are compared, in the order of `sizes` in step.c."""
