"""The exceptions that a person may meet, each with the exit code of the command that it ends.

    LabError                    1
    ├── SettingsError           2   settings, usage; carries every problem found in one pass
    ├── DataError               3   a data set that is missing, broken or not what it says
    │   └── WeightsError        3   the same for a file of pretrained weights
    ├── EnvironmentFault        4   disk, permission, lock
    ├── Interrupted             130 / 143
    │   └── TimeLimit           124 as timeout(1) gives
    └── Paused                      never ends a command: a run came as far as its job asked

Every message is one line for a person: what is wrong, where, and what to do next.
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
    """One thing wrong with the settings: `where` is `file:line`, `--set` or empty; `key` is dotted or empty."""

    where: str
    key: str
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.where, self.key, self.message) if part)


class SettingsError(LabError):
    """Settings or usage that cannot be accepted; `problems` holds all of them, in file order."""

    exit_code = 2

    def __init__(self, problems: str | Sequence[Problem]) -> None:
        self.problems = (Problem("", "", problems),) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class DataError(LabError):
    """A data set that cannot be used; names the file, the reason and the way on."""

    exit_code = 3


class WeightsError(DataError):
    """Pretrained weights that are missing or do not fit the model."""


class EnvironmentFault(LabError):
    """The machine refuses: disk full, no permission, results folder held by another process."""

    exit_code = 4


class Interrupted(LabError):
    """Ended by a signal after the work was put in a state from which it resumes."""

    def __init__(self, message: str, signum: int = signal.SIGINT) -> None:
        super().__init__(message)
        self.exit_code = 128 + signum


class TimeLimit(Interrupted):
    """Ended because the time that the command was given is over, in the same state."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.exit_code = 124


class Paused(LabError):
    """A run has trained as far as its job asks, short of its end; it is kept and can go on."""
