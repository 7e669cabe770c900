"""How many runs a second `make_runs` makes, worker processes, checkpoints and records included.

    python -m benchmarks.own.runs grid --points 24 --workers 2 --results /tmp/results --set epochs=2
    python -m benchmarks.own.runs seeds --points 40 --results /tmp/results

`grid`: points of configs/q8_grid.yaml, as many of each batch size, the others drawn by a fixed seed.
`seeds`: one arm with so many seeds. The last line is JSON; its value is runs a second from the beginning of the first
run on (warm-up, the start of the workers, is told beside it), or seconds in all for `seeds`.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.stopwatch import report

if TYPE_CHECKING:
    from cifar_lab.config import Settings

GRID = Path(__file__).resolve().parents[2] / "configs" / "q8_grid.yaml"


def sample(arms: Sequence[Settings], points: int) -> list[Settings]:
    """`points` of the arms, equally many of each batch size, in the order of the grid."""
    draws, by_size = random.Random(0), {arm.data.batch_size: [] for arm in arms}  # type: ignore[var-annotated]
    for number, arm in enumerate(arms):
        by_size[arm.data.batch_size].append(number)
    each = max(1, points // len(by_size))
    chosen = {number for group in by_size.values() for number in draws.sample(group, min(each, len(group)))}
    return [arm for number, arm in enumerate(arms) if number in chosen]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["grid", "seeds"])
    parser.add_argument("--points", type=int, required=True)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    args = parser.parse_args()

    from cifar_lab.config.io.load import settings_from
    from cifar_lab.execution.context import RunContext
    from cifar_lab.execution.runner import make_runs
    from cifar_lab.studies.sweep import load_sweep

    if args.what == "grid":
        arms = sample(load_sweep(GRID, args.overrides).search_arms(), args.points)
    else:
        arms = [settings_from({}, overrides=[*args.overrides, f"seeds={list(range(args.points))}"])]
    began = time.monotonic()
    clock = time.time()
    made = make_runs(arms, RunContext(args.results, workers=args.workers), read_test=False)
    seconds, runs = time.monotonic() - began, len(made.planned)
    made.raise_failed()
    if args.what == "seeds":
        report({"value": seconds, "runs": runs, "seconds": seconds})
        return
    # A worker writes a run's settings when it begins, its imports behind it.
    warm_up = min(path.stat().st_mtime for path in args.results.glob("runs/*/settings.yaml")) - clock
    report({"value": runs / (seconds - warm_up), "runs": runs, "seconds": seconds, "warm_up_seconds": warm_up})


if __name__ == "__main__":
    main()
