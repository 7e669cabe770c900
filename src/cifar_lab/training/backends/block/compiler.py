"""Compilation of the block kernel for a GPU by NVRTC, the compiler that torch's packages for CUDA bring. No torch."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from functools import cache
from threading import Lock
from typing import Any

from cifar_lab.core.checksums import unseal_library
from cifar_lab.training.backends.block.source import MAIN, definitions, source_files
from cifar_lab.training.backends.kept_libraries import KernelsUnavailable, kept_or_made

FLAGS = ("--std=c++17",)

_compiling: defaultdict[str, Lock] = defaultdict(Lock)
"""Held while the code with a key is compiled."""

NO_COMPILER = "NVRTC is not installed (package cuda-bindings, a dependency of torch for CUDA)"


def compiled(architecture: str, classes: int, parts: int) -> bytes:
    """Code of the kernel for a GPU, from the cache if it is there.

    Args:
        architecture: such as `sm_90`.
        classes: number of logits.
        parts: sizes of parts of a batch, added up. Each takes some seconds to compile.

    Raises:
        KernelsUnavailable: no NVRTC, a failed compilation, or a cache that is not writable or not private.
    """
    options = (f"--gpu-architecture={architecture}", *FLAGS, *definitions(classes, parts))
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
    if isinstance(found := _nvrtc(), str):
        raise KernelsUnavailable(found)
    return found[1]


@cache
def _nvrtc() -> tuple[Any, tuple[int, int]] | str:
    """The module and its version, or the reason for their absence."""
    try:
        from cuda.bindings import nvrtc

        failure, major, minor = nvrtc.nvrtcVersion()
    except (ImportError, OSError, RuntimeError):  # RuntimeError: without the library behind the module
        return NO_COMPILER
    return NO_COMPILER if int(failure) else (nvrtc, (major, minor))


def compile_source(options: tuple[str, ...]) -> tuple[bytes, str]:
    """(code, messages of the compiler).

    Raises:
        KernelsUnavailable: no NVRTC, or a failed compilation.
    """
    version()
    found = _nvrtc()
    assert not isinstance(found, str)
    nvrtc = found[0]
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


def _first_error(messages: str) -> str:
    """First line that reports an error, shortened for the record."""
    lines = [line for line in messages.splitlines() if "error" in line] or messages.splitlines() or ["it says nothing"]
    return lines[0].strip()[:200]
