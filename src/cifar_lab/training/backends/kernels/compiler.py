"""Compilation of the kernels: one library per processor, kept in the cache. No torch."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

from cifar_lab.core.atomic_io import make_folder, write_bytes
from cifar_lab.core.checksums import is_whole_library, seal_library
from cifar_lab.core.errors import LabError, SettingsError
from cifar_lab.core.host import processor_features, processor_name
from cifar_lab.data.cache import home

SOURCES = Path(__file__).parent

FLAGS = ("-O3", "-march=native", "-ffp-contract=fast", "-fno-math-errno", "-fPIC", "-shared", "-w")

THREADS_FLAG = "-fopenmp"
"""Omitted if the compiler has no OpenMP. A step then uses one thread."""

COMPILE_SECONDS = 120
"""Time limit. A compilation takes one to three seconds."""


class KernelsUnavailable(Exception):
    """The kernels are not available. The message gives the reason for the record."""

    def as_settings_error(self) -> SettingsError:
        """Error for settings that require the kernels."""
        return SettingsError(f"runtime.kernels: own cannot be had: {self}; use --set runtime.kernels=auto")


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
    path = _folder() / f"kernels-{_key()}.so"
    try:
        if not is_whole_library(path):
            content = _compile()
            make_folder(path.parent)
            write_bytes(path, seal_library(content), mode=0o644)
        status = path.stat()
    except LabError as error:
        raise KernelsUnavailable(f"they cannot be kept: {error}") from error
    except OSError as error:
        raise KernelsUnavailable(f"{path.parent}: {error.strerror}") from error
    # A library runs as whoever loads it.
    if status.st_uid not in (os.getuid(), 0) or status.st_mode & 0o022:
        raise KernelsUnavailable(f"{path} may be changed by others; remove it")
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise KernelsUnavailable(f"{path} cannot be loaded ({error})") from error


def _folder() -> Path:
    try:
        return home() / "kernels"
    except LabError as error:
        raise KernelsUnavailable(str(error)) from error


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
        raise KernelsUnavailable(f"CC is no command ({error})") from error
    for command in [asked] if asked else [["cc"], ["gcc"], ["clang"]]:
        if (found := shutil.which(command[0])) is not None:
            return [found, *command[1:]]
    if asked:
        raise KernelsUnavailable(f"CC is {asked[0]}, which is not found")
    raise KernelsUnavailable("no C compiler (cc, gcc, clang) is found")


def _compile() -> bytes:
    """Compile the sources and return the library.

    Raises:
        KernelsUnavailable: the compiler fails, or takes too long.
        OSError: no space for its files.
    """
    files = [str(path) for path in _sources() if path.suffix == ".c"]
    with tempfile.TemporaryDirectory(prefix="cifar-lab-") as folder:
        library_path = Path(folder) / "kernels.so"
        complaint = ""
        for extra in ((THREADS_FLAG,), ()):
            command = [*_command(), *FLAGS, *extra, *files, "-o", str(library_path), "-lm"]
            try:
                # In a session of its own: a Ctrl-C stops runs at the end of an epoch, and is no fault of the compiler.
                done = subprocess.run(
                    command, capture_output=True, timeout=COMPILE_SECONDS, stdin=subprocess.DEVNULL, check=False,
                    start_new_session=True, env={**os.environ, "LC_ALL": "C"},
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
    lines = [line for line in output.splitlines() if "error" in line] or output.splitlines() or ["it says nothing"]
    return lines[0].strip()[:200]
