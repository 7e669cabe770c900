"""Decoding in several processes gives the results of one, in their order."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cifar_lab.data import decoding_processes
from cifar_lab.data.decoding import BROKEN, EMPTY, RESIZED
from cifar_lab.data.decoding_processes import Decoded, decode_files


def files(count: int) -> Iterator[bytes]:
    for number in range(count):
        if number % 7 == 3:
            yield b"" if number % 2 else b"no image"
            continue
        pixels = np.full((8, 8 if number % 5 else 12, 3), number % 256, np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        yield buffer.getvalue()


def plain(results: Iterable[Decoded]) -> list[Any]:
    return [(None if each.pixels is None else each.pixels.tolist(), *each[1:]) for each in results]


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding_processes, "available_cores", lambda: 2)
    monkeypatch.setattr(decoding_processes, "BATCH_FILES", 10)


@pytest.mark.usefixtures("two_cores")
def test_two_processes_give_what_one_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    several = plain(decode_files(files(95), 8, 100_000, 0))
    monkeypatch.setattr(decoding_processes, "available_cores", lambda: 1)
    assert several == plain(decode_files(files(95), 8, 100_000, 0))
    assert (several[3][1][0], several[10][1][0], next(iter(several[5][1]))) == (EMPTY, BROKEN, RESIZED)
    assert len(several) == 95


@pytest.mark.usefixtures("two_cores")
def test_files_of_a_process_that_dies_are_decoded_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding_processes, "CODE", "import sys; sys.stdin.buffer.read(9)")
    assert plain(decode_files(files(30), 8, 100_000, 0)) == plain(decode_files(files(30), 8, 1, 0))


def test_few_files_start_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding_processes, "CODE", "0/0")
    assert len(list(decode_files(files(20), 8, 20, 20_000))) == 20
    assert list(decode_files([], 8, 0, 0)) == []
