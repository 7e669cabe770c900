"""Decoding of many image files in a process per core. A file of 32 × 32 takes 64 µs, nearly all of it in Python."""

from __future__ import annotations

import math
import pickle
import struct
import subprocess
import sys
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import IO, Any, NamedTuple, TypeAlias

from PIL import Image

from cifar_lab.core.host import available_cores
from cifar_lab.data.decoding import decode
from cifar_lab.data.findings import Kind, UnusableFileError

BATCH_FILES, BATCH_BYTES = 256, 2**22
"""Most files and bytes of a batch."""

SECONDS_PER_FILE, SECONDS_PER_BYTE = 60e-6, 1e-7
"""Decoding time of JPEG files on one core, by their number and by their size: 64 µs for 0.9 kB."""

LEAST_SECONDS = 0.5
"""Work per process that is worth its start of 0.2 s."""

CODE = "from cifar_lab.data.decoding_processes import main; main()"
"""Program of a process. With `-m` its classes would have another name than here."""

SIZE = struct.Struct("<Q")
"""Length in bytes before each message."""


class Decoded(NamedTuple):
    """Result of one file."""

    pixels: Any
    """uint8 (3, side, side). None for a file that cannot be used."""
    kinds: Sequence[Kind]
    """Notes, or the one fault."""
    reason: str = ""
    """Of the fault."""


Content: TypeAlias = bytes | Decoded
"""Content of a file, or the result of one that could not be read."""


def decode_files(contents: Iterable[Content], side: int, count: int, total_bytes: int) -> Iterator[Decoded]:
    """Decode files in their order, in several processes where that pays.

    Args:
        contents: of the files, read as they are needed.
        side: rows and columns of the result.
        count, total_bytes: number and size of the files.
    """
    seconds = count * SECONDS_PER_FILE + total_bytes * SECONDS_PER_BYTE
    processes = max(1, min(available_cores(), math.ceil(seconds / LEAST_SECONDS)))
    with _strict_warnings():
        if processes == 1:
            yield from (decode_one(content, side) for content in contents)
        else:
            yield from _decode_in(processes, contents, side)


def _decode_in(processes: int, contents: Iterable[Content], side: int) -> Iterator[Decoded]:
    idle: SimpleQueue[_Process] = SimpleQueue()
    started = [_Process(side) for _ in range(processes)]
    for process in started:
        idle.put(process)

    def work(batch: list[Content]) -> list[Decoded]:
        process = idle.get()
        try:
            return process.decode(batch)
        finally:
            idle.put(process)

    try:
        with ThreadPoolExecutor(processes) as pool:
            waiting: deque[Future[list[Decoded]]] = deque()
            for batch in _batches(contents):
                waiting.append(pool.submit(work, batch))
                if len(waiting) > 2 * processes:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
    finally:
        for process in started:
            process.close()


def decode_one(content: Content, side: int) -> Decoded:
    """Decode one file. See `_strict_warnings`."""
    if isinstance(content, Decoded):
        return content
    try:
        return Decoded(*decode(content, side))
    except UnusableFileError as error:
        return Decoded(None, [error.kind], error.reason)


def _batches(contents: Iterable[Content]) -> Iterator[list[Content]]:
    batch: list[Content] = []
    size = 0
    for content in contents:
        batch.append(content)
        size += len(content) if isinstance(content, bytes) else 0
        if len(batch) == BATCH_FILES or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


@contextmanager
def _strict_warnings() -> Iterator[None]:
    """Ignore warnings of PIL, and refuse images of too many pixels."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


class _Process:
    """One process. It ends with its input, so it never outlives this one."""

    def __init__(self, side: int) -> None:
        self._side = side
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", CODE, str(side)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def decode(self, batch: list[Content]) -> list[Decoded]:
        """Decode a batch. If the process has died, for lack of memory perhaps, it is decoded here."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            _write(self._process.stdin, batch)
            answer: list[Decoded] | None = _read(self._process.stdout)
        except OSError:
            answer = None
        return [decode_one(content, self._side) for content in batch] if answer is None else answer

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(OSError):
            self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


def _write(pipe: IO[bytes], message: object) -> None:
    content = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    pipe.write(SIZE.pack(len(content)))
    pipe.write(content)
    pipe.flush()


def _read(pipe: IO[bytes]) -> Any:
    """The next message of the other end, which is this program. None at the end."""
    header = pipe.read(SIZE.size)
    if len(header) < SIZE.size:
        return None
    content = pipe.read(SIZE.unpack(header)[0])
    return pickle.loads(content) if len(content) == SIZE.unpack(header)[0] else None


def main() -> None:
    """Decode batches of standard input until it ends. The argument is `side`."""
    side, output = int(sys.argv[1]), sys.stdout.buffer
    with _strict_warnings(), suppress(BrokenPipeError, KeyboardInterrupt):
        while (batch := _read(sys.stdin.buffer)) is not None:
            _write(output, [decode_one(content, side) for content in batch])
