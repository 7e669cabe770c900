"""Compilation of the block kernel for a GPU by NVRTC and nvJitLink, which torch's packages for CUDA bring. No torch.

The units of the code are compiled at the same time, in threads, and linked in milliseconds.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Lock
from typing import Any

from cifar_lab.core.checksums import unseal_library
from cifar_lab.core.host import available_cores
from cifar_lab.training.backends.block.jobs import THREADS
from cifar_lab.training.backends.block.shapes import Shape
from cifar_lab.training.backends.block.source import MAIN, source_files, units
from cifar_lab.training.backends.kept_libraries import KernelsUnavailable, kept_or_made

REGISTERS = 65_536 // THREADS
"""Most registers of a thread: those of a multiprocessor (CUDA C++ Programming Guide, compute capability 9.0)."""

FLAGS = ("--std=c++17", "--relocatable-device-code=true", f"--maxrregcount={REGISTERS}")

_compiling: defaultdict[str, Lock] = defaultdict(Lock)
"""Held while the unit with a key is compiled."""

NO_COMPILER = "NVRTC or nvJitLink is not installed (package cuda-bindings, a dependency of torch for CUDA)"


def compiled(architecture: str, shape: Shape, classes: int, parts: Collection[int]) -> bytes:
    """Code of the kernel for a GPU, from units that are in the cache or compiled now, each by its own thread.

    Args:
        architecture: such as `sm_90`.
        shape: widths of the network.
        classes: number of logits.
        parts: sizes of parts of a batch.

    Raises:
        KernelsUnavailable: no NVRTC, a failed compilation, or a cache that is not writable or not private.
    """
    version()
    flags = (f"--gpu-architecture={architecture}", *FLAGS)
    options = [(*flags, *unit) for unit in units(shape, classes, parts)]
    with ThreadPoolExecutor(min(len(options), available_cores())) as pool:
        return link(architecture, list(pool.map(_unit, options)))


def _unit(options: tuple[str, ...]) -> bytes:
    """Code of one unit, from the cache if it is there. Raises as `compiled`."""
    texts = [path.read_text(encoding="utf-8") for path in source_files()]
    key = hashlib.sha256("\0".join([*texts, *options, *map(str, version())]).encode()).hexdigest()[:16]
    with _compiling[key]:  # cohorts that begin at the same time need the same code
        content, _ = kept_or_made(f"block-{key}.cubin", lambda _: compile_source(options)[0])
    return unseal_library(content)


def version() -> tuple[int, int]:
    """Version of NVRTC.

    Raises:
        KernelsUnavailable: there is none.
    """
    return _tools()[2]


def _tools() -> tuple[Any, Any, tuple[int, int]]:
    """Modules of NVRTC and nvJitLink, and the version of NVRTC.

    Raises:
        KernelsUnavailable: they are missing.
    """
    if isinstance(found := _found_tools(), str):
        raise KernelsUnavailable(found)
    return found


@cache
def _found_tools() -> tuple[Any, Any, tuple[int, int]] | str:
    """As `_tools`, or the reason for their absence."""
    try:
        from cuda.bindings import nvjitlink, nvrtc

        failure, major, minor = nvrtc.nvrtcVersion()
        nvjitlink.version()
    except (ImportError, OSError, RuntimeError):  # RuntimeError: without the library behind a module
        return NO_COMPILER
    return NO_COMPILER if int(failure) else (nvrtc, nvjitlink, (major, minor))


def compile_source(options: tuple[str, ...]) -> tuple[bytes, str]:
    """(code, messages of the compiler) of one unit.

    Raises:
        KernelsUnavailable: no NVRTC, or a failed compilation.
    """
    nvrtc = _tools()[0]
    headers = [path for path in source_files() if path != MAIN]
    _, program = nvrtc.nvrtcCreateProgram(
        MAIN.read_bytes(), MAIN.name.encode(), len(headers), [path.read_bytes() for path in headers],
        [path.name.encode() for path in headers],
    )  # fmt: skip
    try:
        (failure,) = nvrtc.nvrtcCompileProgram(program, len(options), [option.encode() for option in options])
        _, size = nvrtc.nvrtcGetProgramLogSize(program)
        log = bytearray(size)
        nvrtc.nvrtcGetProgramLog(program, log)
        messages = log.decode(errors="replace").rstrip("\0 \n")
        if int(failure):
            raise KernelsUnavailable(f"NVRTC cannot compile them: {_first_error(messages)}")
        _, size = nvrtc.nvrtcGetCUBINSize(program)
        code = bytearray(size)
        nvrtc.nvrtcGetCUBIN(program, code)
        return bytes(code), messages
    finally:
        nvrtc.nvrtcDestroyProgram(program)


def link(architecture: str, codes: Sequence[bytes]) -> bytes:
    """Code that the driver can load, from that of all units.

    Raises:
        KernelsUnavailable: no nvJitLink, or units that do not fit.
    """
    nvjitlink = _tools()[1]
    handle = nvjitlink.create(1, [f"-arch={architecture}"])
    try:
        for number, code in enumerate(codes):
            nvjitlink.add_data(handle, nvjitlink.InputType.CUBIN, code, len(code), f"unit {number}")
        nvjitlink.complete(handle)
        linked = bytearray(nvjitlink.get_linked_cubin_size(handle))
        nvjitlink.get_linked_cubin(handle, linked)
        return bytes(linked)
    except nvjitlink.nvJitLinkError as error:
        raise KernelsUnavailable(f"nvJitLink cannot link them: {_first_error(str(error))}") from error
    finally:
        nvjitlink.destroy(handle)


def _first_error(messages: str) -> str:
    """First line that reports an error, shortened for the record."""
    lines = [line for line in messages.splitlines() if "error" in line] or messages.splitlines() or ["it says nothing"]
    return lines[0].strip()[:200]
