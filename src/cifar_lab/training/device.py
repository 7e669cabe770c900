"""Device, precision, threads, determinism and CUDA streams. The only module that names torch's CUDA interface."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch

from cifar_lab.config import Runtime, Settings
from cifar_lab.core.errors import SettingsError
from cifar_lab.core.host import processor_name
from cifar_lab.training.threads import torch_threads


@dataclass(frozen=True)
class Execution:
    """Device and numerics of a run, as decided on this machine."""

    device: torch.device
    bf16: bool
    threads: int
    """CPU threads of the steps."""
    own_kernels: bool = False
    """Whether this project's kernels execute the steps instead of torch's."""

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """Context for forward passes: bfloat16 if `precision: bf16` asks for it."""
        if not self.bf16:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)


def choose_device(requested: str) -> torch.device:
    """Device that `runtime.device` selects on this machine.

    Raises:
        SettingsError: a GPU is required and torch finds none.
    """
    if requested == "cpu":
        return torch.device("cpu")
    if torch.cuda.is_available():
        return torch.device("cuda")
    if requested == "cuda":
        built = torch.version.cuda
        why = f"torch {torch.__version__} finds no GPU" if built else f"torch {torch.__version__} is a CPU-only build"
        raise SettingsError(f"runtime.device: cuda is not available here ({why}); use --set runtime.device=auto")
    return torch.device("cpu")


def gpu_count() -> int:
    """Number of GPUs that torch can use."""
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def prepare_execution(runtime: Runtime, threads: int) -> Execution:
    """Set torch's global switches for one run.

    Raises:
        SettingsError: the device is not available.
    """
    device = choose_device(runtime.device)
    set_threads(threads)
    # cuBLAS is deterministic only with a fixed workspace (its documentation, "Results reproducibility").
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if runtime.compile:
        torch.use_deterministic_algorithms(runtime.deterministic)
    else:
        # The same switch, without importing the compiler, which takes longer than a small run.
        torch.set_deterministic_debug_mode("error" if runtime.deterministic else "default")
    # Deterministic mode also fills all new memory with NaN, for code that reads what it never wrote: a kernel more for
    # each tensor of a step, a twentieth of a step of ResNet18 on a CPU. What is computed is the same.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    # cuDNN's benchmark tries its algorithms at each new shape: the last batch, evaluation, each thread's cohort. So
    # ResNet18 made 16,900 images/s on an H100, and 63,200 without it and deterministic. Heuristics need no trials.
    torch.backends.cudnn.benchmark = False
    # tf32 keeps 10 bits of mantissa: `fp32` means fp32.
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    return Execution(device, runtime.precision == "bf16", threads)


def set_threads(threads: int) -> None:
    """Set the number of CPU threads of torch's operations."""
    torch.set_num_threads(threads)


SUBNORMAL = 2.0**-130
"""A number below the smallest normal one of fp32, 2^-126."""


@contextlib.contextmanager
def flushed_subnormals() -> Iterator[None]:
    """Compute with zeros instead of subnormal numbers on this thread, and on threads of OpenMP that begin meanwhile.

    Processors take up to a hundred times as long for a product with a subnormal number. The momentum of a unit that is
    never active falls to these numbers: with 40 dead units of 120, Muon's update of a (120, 400) matrix took 24 ms
    instead of 0.6 ms. The mode of the caller is restored, because numpy warns when it loads in this one.
    """
    before = float(torch.full((), SUBNORMAL) * 1) == 0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def settle_threads(
    execution: Execution, settings: Settings, saved: int | None = None, parameters: int | None = None
) -> Execution:
    """Set the threads of torch's operations, once the kernels are chosen, so that they decide the bits of no run.

    With this project's kernels torch only evaluates and updates, on one thread. torch's own kernels have as many
    threads as `torch_threads` allows.

    Args:
        saved: threads of a resumed run's first epochs. With torch's kernels another number would round differently.
        parameters: trainable parameters of a custom model.
    """
    if execution.own_kernels and execution.device.type == "cpu":
        set_threads(1)
        return execution
    threads = execution.threads
    if execution.device.type == "cpu":
        threads = saved or torch_threads(settings, threads, parameters)
    set_threads(threads)
    return replace(execution, threads=threads)


_CAPTURING = threading.Lock()
"""Concurrent captures would see each other's allocations."""

WARM_UP_STEPS = 3
"""Executions before a capture, in which libraries choose kernels and allocate workspaces (torch's notes on CUDA
graphs)."""


def capture(step: Callable[[], None], device: torch.device) -> Callable[[], None]:
    """Capture `step` as a CUDA graph. The result replays it on the current stream.

    `step` is executed a few times first, and the caller restores what those executions change. On the CPU `step` is
    executed as often and returned itself.

    Raises:
        RuntimeError: `step` contains an operation that cannot be captured.
    """
    if device.type == "cpu":
        for _ in range(WARM_UP_STEPS):
            step()
        return step
    with _CAPTURING:
        current, side = torch.cuda.current_stream(), torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(current)
        with torch.cuda.stream(side):
            for _ in range(WARM_UP_STEPS):
                step()
        current.wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=side, capture_error_mode="thread_local"):
            step()
        current.wait_stream(side)
    return graph.replay


@contextlib.contextmanager
def own_stream(device: torch.device) -> Iterator[None]:
    """Run the block on a new CUDA stream, concurrently with those of other threads. No effect on the CPU.

    Its priority is above that of the block kernel, which occupies whole multiprocessors.
    """
    if device.type == "cpu":
        yield
        return
    with torch.cuda.stream(torch.cuda.Stream(device, priority=-1)):  # type: ignore[no-untyped-call]
        yield
        torch.cuda.current_stream().synchronize()


def free_bytes(device: torch.device) -> int:
    """Free memory of a GPU, including what this process has reserved but not allocated."""
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


@contextlib.contextmanager
def peak_bytes(device: torch.device) -> Iterator[Callable[[], int]]:
    """Measure the peak of memory that the block adds, to be read after it. Nothing else may use the GPU meanwhile."""
    peak = 0
    torch.cuda.synchronize(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    yield lambda: peak
    torch.cuda.synchronize(device)
    peak = torch.cuda.max_memory_allocated(device) - before


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the device ran out of memory."""
    return isinstance(error, torch.OutOfMemoryError)


def device_name(device: torch.device) -> str:
    """Name of the processor or GPU."""
    if device.type != "cpu":
        return torch.cuda.get_device_name(device)
    return processor_name()
