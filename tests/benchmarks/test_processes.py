"""Measured processes as the harness starts them, here without torch."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.processes import ROOT, MeasurementError, busy_programs, steps, told, whole

STEPS = """
from benchmarks.stopwatch import measure_rate, report
import sys, time
def make():
    for _ in range(int(sys.argv[1])):
        time.sleep(0.01)
        yield 5
report(measure_rate(make(), 0.1, warm_up_steps=2))
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "sleepy.py").write_text(STEPS)
    (tmp_path / "failing.py").write_text("print('ready'); raise SystemExit('no such device')")
    (tmp_path / "teller.py").write_text("print('noise')\nprint('{\"value\": 2.5, \"warm_up_seconds\": 1.5}')")
    return {**os.environ, "PYTHONPATH": str(tmp_path)}


def test_processes_at_once_add_up(environment: dict[str, str]) -> None:
    one = steps("sleepy", 1000, environment=environment)
    two = steps("sleepy", 1000, environment=environment, copies=2)
    assert 100 < one.value <= 500  # 5 images in 10 ms and a little
    assert two.value == sum(said["value"] for said in two.detail["processes"])
    assert len(two.detail["processes"]) == 2
    assert one.warm_up_seconds >= 0.02
    assert one.peak_bytes > 2**20
    assert one.detail["processes"][0]["steps"] >= 2


def test_steps_that_end_too_soon_are_no_measurement(environment: dict[str, str]) -> None:
    with pytest.raises(MeasurementError, match=r"steps ended after 1, before 0\.1 s"):
        steps("sleepy", 3, environment=environment)


def test_a_process_that_fails_says_why(environment: dict[str, str]) -> None:
    with pytest.raises(MeasurementError, match="no such device"):
        steps("failing", environment=environment)
    with pytest.raises(MeasurementError, match="ended with 1: no such device"):
        whole([sys.executable, "-m", "failing"], environment=environment)


def test_a_process_can_tell_its_own_value(environment: dict[str, str]) -> None:
    reading = told("teller", environment=environment)
    assert (reading.value, reading.warm_up_seconds) == (2.5, 1.5)


def test_a_whole_command_is_timed_from_outside() -> None:
    reading = whole([sys.executable, "-c", "import time; time.sleep(0.3); print('done')"])
    assert 0.3 <= reading.value < 5
    assert reading.detail == {"last_line": "done"}


def test_busy_programs_end_with_the_block() -> None:
    with busy_programs(1):
        time.sleep(0.05)
    left = subprocess.run(["ps", "--ppid", str(os.getpid()), "-o", "args="], capture_output=True, text=True).stdout
    assert "while True: pass" not in left


def test_the_package_is_found_from_anywhere(tmp_path: Path) -> None:
    assert (ROOT / "benchmarks" / "__main__.py").is_file()
    assert whole([sys.executable, "-P", "-c", "import benchmarks.stopwatch"]).value > 0
