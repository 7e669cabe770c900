"""Starting what is measured: processes that time their own steps, or a command that is timed as a whole."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.outcome import Reading
from benchmarks.process_tree import PeakMemory
from benchmarks.stopwatch import READY

ROOT = Path(__file__).resolve().parents[1]
"""The repository: processes find the package `benchmarks` there."""

ENDING_SECONDS = 10
"""That a process has to end once nobody listens to it."""


class MeasurementError(Exception):
    """A measured process failed; the message holds the last that it said."""


def steps(module: str, *arguments: object, environment: Mapping[str, str] | None = None, copies: int = 1) -> Reading:
    """`python -m module` that times its own steps (`stopwatch`); the values of several at once are added up.

    Args:
        environment: of the process, without what finds the package; None is this one's.
        copies: processes at once, which begin to count together.

    Raises:
        MeasurementError: one of them failed.
    """
    command = [sys.executable, "-m", module, *map(str, arguments)]
    with tempfile.TemporaryFile("w+") as errors:
        running = [
            subprocess.Popen(
                command, env=_environment(environment), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                text=True,
            )
            for _ in range(copies)
        ]  # fmt: skip
        try:
            with PeakMemory(process.pid for process in running) as memory:
                for process in running:
                    _wait_until_ready(process)
                for process in running:
                    assert process.stdin is not None
                    process.stdin.write("go\n")
                    process.stdin.flush()
                said = [_last_words(process) for process in running]
        except (StopIteration, BrokenPipeError, json.JSONDecodeError):
            raise MeasurementError(f"{' '.join(command)}: {_end_of(errors)}") from None
        finally:
            for process in running:
                _end(process)
    devices = [each["device_peak_bytes"] for each in said if each.get("device_peak_bytes") is not None]
    return Reading(
        value=sum(each["value"] for each in said),
        warm_up_seconds=max(each["warm_up_seconds"] for each in said),
        # A process that is over before the first look has told its own resident set.
        peak_bytes=max(memory.peak_bytes, sum(each["resident_bytes"] for each in said) if copies == 1 else 0),
        device_peak_bytes=sum(devices) if devices else None,
        detail={"processes": said},
    )


def whole(command: Sequence[object], *, environment: Mapping[str, str] | None = None) -> Reading:
    """A command from the start of its process to its end; the value is wall time in seconds.

    Raises:
        MeasurementError: it ended with another code than 0.
    """
    words = [str(word) for word in command]
    with tempfile.TemporaryFile("w+") as errors:
        began = time.monotonic()
        process = subprocess.Popen(
            words, env=_environment(environment), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
            text=True,
        )  # fmt: skip
        try:
            with PeakMemory([process.pid]) as memory:
                output, _ = process.communicate()
                seconds = time.monotonic() - began
        finally:
            _end(process)
        if process.returncode:
            raise MeasurementError(f"{' '.join(words)}: ended with {process.returncode}: {_end_of(errors)}")
    return Reading(seconds, 0.0, memory.peak_bytes, None, {"last_line": (output.strip().splitlines() or [""])[-1]})


def told(module: str, *arguments: object, environment: Mapping[str, str] | None = None) -> Reading:
    """`python -m module` to its end; the value is what its last line says.

    Raises:
        MeasurementError: it failed.
    """
    reading = whole([sys.executable, "-m", module, *arguments], environment=environment)
    said = json.loads(reading.detail["last_line"])
    warm_up = said.get("warm_up_seconds", 0.0)
    return Reading(said["value"], warm_up, reading.peak_bytes, said.get("device_peak_bytes"), {"processes": [said]})


@contextmanager
def busy_programs(count: int) -> Iterator[None]:
    """Processes that keep a core busy each, ended when the block is left."""
    programs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for program in programs:
            program.kill()
            program.wait()


def _environment(given: Mapping[str, str] | None) -> dict[str, str]:
    """`given` with the repository where Python looks for modules."""
    environment = dict(os.environ if given is None else given)
    found = [part for part in environment.get("PYTHONPATH", "").split(os.pathsep) if part]
    return {**environment, "PYTHONPATH": os.pathsep.join([str(ROOT), *found])}


def _wait_until_ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    while next(process.stdout).strip() != READY:
        pass


def _last_words(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    lines = process.stdout.read().strip().splitlines()
    found: dict[str, Any] = json.loads(lines[-1] if lines else "")
    return found


def _end(process: subprocess.Popen[str]) -> None:
    """Close its pipes and wait for it; one that does not end by itself is killed."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):  # what it was told and did not read
                pipe.close()
    try:
        process.wait(ENDING_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _end_of(errors: Any) -> str:
    errors.seek(0)
    lines = errors.read().strip().splitlines()
    return lines[-1][:300] if lines else "it said nothing"
