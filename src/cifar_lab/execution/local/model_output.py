"""Relay of the lines that a custom model prints in a worker: to the parent as events, each once per run."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from typing import IO, Any, cast

from cifar_lab.config import CustomModel
from cifar_lab.training.events import ModelOutput
from cifar_lab.training.job import Job

MOST_LINES = 20
"""Different lines that are shown per run, or per trial."""

MOST_CHARACTERS = 500
"""Characters of a line that are shown."""

LEFT_OUT = f"further lines are not shown (more than {MOST_LINES} different ones)"


class DistinctLines:
    """Lines that were not seen before, up to MOST_LINES and then one that says so."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def new(self, line: str) -> str | None:
        """The line as it is shown. None where it is not."""
        line = line.rstrip()
        if not line.strip() or line in self._seen or len(self._seen) > MOST_LINES:
            return None
        self._seen.add(line)
        if len(self._seen) > MOST_LINES:
            return LEFT_OUT
        return line if len(line) <= MOST_CHARACTERS else f"{line[:MOST_CHARACTERS]}…"


class _Relay:
    """Stream that also hands on each complete line. Everything else is that of the stream behind it."""

    def __init__(self, stream: IO[str], line: Callable[[str], None]) -> None:
        self._stream, self._line = stream, line
        self._begun = ""
        self._lock = threading.RLock()

    def write(self, text: str) -> int:
        with self._lock:
            self._stream.write(text)
            *whole, self._begun = (self._begun + text).replace("\r", "\n").split("\n")
            self._begun = self._begun[: 2 * MOST_CHARACTERS]
            for each in whole:
                self._line(each)
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        for each in lines:
            self.write(each)

    def finish(self) -> None:
        """Hand on a last line without an end."""
        if self._begun:
            self.write("\n")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def relayed_output(job: Job, tell: Callable[[Job, ModelOutput], None]) -> Iterator[None]:
    """Tell the lines that Python code writes to standard output and standard error, if the job has a custom model."""
    if not isinstance(job.settings.model, CustomModel):
        yield
        return
    lines = DistinctLines()

    def new(line: str) -> None:
        if (shown := lines.new(line)) is not None:
            tell(job, ModelOutput(shown))

    before, relays = (sys.stdout, sys.stderr), (_Relay(sys.stdout, new), _Relay(sys.stderr, new))
    sys.stdout, sys.stderr = cast(IO[str], relays[0]), cast(IO[str], relays[1])
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        for relay in relays:
            relay.finish()
