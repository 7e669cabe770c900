"""The environment of a process that trains, as OpenMP and the C library read it."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from cifar_lab.core.openmp import KEEP_FREED_MEMORY, openmp_environment, thread_limit, usable_cores


@pytest.mark.parametrize(("limit", "expected"), [(1, 1), (3, 3), (8, 8), (64, 8), (None, 8)])
def test_a_person_can_only_lower_the_choice(limit: int | None, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert usable_cores(8, limit) == expected


@pytest.mark.parametrize(
    ("value", "limit"),
    [
        ("4", 4),
        (" 4 ", 4),
        ("4,2,1", 4),
        ("1", 1),
        ("0", None),
        ("-2", None),
        ("many", None),
        ("", None),
        ("1.5", None),
    ],
)
def test_limit(value: str, limit: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert thread_limit({"OMP_NUM_THREADS": value}) == limit
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert thread_limit() == limit
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert thread_limit() is None


PERSON = {
    "HOME": "/h",
    "OMP_NUM_THREADS": "7",
    "OMP_WAIT_POLICY": "ACTIVE",
    "KMP_BLOCKTIME": "0",
    "GOMP_SPINCOUNT": "9",
}


@pytest.mark.parametrize(
    ("threads", "expected"),
    [
        (1, {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}),
        (2, {"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2", "GOMP_SPINCOUNT": "10000", "KMP_BLOCKTIME": "1"}),
    ],
)
def test_environment(threads: int, expected: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    before = dict(PERSON)
    assert openmp_environment(threads, PERSON) == {"HOME": "/h", **KEEP_FREED_MEMORY, **expected}
    assert openmp_environment(threads, {"MALLOC_TRIM_THRESHOLD_": "0"})["MALLOC_TRIM_THRESHOLD_"] == "0"
    assert before == PERSON
    monkeypatch.setenv("CIFAR_LAB_OF_THIS_PROCESS", "here")
    assert openmp_environment(threads)["CIFAR_LAB_OF_THIS_PROCESS"] == "here"


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="torch has GNU OpenMP on Linux")
@pytest.mark.parametrize(("threads", "policy", "spins"), [(1, "PASSIVE", "0"), (2, "PASSIVE", "10000")])
def test_openmp_itself_hears_it(threads: int, policy: str, spins: str) -> None:
    """GNU OpenMP calls PASSIVE whatever is not ACTIVE; the rounds that it waits tell the two apart."""
    environment = {**openmp_environment(threads, {**os.environ, **PERSON}), "OMP_DISPLAY_ENV": "VERBOSE"}
    code = "import torch; print(torch.get_num_threads())"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == f"{threads}\n"
    said = {line.strip() for line in done.stderr.splitlines()}
    assert {f"OMP_WAIT_POLICY = '{policy}'", f"GOMP_SPINCOUNT = '{spins}'"} <= said


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is another")
def test_memory_that_a_step_freed_is_there_for_the_next() -> None:
    """A process by itself gives a freed block of 20 MB back to the system at once."""
    code = (
        "import os, torch\n"
        "pages = lambda: int(open('/proc/self/statm').read().split()[1]) * os.sysconf('SC_PAGE_SIZE')\n"
        "before = pages(); block = torch.ones(5_000_000); del block; print(pages() - before)"
    )
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    kept, given_back = (
        int(subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True).stdout)
        for environment in (openmp_environment(1, plain), plain)
    )
    assert given_back < 5_000_000 < 15_000_000 < kept
