"""Exceptions shown to users, each with the exit code of the command.

    LabError                    1
    ├── SettingsError           2   settings, usage: carries every problem found in one pass
    ├── DataError               3   a data set that is missing, broken or not as described
    │   └── WeightsError        3   the same for a file of pretrained weights
    ├── EnvironmentFault        4   disk, permission, lock
    ├── Interrupted             130 / 143
    │   └── TimeLimit           124 as timeout(1) gives
    └── Paused                      never ends a command: a run reached the last epoch of its job

Every message is one line: the fault, its location, and the remedy.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass


class LabError(Exception):
    """Base of every error that is shown without a traceback."""

    exit_code = 1


@dataclass(frozen=True)
class Problem:
    """One problem of the settings: `where` is `file:line`, `--set` or empty, `key` is dotted or empty."""

    where: str
    key: str
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.where, self.key, self.message) if part)


class SettingsError(LabError):
    """Invalid settings or usage. `problems` holds all problems, in file order."""

    exit_code = 2

    def __init__(self, problems: str | Sequence[Problem]) -> None:
        self.problems = (Problem("", "", problems),) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class DataError(LabError):
    """An unusable data set. The message names the file, the reason and the remedy."""

    exit_code = 3


class WeightsError(DataError):
    """Pretrained weights that are missing or do not fit the model."""


class EnvironmentFault(LabError):
    """A failure of the machine: disk full, no permission, results folder locked by another process."""

    exit_code = 4


class Interrupted(LabError):
    """Stopped by a signal, in a state that can be resumed."""

    def __init__(self, message: str, signum: int = signal.SIGINT) -> None:
        super().__init__(message)
        self.exit_code = 128 + signum


class TimeLimit(Interrupted):
    """Stopped by the command's time limit, in a state that can be resumed."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.exit_code = 124


class Paused(LabError):
    """A run stopped after the last epoch of its job, before its own end. It can be resumed."""
