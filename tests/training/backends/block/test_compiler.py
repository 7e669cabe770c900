"""The block kernel compiled for a GPU by NVRTC, which needs none: the code, its cache, and the reasons without it."""

from __future__ import annotations

import importlib.util
import re
import stat
import sys
from pathlib import Path

import pytest

from cifar_lab.training.backends.block import compiler
from cifar_lab.training.backends.block.compiler import FLAGS, compile_source, compiled
from cifar_lab.training.backends.block.jobs import PARTS, THREADS
from cifar_lab.training.backends.block.shapes import NET, NET3, Shape
from cifar_lab.training.backends.block.source import definitions, source_files
from cifar_lab.training.backends.kept_libraries import KernelsUnavailable

from .kernels import of_every_width

SPILLED_BYTES = 500
"""Most bytes of registers that a function keeps in memory. The largest had 492."""

needs_nvrtc = pytest.mark.skipif(importlib.util.find_spec("cuda") is None, reason="needs cuda-bindings")


def options(part: int, shape: Shape = NET) -> tuple[str, ...]:
    return ("--gpu-architecture=sm_90", *FLAGS, *definitions(shape, 10, part))


@needs_nvrtc
@pytest.mark.slow
@of_every_width
@pytest.mark.parametrize("part", PARTS)
def test_it_compiles_for_hopper_within_the_registers(
    part: int, model: str, shape: Shape, record_property: pytest.RecordProperty
) -> None:
    code, messages = compile_source((*options(part, shape), "--ptxas-options=-v"))
    assert code.startswith(b"\x7fELF")
    registers = [int(each) for each in re.findall(r"Used (\d+) registers", messages)]
    spilled = [int(each) for each in re.findall(r"(\d+) bytes spill loads", messages)]
    record_property("registers", max(registers))
    record_property("spilled_bytes", max(spilled))
    assert max(registers) <= 65_536 // THREADS
    assert max(spilled) <= SPILLED_BYTES


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CIFAR_LAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "kernels"


def test_it_is_compiled_once_per_version(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def compile_quickly(given: tuple[str, ...]) -> tuple[bytes, str]:
        asked.append(given)
        return b"code " + str(len(asked)).encode(), ""

    monkeypatch.setattr(compiler, "compile_source", compile_quickly)
    monkeypatch.setattr(compiler, "version", lambda: (13, 0))
    assert compiled("sm_90", NET, 10, 64) == compiled("sm_90", NET, 10, 64) == b"code 1"
    (path,) = cache.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    path.write_bytes(path.read_bytes()[:-1])
    assert compiled("sm_90", NET, 10, 64) == b"code 2", "a damaged file is made anew"
    others = (
        ("sm_100", NET, 10, 64), ("sm_90", NET3, 10, 64), ("sm_90", NET, 3, 64), ("sm_90", NET, 10, 8),
    )  # fmt: skip
    for number, other in enumerate(others, 3):
        assert compiled(*other) == f"code {number}".encode()
    assert asked[0] == options(64)
    path.chmod(0o666)
    with pytest.raises(KernelsUnavailable, match=r"can be changed by other users; remove it$"):
        compiled("sm_90", NET, 10, 64)


@needs_nvrtc
def test_a_failed_compilation_is_told_in_one_line() -> None:
    with pytest.raises(KernelsUnavailable) as caught:
        compile_source((*options(64), "-DCLASSES=nonsense"))
    words = str(caught.value)
    assert words.startswith("NVRTC cannot compile them: ")
    assert "\n" not in words


def test_without_nvrtc_there_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    compiler._nvrtc.cache_clear()
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    try:
        with pytest.raises(KernelsUnavailable, match=r"^NVRTC is not installed "):
            compiler.version()
    finally:
        compiler._nvrtc.cache_clear()


def test_every_file_of_the_source_is_included() -> None:
    text = "".join(path.read_text() for path in source_files())
    assert [path.name for path in source_files() if f'#include "{path.name}"' not in text] == ["block.cu"]
