"""Compilation of the kernels, one library per processor, and ctypes mirrors of their structures. No torch."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from ctypes import POINTER, Structure, c_double, c_float, c_int32, c_int64, c_void_p
from enum import IntEnum
from functools import lru_cache
from pathlib import Path

from cifar_lab.core.host import processor_features, processor_name
from cifar_lab.training.backends.kept_libraries import KernelsUnavailable, kept_or_made, private_scratch

SOURCES = Path(__file__).parent

FLAGS = ("-O3", "-march=native", "-ffp-contract=fast", "-fno-math-errno", "-fPIC", "-shared", "-w")

THREADS_FLAG = "-fopenmp"
"""Omitted if the compiler has no OpenMP. A step then uses one thread."""

COMPILE_SECONDS = 120
"""Time limit. A compilation takes one to three seconds."""


def library() -> ctypes.CDLL:
    """Compiled kernels.

    Raises:
        KernelsUnavailable: no C compiler, a failed compilation, or a cache that is not writable or not private.
    """
    if isinstance(outcome := _outcome(), str):
        raise KernelsUnavailable(outcome)
    return outcome


@lru_cache(maxsize=1)
def _outcome() -> ctypes.CDLL | str:
    """Library, or the reason for its absence. Cached per process, because a compiler may fail slowly."""
    try:
        return _load()
    except KernelsUnavailable as error:
        return str(error)


def _load() -> ctypes.CDLL:
    """Library from the cache, compiled if it is missing or damaged.

    The bytes that were checked are loaded, not whatever has the name afterwards.
    """
    content, path = kept_or_made(f"kernels-{_key()}.so", _compile)
    return _loaded(content, path)


def _loaded(content: bytes, path: Path) -> ctypes.CDLL:
    """Load these bytes, from memory where the system can."""
    try:
        return ctypes.CDLL(_in_memory(content))
    except OSError:
        pass  # no such system call, or no execution from memory. The folder is private
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise KernelsUnavailable(f"{path} cannot be loaded ({error})") from error


def _in_memory(content: bytes) -> str:
    """Path of a file in memory that nothing can change. It stays open, because the loader knows a library by its path.

    Raises:
        OSError: the system has no such files.
    """
    if not hasattr(os, "memfd_create"):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    descriptor = os.memfd_create("cifar-lab-kernels", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(content)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK)
    return f"/proc/self/fd/{descriptor}"


def _sources() -> list[Path]:
    return sorted(path for path in SOURCES.iterdir() if path.suffix in (".c", ".h"))


def _key() -> str:
    """Hash of everything that a library depends on. Machines of several kinds may share a home folder."""
    parts = [*(path.read_text(encoding="utf-8") for path in _sources()), *FLAGS, *_command()]
    parts += [platform.machine(), processor_name(), processor_features()]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _command() -> list[str]:
    """C compiler that CC names, or the system's."""
    try:
        asked = shlex.split(os.environ.get("CC", ""))
    except ValueError as error:
        raise KernelsUnavailable(f"CC is not a command ({error})") from error
    for command in [asked] if asked else [["cc"], ["gcc"], ["clang"]]:
        if (found := shutil.which(command[0])) is not None:
            return [found, *command[1:]]
    if asked:
        raise KernelsUnavailable(f"CC is {asked[0]}, which is not found")
    raise KernelsUnavailable("no C compiler (cc, gcc, clang) is found")


def _compile(keep: Path) -> bytes:
    """Compile the sources and return the library.

    Args:
        keep: folder for the compiler's files where others can write the one for temporary files.

    Raises:
        KernelsUnavailable: the compiler fails, or takes too long.
        OSError: no space for its files.
    """
    files = [str(path) for path in _sources() if path.suffix == ".c"]
    with tempfile.TemporaryDirectory(prefix="cifar-lab-", dir=private_scratch(keep)) as folder:
        library_path = Path(folder) / "kernels.so"
        complaint = ""
        for extra in ((THREADS_FLAG,), ()):
            command = [*_command(), *FLAGS, *extra, *files, "-o", str(library_path), "-lm"]
            try:
                # In a session of its own: a Ctrl-C stops runs at the end of an epoch, and is no fault of the compiler.
                done = subprocess.run(
                    command, capture_output=True, timeout=COMPILE_SECONDS, stdin=subprocess.DEVNULL, check=False,
                    start_new_session=True, env={**os.environ, "LC_ALL": "C", "TMPDIR": folder},
                )  # fmt: skip
            except OSError as error:
                raise KernelsUnavailable(f"{command[0]} cannot be run ({error.strerror})") from error
            except subprocess.TimeoutExpired:
                raise KernelsUnavailable(f"{command[0]} takes more than {COMPILE_SECONDS} s") from None
            if done.returncode == 0:
                return library_path.read_bytes()
            complaint = _first_error(done.stderr.decode(errors="replace"))
        raise KernelsUnavailable(f"{_command()[0]} cannot compile them: {complaint}")


def _first_error(output: str) -> str:
    """First line that reports an error, shortened for the record."""
    lines = [line for line in output.splitlines() if "error" in line] or output.splitlines() or ["it printed nothing"]
    return lines[0].strip()[:200]


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
        *((name, c_void_p) for name in ("pixels", "ready", "labels", "others", "chosen", "offsets", "flips")),
        ("scale", c_float * 3),
        ("shift", c_float * 3),
        *((name, c_int32) for name in ("padding", "images", "reflect")),
        ("share", c_float),
    )
    kept: object = None
    """Owners of the memory that the addresses point to, kept alive while the batch is used."""


class KernelWorker(Structure):
    """See `worker` in kernels.h."""

    _fields_ = (
        *((name, c_int32) for name in ("group", "slot", "count", "first")),
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
