"""The kernel of a device: the GPU's, or the C++ form on the CPU."""

from __future__ import annotations

import pytest
import torch

from cifar_lab.training.backends.block.backend import BlockKernel
from cifar_lab.training.backends.block.gpu import GpuKernel, check_gpu
from cifar_lab.training.backends.block.jobs import PARTS
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
on_every_device = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=needs_gpu)])


def kernel_for(device: str) -> BlockKernel:
    """With every size of parts."""
    return HostKernel(10) if device == "cpu" else GpuKernel(torch.device("cuda"), 10, PARTS)
