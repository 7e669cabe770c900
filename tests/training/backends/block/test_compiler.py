"""The block kernel compiled for a GPU by NVRTC, which needs none: the code, its cache, and the reasons without it."""

from __future__ import annotations

import importlib.util
import re
import stat
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from cifar_lab.training.backends.block import compiler
from cifar_lab.training.backends.block.compiler import FLAGS, REGISTERS, compile_source, compiled, link
from cifar_lab.training.backends.block.jobs import PARTS
from cifar_lab.training.backends.block.shapes import NET, NET3, Shape
from cifar_lab.training.backends.block.source import source_files, units
from cifar_lab.training.backends.kept_libraries import KernelsUnavailable

from .kernels import of_every_width

SPILLED_BYTES = 500
"""Most bytes of registers that a function keeps in memory. The largest had 464, most of them its caller's."""

needs_nvrtc = pytest.mark.skipif(importlib.util.find_spec("cuda") is None, reason="needs cuda-bindings")

ARCHITECTURE = "sm_90"


def options(unit: Sequence[str]) -> tuple[str, ...]:
    return (f"--gpu-architecture={ARCHITECTURE}", *FLAGS, *unit)


@needs_nvrtc
@pytest.mark.slow
@of_every_width
def test_it_compiles_for_hopper_within_the_registers(
    model: str, shape: Shape, record_property: pytest.RecordProperty
) -> None:
    made = [compile_source((*options(unit), "--ptxas-options=-v")) for unit in units(shape, 10, PARTS)]
    messages = "".join(message for _, message in made)
    kernels = [int(each) for each in re.findall(r"Used (\d+) registers", messages)]
    spilled = [int(each) for each in re.findall(r"(\d+) bytes spill loads", messages)]
    record_property("spilled_bytes", max(spilled))
    assert max(spilled) <= SPILLED_BYTES
    assert len(kernels) == 2
    assert max(kernels) <= REGISTERS
    assert {b"train_block", b"score_block"} <= set(link(ARCHITECTURE, [code for code, _ in made]).split(b"\0"))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CIFAR_LAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "kernels"


def test_it_is_compiled_once_per_version(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []

    def compile_quickly(given: tuple[str, ...]) -> tuple[bytes, str]:
        asked.append(given)
        return " ".join(given).encode(), ""

    monkeypatch.setattr(compiler, "compile_source", compile_quickly)
    monkeypatch.setattr(compiler, "link", lambda architecture, codes: b"\n".join(codes))
    monkeypatch.setattr(compiler, "version", lambda: (13, 0))
    both = {8, 64}
    code = compiled(ARCHITECTURE, NET, 10, both)
    assert code == compiled(ARCHITECTURE, NET, 10, both)
    assert code.decode().split("\n") == [" ".join(options(unit)) for unit in units(NET, 10, both)]
    assert len(asked) == 4, "two sizes of parts, the scores and the kernel that calls them"
    path = next(iter(cache.iterdir()))
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    path.write_bytes(path.read_bytes()[:-1])
    assert compiled(ARCHITECTURE, NET, 10, both) == code
    assert len(asked) == 5, "a damaged file is made anew"
    compiled(ARCHITECTURE, NET, 10, {64})
    assert len(asked) == 6, "the size is there, and the kernel that calls it is new"
    others = (("sm_100", NET, 10), (ARCHITECTURE, NET3, 10), (ARCHITECTURE, NET, 3))
    for number, other in enumerate(others, 1):
        compiled(*other, both)
        assert len(asked) == 6 + 4 * number
    path.chmod(0o666)
    with pytest.raises(KernelsUnavailable, match=r"can be changed by other users; remove it$"):
        compiled(ARCHITECTURE, NET, 10, both)


@needs_nvrtc
def test_units_that_do_not_fit_are_told_in_one_line() -> None:
    entry, _ = compile_source(options(units(NET, 10, {64})[-1]))
    with pytest.raises(KernelsUnavailable, match=r"^nvJitLink cannot link them: .*") as caught:
        link(ARCHITECTURE, [entry])
    assert "\n" not in str(caught.value)


@needs_nvrtc
def test_a_failed_compilation_is_told_in_one_line() -> None:
    with pytest.raises(KernelsUnavailable) as caught:
        compile_source((*options(units(NET, 10, {64})[0]), "-DCLASSES=nonsense"))
    words = str(caught.value)
    assert words.startswith("NVRTC cannot compile them: ")
    assert "\n" not in words


def test_without_nvrtc_there_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    compiler._found_tools.cache_clear()
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    try:
        with pytest.raises(KernelsUnavailable, match=r"^NVRTC or nvJitLink is not installed "):
            compiler.version()
    finally:
        compiler._found_tools.cache_clear()


def test_every_file_of_the_source_is_included() -> None:
    text = "".join(path.read_text() for path in source_files())
    assert [path.name for path in source_files() if f'#include "{path.name}"' not in text] == ["block.cu"]
