"""Warnings of a command: each line once on standard error. Damage that was left out is remembered for the exit code."""

from __future__ import annotations

import logging
from types import TracebackType

from cifar_lab.core.host import print_status
from cifar_lab.core.text import plain
from cifar_lab.store.left_out import LEFT_OUT

LAB = logging.getLogger("cifar_lab")


class Notices(logging.Handler):
    """Context in which the lab's warnings are printed."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.damage = False
        """Whether a reader left damage out."""
        self._said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        self.damage = self.damage or record.name == LEFT_OUT
        line = plain(record.getMessage())
        if line not in self._said:
            self._said.add(line)
            print_status(f"cifar-lab: {line}")

    def __enter__(self) -> Notices:
        LAB.addHandler(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        LAB.removeHandler(self)
