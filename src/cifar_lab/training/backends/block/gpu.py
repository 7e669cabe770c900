"""The block kernel on a GPU: loaded and launched by the CUDA driver, in the order of torch's current stream."""

from __future__ import annotations

import ctypes
from collections.abc import Collection
from contextlib import suppress
from functools import cache
from threading import Thread
from typing import Any

import torch

from cifar_lab.training.backends.block.compiler import compiled, version
from cifar_lab.training.backends.block.jobs import SHARED_BYTES, THREADS, Scoring, Training
from cifar_lab.training.backends.block.shapes import Shape
from cifar_lab.training.backends.kept_libraries import KernelsUnavailable


def check_gpu(device: torch.device) -> None:
    """Check that a GPU can run the kernel and that its compiler is there.

    Raises:
        KernelsUnavailable: it cannot, or is not.
    """
    properties = torch.cuda.get_device_properties(device)
    shared = int(getattr(properties, "shared_memory_per_block_optin", 0))
    if torch.version.cuda is None or shared < SHARED_BYTES:
        raise KernelsUnavailable(
            f"there are none for {properties.name}: its thread blocks have less than 227 KB of shared memory"
        )
    version()


def compile_ahead(device: torch.device, shape: Shape, classes: int, parts: Collection[int]) -> None:
    """Compile the kernel in a thread, so that a later `GpuKernel` has its code or waits for it.

    A failure is left to `GpuKernel`.
    """
    architecture = _architecture(device)

    def compile_now() -> None:
        with suppress(KernelsUnavailable):
            compiled(architecture, shape, classes, parts)

    Thread(target=compile_now, daemon=True).start()


def _architecture(device: torch.device) -> str:
    properties = torch.cuda.get_device_properties(device)
    return f"sm_{properties.major}{properties.minor}"


class GpuKernel:
    """The kernel for one device, shape of networks, number of classes and sizes of parts."""

    def __init__(self, device: torch.device, shape: Shape, classes: int, parts: Collection[int]) -> None:
        """Compile it, or take it from the cache, and load it.

        Raises:
            KernelsUnavailable: it cannot be compiled or loaded.
        """
        self.shape = shape
        self.parts = frozenset(parts)
        self.blocks = int(torch.cuda.get_device_properties(device).multi_processor_count)
        code = compiled(_architecture(device), shape, classes, parts)
        with torch.cuda.device(device):
            torch.empty(1, device=device)  # the context of this thread
            self._train, self._score = _functions(code, torch.cuda.current_device())
            # Of the lowest priority: short kernels of other cohorts then get a multiprocessor before the next block.
            self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def train(self, job: Training, blocks: int) -> None:
        """See `BlockKernel`."""
        self._launch(self._train, job, blocks)

    def score(self, job: Scoring, blocks: int) -> None:
        """See `BlockKernel`."""
        self._launch(self._score, job, blocks)

    def _launch(self, function: Any, job: ctypes.Structure, blocks: int) -> None:
        """Launch after the work of torch's current stream, and before its later work.

        Raises:
            RuntimeError: of the driver.
        """
        from cuda.bindings import driver

        arguments = (ctypes.c_void_p * 1)(ctypes.addressof(job))
        current = torch.cuda.current_stream()
        self._stream.wait_stream(current)
        _checked(
            driver.cuLaunchKernel(
                function, blocks, 1, 1, THREADS, 1, 1, SHARED_BYTES, driver.CUstream(self._stream.cuda_stream),
                ctypes.addressof(arguments), 0,
            )
        )  # fmt: skip
        current.wait_stream(self._stream)


@cache
def _functions(code: bytes, device: int) -> tuple[Any, Any]:
    """Both functions of the code. Kept for the process, because a module is loaded per device.

    Raises:
        KernelsUnavailable: the driver refuses the code.
    """
    from cuda.bindings import driver

    try:
        (module,) = _checked(driver.cuModuleLoadData(code))
        functions = tuple(
            _checked(driver.cuModuleGetFunction(module, name))[0] for name in (b"train_block", b"score_block")
        )
        attribute = driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
        for function in functions:
            _checked(driver.cuFuncSetAttribute(function, attribute, SHARED_BYTES))
    except RuntimeError as error:
        raise KernelsUnavailable(f"the driver cannot load them ({error})") from error
    train, score = functions
    return train, score


def _checked(outcome: tuple[Any, ...]) -> tuple[Any, ...]:
    """Values of a call of the driver.

    Raises:
        RuntimeError: it failed.
    """
    error, *values = outcome
    if int(error):
        raise RuntimeError(f"CUDA error {error.name}")
    return tuple(values)
