"""Number of GPUs for torch as NVIDIA's driver reports it, in milliseconds. torch, asked in a process, takes seconds.

In doubt the answer is None, and torch is asked: with a driver older than torch's CUDA, with MIG, with GPUs that are
named by their UUID, or where the library does not answer.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LIBRARY = "libnvidia-ml.so.1"
"""NVML, a part of the driver (NVML API reference)."""


def driver_gpu_count(
    library: str = LIBRARY, environment: Mapping[str, str] | None = None, built_for: int | None = None
) -> int | None:
    """Number of GPUs that torch will see. None where only torch knows.

    Args:
        library: NVML.
        environment: of this process by default.
        built_for: major version of torch's CUDA, by default of the installed torch. 0 for a build without CUDA.
    """
    built_for = torch_cuda_major() if built_for is None else built_for
    if built_for is None:
        return None
    if built_for == 0:
        return 0
    try:
        nvml = ctypes.CDLL(library)
        if nvml.nvmlInit_v2():
            return None
    except (OSError, AttributeError):
        return None
    try:
        count = _usable(nvml, built_for)
    except AttributeError:  # an old library
        return None
    finally:
        nvml.nvmlShutdown()
    return None if count is None else _visible(count, os.environ if environment is None else environment)


def _usable(nvml: Any, built_for: int) -> int | None:
    """Number of the driver's GPUs, if all can be opened, none is divided, and the driver knows torch's CUDA."""
    version, count = ctypes.c_int(), ctypes.c_uint()
    if nvml.nvmlSystemGetCudaDriverVersion_v2(ctypes.byref(version)) or version.value // 1000 < built_for:
        return None
    if nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)):
        return None
    for number in range(count.value):
        device, now, pending = ctypes.c_void_p(), ctypes.c_uint(), ctypes.c_uint()
        if nvml.nvmlDeviceGetHandleByIndex_v2(number, ctypes.byref(device)):
            return None
        # An error means a GPU without MIG.
        if not nvml.nvmlDeviceGetMigMode(device, ctypes.byref(now), ctypes.byref(pending)) and now.value:
            return None
    return count.value


def _visible(count: int, environment: Mapping[str, str]) -> int | None:
    """Number of GPUs that CUDA_VISIBLE_DEVICES leaves of `count`. None for a list that only CUDA reads."""
    if (listed := environment.get("CUDA_VISIBLE_DEVICES")) is None:
        return count
    if not listed.strip():
        return 0
    numbers = [name.strip() for name in listed.split(",")]
    if not all(name.isdecimal() and int(name) < count for name in numbers) or len(set(numbers)) < len(numbers):
        return None
    return len(numbers)


def torch_cuda_major() -> int | None:
    """Major version of the CUDA that the installed torch was built for, without importing it. 0 without CUDA."""
    spec = importlib.util.find_spec("torch")
    try:
        text = (Path(spec.origin).parent / "version.py").read_text() if spec is not None and spec.origin else ""
    except OSError:
        return None
    found = re.search(r"^cuda\b[^=]*= *(None|'(\d+)\.\d+')", text, re.MULTILINE)
    return None if found is None else int(found[2] or 0)
