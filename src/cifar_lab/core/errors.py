"""Exceptions shown to users, each with the exit code of the command.

    LabError                    1
    ├── SettingsError           2   settings, usage: carries every problem found in one pass
    │   └── MissingResultsError 2   a results folder that does not exist
    ├── DataError               3   a data set or results that are missing, damaged or not as described
    │   └── WeightsError        3   the same for a file of pretrained weights
    ├── EnvironmentFault        4   disk, permission, lock
    ├── MissingExtraError       6   an optional package: names the command that installs it
    ├── Interrupted             130 / 143
    │   └── TimeLimit           124 as timeout(1) gives
    └── Paused                      never ends a command: a run reached the last epoch of its job

Every message is one line: the fault, its location, and the remedy.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes, the same in every command. `meaning` is their line in the documents."""

    meaning: str

    def __new__(cls, value: int, meaning: str) -> ExitCode:
        code = int.__new__(cls, value)
        code._value_, code.meaning = value, meaning
        return code

    DONE = 0, "success"
    RUNS_FAILED = 1, "some runs failed, `report --check` found a difference, or a claim does not hold"
    USAGE = 2, "settings or usage are wrong, or the results folder does not exist"
    DATA = 3, "data, weights or results are missing or damaged"
    ENVIRONMENT = 4, "disk full, no permission, no file locks, or `--force` on runs that another command holds"
    DIVERGED = 5, "a run of `run` diverged (`sweep`: only with `--strict`)"
    EXTRA = 6, "an optional package is not installed"
    TIME_LIMIT = 124, "`--time-limit` was reached, or SIGUSR1 announced the end of a job"
    INTERRUPTED = 130, "stopped by SIGINT (Ctrl-C)"
    TERMINATED = 143, "stopped by SIGTERM"


PRECEDENCE = (
    ExitCode.TERMINATED, ExitCode.INTERRUPTED, ExitCode.TIME_LIMIT, ExitCode.ENVIRONMENT, ExitCode.DATA,
    ExitCode.EXTRA, ExitCode.USAGE, ExitCode.RUNS_FAILED, ExitCode.DIVERGED, ExitCode.DONE,
)  # fmt: skip
"""Exit codes in the order in which they count where several hold."""


def exit_code_of(codes: Iterable[int]) -> int:
    """Exit code of a command for which all `codes` hold. 0 for none."""
    held = set(codes)
    others = held.difference(PRECEDENCE)  # of a signal without a line above
    return max(others) if others else int(next((code for code in PRECEDENCE if code in held), ExitCode.DONE))


class LabError(Exception):
    """Base of every error that is shown without a traceback."""

    exit_code: int = ExitCode.RUNS_FAILED


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

    exit_code = ExitCode.USAGE

    def __init__(self, problems: str | Sequence[Problem]) -> None:
        self.problems = (Problem("", "", problems),) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class MissingResultsError(SettingsError):
    """A results folder that does not exist, in a command that only reads."""


class DataError(LabError):
    """An unusable data set, or damaged results. The message names the file, the reason and the remedy."""

    exit_code = ExitCode.DATA


class WeightsError(DataError):
    """Pretrained weights that are missing or do not fit the model."""


class EnvironmentFault(LabError):
    """A failure of the machine: disk full, no permission, no locks, or runs to discard that another process holds."""

    exit_code = ExitCode.ENVIRONMENT


class MissingExtraError(LabError):
    """An optional package that is not installed. `core.extras` writes the message."""

    exit_code = ExitCode.EXTRA


class Interrupted(LabError):
    """Stopped by a signal, in a state that can be resumed."""

    def __init__(self, message: str, signum: int = signal.SIGINT) -> None:
        super().__init__(message)
        self.exit_code = 128 + signum


class TimeLimit(Interrupted):
    """Stopped by the time limit of the command or of its job, in a state that can be resumed."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.exit_code = ExitCode.TIME_LIMIT


class Paused(LabError):
    """A run stopped after the last epoch of its job, before its own end. It can be resumed."""


def error_of(exit_code: int, message: str) -> LabError:
    """Exception with the exit code of a failed run or of a worker's answer."""
    kinds: tuple[type[LabError], ...] = (SettingsError, DataError, EnvironmentFault, MissingExtraError)
    return next((kind for kind in kinds if kind.exit_code == exit_code), LabError)(message)
