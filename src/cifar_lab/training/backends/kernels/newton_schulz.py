"""Newton–Schulz iterations by this project's kernels, which use that Gram matrices are symmetric."""

from __future__ import annotations

from ctypes import c_float, c_int32, c_int64, c_void_p

import torch
from torch import Tensor

from cifar_lab.training.backends.kernels.compiler import library
from cifar_lab.training.backends.kernels.layers import LANES
from cifar_lab.training.optim.newton_schulz import BLOCK, COEFFICIENTS, EPS

FLOAT_BYTES = 4


class KernelOrthogonaliser:
    """`optim.newton_schulz.orthogonalised` of one matrix on one thread, equal within rounding. It keeps its memory."""

    def __init__(self) -> None:
        """Raises KernelsUnavailable without kernels on this machine."""
        compiled = library()
        self._size = compiled.newton_schulz_work
        self._size.restype, self._size.argtypes = c_int64, (c_int32, c_int32)
        self._run = compiled.newton_schulz
        self._run.restype = None
        self._run.argtypes = (c_void_p, c_int32, c_int32, c_int32, c_int32, c_void_p, c_float, c_void_p)
        self._coefficients = (c_float * 3)(*COEFFICIENTS)
        self._memory: dict[tuple[int, int], Tensor] = {}

    def __call__(self, gradients: Tensor, steps: int) -> Tensor:
        """Orthogonalise a float32 matrix (m, n) on the CPU."""
        turned = gradients.shape[0] > gradients.shape[1]
        found = (gradients.T if turned else gradients).clone(memory_format=torch.contiguous_format)
        m, n = found.shape
        work = self._work(m, n)
        self._run(found.data_ptr(), m, n, steps, BLOCK, self._coefficients, EPS, work.data_ptr())
        return found.T.contiguous() if turned else found

    def _work(self, m: int, n: int) -> Tensor:
        """Memory for the matrices of one shape, aligned to whole vectors."""
        if (m, n) not in self._memory:
            memory = torch.zeros(self._size(m, n) + LANES)
            start = -memory.data_ptr() // FLOAT_BYTES % LANES
            self._memory[m, n] = memory[start:]
        return self._memory[m, n]
