"""A thousand runs in a folder; `benchmarks/many_records.py` does the same by hand with ten thousand."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from cifar_lab.data import DatasetCatalog
from cifar_lab.execution.plan import plan_runs
from cifar_lab.store import run_folder
from cifar_lab.studies.sweep import load_sweep

from .registry import Case, case

RUNS = 1000
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

MEASURED = """
import sys
from cifar_lab.cli import main
sys.argv = ["cifar-lab", *sys.argv[1:]]
try:
    main()
finally:
    print("peak", *(line for line in open("/proc/self/status") if line.startswith("VmHWM")), file=sys.stderr)
"""


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the results of a sweep of so many points, and a sheet."""
    folder = tmp_path_factory.mktemp("many")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        patch.setenv("CIFAR_LAB_CACHE", str(folder / "cache"))
        patch.setattr(os, "fsync", lambda descriptor: None)
        from many_records import make_results, write_files

        write_files(folder, RUNS)
        assert make_results(folder) == RUNS
    return folder


def measured(many: Path, *words: str) -> tuple[float, int, str]:
    """(seconds, MiB, output) of a command in that folder."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *words], cwd=many, capture_output=True, text=True, timeout=120,
        env={**os.environ, "CIFAR_LAB_CACHE": str(many / "cache")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return time.monotonic() - began, int(done.stderr.rpartition("VmHWM:")[2].split()[0]) // 1024, done.stdout


@pytest.mark.slow
@case(
    34,
    "a sweep whose runs are all there is given again",
    remains="those runs",
    says="the search is over; without --dry-run its winners are trained with fresh seeds and tested",
)
def test_a_sweep_of_a_thousand_runs_starts_soon(many: Path, case: Case) -> None:
    seconds, mebibytes, told = measured(many, "sweep", "sweep.yaml", "--dry-run")
    case.check(told)
    assert seconds < 10, "a generous bound, for a busy machine"
    assert mebibytes < 150


@pytest.mark.slow
@case(34, "a report on a folder of many runs", remains="the report", says="wrote {path}report.md{more}")
def test_a_report_on_a_thousand_runs_is_there_soon(many: Path, case: Case) -> None:
    seconds, mebibytes, told = measured(many, "report", "--lab", "sheet.yaml")
    case.check(told)
    assert seconds < 10
    assert mebibytes < 200


@pytest.mark.slow
@case(34, "a plan of many runs", remains="nothing changes: each record is read once")
def test_a_plan_reads_each_record_once(many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIFAR_LAB_CACHE", str(many / "cache"))
    read: list[Path] = []
    really = run_folder.read_record

    def counted(path: Path) -> Any:
        read.append(path)
        return really(path)

    monkeypatch.setattr(run_folder, "read_record", counted)
    arms = load_sweep(many / "sweep.yaml").search_arms()
    planned = plan_runs(arms, many / "results", DatasetCatalog(), read_test=False)
    assert {run.state for run in planned} == {"done"}
    assert len(read) == len(set(read)) == RUNS
