"""The library: compiled once, by what there is; in words where it cannot be had, and trusted only where it may be."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cifar_lab.core.checksums import is_whole_library, seal_library
from cifar_lab.training.backends import kept_libraries
from cifar_lab.training.backends.kept_libraries import KernelsUnavailable
from cifar_lab.training.backends.kernels import compiler
from cifar_lab.training.backends.kernels.compiler import library


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    """Each test asks as a process that has not asked yet."""
    compiler._outcome.cache_clear()
    yield
    compiler._outcome.cache_clear()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty one, and where the library would be in it."""
    monkeypatch.setenv("CIFAR_LAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "kernels"


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Lets CC be a script of these lines."""

    def write(lines: str) -> Path:
        path = tmp_path / "compiler"
        path.write_text(lines)
        path.chmod(0o755)
        monkeypatch.setenv("CC", str(path))
        return path

    return write


def refusal() -> str:
    with pytest.raises(KernelsUnavailable) as caught:
        library()
    return str(caught.value)


def the_library(cache: Path) -> Path:
    (path,) = cache.iterdir()
    return path


@pytest.mark.slow
def test_it_is_kept_for_its_owner_alone_to_write(cache: Path) -> None:
    umask = os.umask(0o002)  # as where each user has a group of his own
    try:
        assert library().step
    finally:
        os.umask(umask)
    assert stat.S_IMODE(the_library(cache).stat().st_mode) == 0o644


@pytest.mark.slow
def test_the_next_process_does_not_compile(cache: Path, script: Callable[[str], Path], tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    script(f'#!/bin/sh\necho >> "{calls}"\nexec {shutil.which("cc")} "$@"\n')
    asking = [sys.executable, "-c", "from cifar_lab.training.backends.kernels.compiler import library; library().step"]
    for _ in range(2):
        subprocess.run(asking, check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    library()
    assert calls.read_text() == "\n"


@pytest.mark.slow
def test_a_library_that_was_cut_off_or_changed_is_made_anew(
    cache: Path, script: Callable[[str], Path], tmp_path: Path
) -> None:
    made = tmp_path / "made.so"
    made.write_bytes(compiler._compile(tmp_path))
    script(f'#!/bin/sh\nwhile [ "$1" != -o ]; do shift; done\ncp "{made}" "$2"\n')  # quick at the second time
    library()
    path = the_library(cache)
    whole = path.read_bytes()
    for damaged in (b"", whole[:20], whole[: len(whole) // 2], whole[:-1], b"\0" + whole[1:]):
        path.unlink()  # never into a file that this process has loaded
        path.write_bytes(damaged)
        compiler._outcome.cache_clear()
        assert library().step
        assert is_whole_library(path.read_bytes())


def test_without_a_compiler(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert refusal() == "no C compiler (cc, gcc, clang) is found"
    compiler._outcome.cache_clear()
    monkeypatch.setenv("CC", "nonexistent -m64")
    assert refusal() == "CC is nonexistent, which is not found"
    compiler._outcome.cache_clear()
    monkeypatch.setenv("CC", "'cc")
    assert refusal() == "CC is not a command (No closing quotation)"
    assert not cache.exists()


def test_a_compiler_that_fails_is_asked_once_a_process(
    cache: Path, script: Callable[[str], Path], tmp_path: Path
) -> None:
    calls = tmp_path / "calls"
    path = script(
        f'#!/bin/sh\necho >> "{calls}"\necho "some warning" >&2\necho "x.c:1: error: no such thing" >&2\nexit 1\n'
    )
    words = f"{path} cannot compile them: x.c:1: error: no such thing"
    assert [refusal(), refusal()] == [words, words]
    assert calls.read_text() == "\n\n", "with threads and without"
    assert not cache.exists()


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("#!/bin/sh\nexit 1\n", "cannot compile them: it printed nothing"),
        ("#!/bin/sh\nkill -9 $$\n", "cannot compile them: it printed nothing"),
        ("#!/nowhere\n", "cannot be run (No such file or directory)"),
        ("\0", "cannot be run (Exec format error)"),
    ],
)
def test_a_compiler_that_says_nothing(lines: str, words: str, cache: Path, script: Callable[[str], Path]) -> None:
    path = script(lines)
    assert refusal() == f"{path} {words}"


def test_a_compiler_that_makes_something_else(cache: Path, script: Callable[[str], Path]) -> None:
    script('#!/bin/sh\nwhile [ "$1" != -o ]; do shift; done\necho no library > "$2"\n')
    words = refusal()
    assert words.startswith(f"{the_library(cache)} cannot be loaded (")
    assert "\n" not in words


@pytest.mark.slow
def test_a_compiler_without_openmp_makes_kernels_of_one_thread(cache: Path, script: Callable[[str], Path]) -> None:
    cc = shutil.which("cc")
    script(f'#!/bin/sh\nfor a; do [ "$a" = -fopenmp ] && echo error: no such option && exit 1; done\nexec {cc} "$@"\n')
    assert library().step
    assert b"GOMP_parallel" not in the_library(cache).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_a_library_that_others_may_change_is_refused(mode: int, cache: Path) -> None:
    library()
    path = the_library(cache)
    path.chmod(mode)
    compiler._outcome.cache_clear()
    assert refusal() == f"{path} can be changed by other users; remove it"


@pytest.mark.slow
def test_a_library_of_another_user_is_refused(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library()
    path = the_library(cache)
    if os.getuid() == 0:
        os.chown(path, 65534, -1)
    else:
        monkeypatch.setattr(kept_libraries, "is_private", lambda status: False)
    compiler._outcome.cache_clear()
    assert refusal() == f"{path} can be changed by other users; remove it"


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files as /tmp is, and no other."""
    path = tmp_path / "temporary"
    path.mkdir()
    path.chmod(0o1777)
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    return path / f"cifar-lab-{os.geteuid()}"


@pytest.mark.slow
@pytest.mark.parametrize("part", ["kernels", "."])
@pytest.mark.parametrize("mode", [0o777, 0o775, 0o757])
def test_a_folder_that_others_can_write_is_not_used(part: str, mode: int, cache: Path, temporary: Path) -> None:
    cache.mkdir(parents=True)
    exposed = cache if part == "kernels" else cache.parent
    exposed.chmod(mode)
    assert library().step
    assert not list(cache.iterdir())
    (kept,) = temporary.iterdir()
    assert stat.S_IMODE(temporary.stat().st_mode) & 0o022 == stat.S_IMODE(kept.stat().st_mode) & 0o022 == 0


def test_without_any_private_folder_there_is_a_reason(cache: Path, temporary: Path) -> None:
    cache.parent.mkdir()
    cache.parent.chmod(0o777)
    temporary.parent.chmod(0o777)  # not sticky
    assert refusal() == (
        f"{cache.parent} and {temporary.parent} may be changed by others; "
        "set CIFAR_LAB_CACHE to a folder that only you can write"
    )


@pytest.mark.slow
def test_what_is_loaded_is_what_was_checked(cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever replaces the file after the check, even in place, changes nothing."""
    library()
    path = the_library(cache)
    real, loaded = compiler.ctypes.CDLL, []

    def replaced_at_the_last_moment(name: str) -> object:
        path.write_bytes(b"no library")
        loaded.append(name)
        return real(name)

    monkeypatch.setattr(compiler.ctypes, "CDLL", replaced_at_the_last_moment)
    compiler._outcome.cache_clear()
    assert library().step
    assert len(loaded) == 1
    assert path.read_bytes() == b"no library"


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_library_of_another_user_never_runs(cache: Path, temporary: Path, tmp_path: Path) -> None:
    """Another user puts a library with a matching checksum wherever that user may, again and again."""
    for folder in (*tmp_path.parents[:-2], tmp_path):
        folder.chmod(folder.stat().st_mode | 0o055)
    cache.mkdir(parents=True)
    cache.chmod(0o777)
    marker = tmp_path / "marks" / "ran"
    marker.parent.mkdir()
    marker.parent.chmod(0o777)
    evil = _library_that_leaves_a_mark(tmp_path, marker)
    subprocess.run([sys.executable, "-c", f"import ctypes; ctypes.CDLL('{tmp_path}/evil.so')"], check=True)
    marker.unlink()  # it would have run
    name = f"kernels-{compiler._key()}.so"
    attacker = os.fork()
    if not attacker:
        _place_for_ever(evil, [folder / name for folder in (cache, temporary)])
    try:
        for _ in range(20):
            compiler._outcome.cache_clear()
            with contextlib.suppress(KernelsUnavailable):  # where it was faster to make the folder
                assert library().step
    finally:
        os.kill(attacker, signal.SIGKILL)
        os.waitpid(attacker, 0)
    assert (cache / name).stat().st_uid == ANOTHER_USER, "it was there"
    assert not marker.exists()


ANOTHER_USER = 54321


def _library_that_leaves_a_mark(folder: Path, marker: Path) -> bytes:
    source = folder / "evil.c"
    source.write_text(
        f'#include <stdio.h>\n__attribute__((constructor)) static void mark(void) {{ fclose(fopen("{marker}", "w")); }}'
    )
    subprocess.run(["cc", "-shared", "-fPIC", str(source), "-o", str(folder / "evil.so")], check=True)
    return seal_library((folder / "evil.so").read_bytes())


def _place_for_ever(content: bytes, paths: list[Path]) -> None:
    """As another user, in a process of its own that is killed."""
    os.setgroups([])
    os.setgid(ANOTHER_USER)
    os.setuid(ANOTHER_USER)
    while True:
        for path in paths:
            with contextlib.suppress(OSError):
                path.parent.mkdir(exist_ok=True)
            with contextlib.suppress(OSError):
                path.with_suffix(".tmp").write_bytes(content)
                path.with_suffix(".tmp").replace(path)


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CIFAR_LAB_CACHE", str(tmp_path / "file"))
    assert str(tmp_path / "file" / "kernels") in refusal()
