"""The kernel of a device: the GPU's, or the C++ form on the CPU."""

from __future__ import annotations

import pytest
import torch

from cifar_lab.training.backends.block.backend import BlockKernel
from cifar_lab.training.backends.block.gpu import GpuKernel, check_gpu
from cifar_lab.training.backends.block.jobs import PARTS
from cifar_lab.training.backends.block.shapes import NET, NET1, NET3, Shape
from cifar_lab.training.backends.kept_libraries import KernelsUnavailable

from .host_kernel import HostKernel


def _has_gpu() -> bool:
    if not torch.cuda.is_available():
        return False
    try:
        check_gpu(torch.device("cuda"))
    except KernelsUnavailable:
        return False
    return True


needs_gpu = pytest.mark.skipif(not _has_gpu(), reason="needs a GPU that the block kernel runs on")
of_every_width = pytest.mark.parametrize(
    ("model", "shape"),
    [
        pytest.param("Net", NET, id="Net"),
        pytest.param("Net1", NET1, id="Net1", marks=pytest.mark.slow),
        pytest.param("Net3", NET3, id="Net3", marks=pytest.mark.slow),
    ],
)
on_every_device = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=needs_gpu)])


def kernel_for(device: str, shape: Shape = NET) -> BlockKernel:
    """With every size of parts."""
    return HostKernel(shape, 10) if device == "cpu" else GpuKernel(torch.device("cuda"), shape, 10, PARTS)
