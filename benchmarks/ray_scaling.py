"""How much faster two one-core nodes of a Ray cluster make a sweep than one: runs a minute on each.

    python benchmarks/ray_scaling.py
    python benchmarks/ray_scaling.py --runs 4 --epochs 12

Starts a cluster of one-core nodes on this machine, which needs two free cores, makes the runs on one node and then on
two, by the engine that `--engine ray` uses, and leaves nothing behind. The time goes from the first run's start to the
last one's end, so it has the start of every worker in it, but not that of Ray. Aim: at least 0.85 of twice as fast with
runs of 20 s or longer. Only an idle machine gives numbers to go by: its load before the first run is printed. The last
line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import cifar_lab
from cifar_lab import data
from cifar_lab.config.io.load import settings_from
from cifar_lab.execution.plan import plan_runs
from cifar_lab.execution.ray.engine import RayEngine
from cifar_lab.execution.tasks import make_tasks
from cifar_lab.execution.tracker import Policy
from cifar_lab.training.events import EpochCompleted, Event
from cifar_lab.training.job import Job

TRAIN_SIZE = 10_000
STORE_BYTES = 100 * 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=4, help="an even number")
    parser.add_argument("--epochs", type=int, default=30, help="of 157 steps of 64 images")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="clb-", dir="/tmp"))  # sockets lie below: their paths may have 107 bytes
    os.environ |= {
        "RAY_TMPDIR": str(folder),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "PYTHONPATH": str(Path(cifar_lab.__file__).parents[1]),
    }
    load = os.getloadavg()[0]
    from ray.cluster_utils import Cluster

    node: dict[str, Any] = {"num_cpus": 1, "object_store_memory": STORE_BYTES, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    try:
        one = measure(cluster.address, folder / "one", options.runs, options.epochs)
        cluster.add_node(**node)
        two = measure(cluster.address, folder / "two", options.runs, options.epochs)
    finally:
        cluster.shutdown()  # type: ignore[no-untyped-call]
        shutil.rmtree(folder)
    share = one["seconds"] / two["seconds"] / 2
    for nodes, found in (("one node", one), ("two nodes", two)):
        each = f"{found['run_seconds']:.1f} s of training each"
        print(f"{nodes:<10}{found['seconds']:8.1f} s for {options.runs} runs, {each}")
    print(f"two nodes reach {share:.2f} of twice one node; load of the machine before: {load:.2f}")
    print(json.dumps({"one": one, "two": two, "share_of_twice": share, "load": load}))


def measure(address: str, results: Path, runs: int, epochs: int) -> dict[str, float]:
    """Wall time of the runs on the cluster as it is now, and the median of their own."""
    settings = settings_from(
        {
            "data": {"dataset": "synthetic", "train_size": TRAIN_SIZE, "test_size": 1_000},
            "epochs": epochs,
            "seeds": list(range(runs)),
            "runtime": {"device": "cpu", "threads": 1},
        }
    )
    data.prepare(settings.data)
    jobs = [run.job for run in plan_runs([settings], results)]
    results.mkdir()
    seconds: dict[str, float] = {}

    def on_event(job: Job, event: Event) -> None:
        if isinstance(event, EpochCompleted):
            seconds[job.run_id] = seconds.get(job.run_id, 0.0) + event.seconds

    engine = RayEngine(address)
    try:
        engine.gpus()  # connects
        began = time.monotonic()
        outcomes = engine.execute(make_tasks(jobs, 0), None, on_event, Policy())
        took = time.monotonic() - began
    finally:
        engine.close()
    assert all(outcome.status == "done" for outcome in outcomes), [outcome.reason for outcome in outcomes]
    return {"seconds": took, "run_seconds": sorted(seconds.values())[len(seconds) // 2]}


if __name__ == "__main__":
    main()
