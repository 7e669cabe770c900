"""The 24 runs as a grid search of Ray Tune with one core per trial."""

from __future__ import annotations

from functools import partial
from typing import Any

import ray
from ray import tune

from benchmarks.peers.same_runs.task import OPTIMIZERS, PROCESSES, RATES, SEEDS, accuracy, arguments
from benchmarks.stopwatch import report


def trial(args: Any, config: dict[str, Any]) -> dict[str, float]:
    """One run."""
    return {"accuracy": accuracy(args, config["optimizer"], config["lr"], config["seed"])}


def main() -> None:
    args = arguments()
    ray.init(num_cpus=PROCESSES, include_dashboard=False, log_to_driver=False)
    space = {
        "optimizer": tune.grid_search(list(OPTIMIZERS)), "lr": tune.grid_search(list(RATES)),
        "seed": tune.grid_search(list(SEEDS)),
    }  # fmt: skip
    settings = tune.TuneConfig(metric="accuracy", mode="max")
    found = tune.Tuner(tune.with_resources(partial(trial, args), {"cpu": 1}), param_space=space, tune_config=settings)
    results = found.fit()
    report({"value": len(results), "best": (results.get_best_result().metrics or {})["accuracy"]})


if __name__ == "__main__":
    main()
