"""The 24 runs as a Hydra multirun with its joblib launcher.

    python -m benchmarks.peers.same_runs.hydra_multirun -m optimizer=sgd,adam lr=0.1,0.01,0.001,0.0001 seed=0,1,2 ...

The images stand in the environment, because the command line is Hydra's.
"""

from __future__ import annotations

import json
import os
from argparse import Namespace
from pathlib import Path
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore

from benchmarks.peers.same_runs.task import accuracy

ConfigStore.instance().store(name="run", node={"optimizer": "sgd", "lr": 0.01, "seed": 0})


@hydra.main(version_base=None, config_path=None, config_name="run")
def main(config: Any) -> float:
    stated = json.loads(os.environ["SAME_RUNS"])
    cache = None if stated["cache"] is None else Path(stated["cache"])
    args = Namespace(cache=cache, random_images=stated["random_images"], epochs=stated["epochs"])
    return accuracy(args, config.optimizer, float(config.lr), int(config.seed))


if __name__ == "__main__":
    main()
