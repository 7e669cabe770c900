"""The benchmarks by name, one file each; `measure` adds pairs to the harness's book and returns what it compared."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.options import Options
from benchmarks.outcome import Comparison
from benchmarks.rows import (
    attack,
    captured,
    cohort,
    data_share,
    foreign_process,
    grid,
    images_per_second,
    limits,
    probe,
    questions,
    racing,
    resnet18,
    runs_curve,
    same_runs,
    start_up,
    threads,
    two_workers,
    whole_run,
)

ROWS: dict[str, Callable[[Options], list[Comparison]]] = {
    "images_per_second": images_per_second.measure,
    "questions": questions.measure,
    "grid": grid.measure,
    "cohort": cohort.measure,
    "captured": captured.measure,
    "two_workers": two_workers.measure,
    "foreign_process": foreign_process.measure,
    "resnet18": resnet18.measure,
    "data_share": data_share.measure,
    "limits": limits.measure,
    "runs_curve": runs_curve.measure,
    "whole_run": whole_run.measure,
    "threads": threads.measure,
    "same_runs": same_runs.measure,
    "racing": racing.measure,
    "start_up": start_up.measure,
    "attack": attack.measure,
    "probe": probe.measure,
}

CPU_ONLY = ("two_workers", "foreign_process", "threads", "same_runs", "racing", "attack", "probe")
"""That say nothing about a GPU."""

GPU_BY_DEFAULT = ("cohort", "captured")
"""That are for a GPU and run on the CPU only where `--device cpu` asks for it: there is nothing to gain there."""
