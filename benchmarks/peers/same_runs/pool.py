"""The 24 runs in a pool of two processes, written by hand."""

from __future__ import annotations

import multiprocessing
from functools import partial

from benchmarks.peers.same_runs.task import PROCESSES, RUNS, accuracy, arguments
from benchmarks.stopwatch import report


def main() -> None:
    args = arguments()
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        found = pool.starmap(partial(accuracy, args), RUNS, chunksize=1)
    report({"value": len(found), "best": max(found)})


if __name__ == "__main__":
    main()
