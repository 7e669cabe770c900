"""The 24 runs as an Optuna study over a grid, which two processes share through a journal file."""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from benchmarks.peers.same_runs.task import OPTIMIZERS, PROCESSES, RATES, RUNS, SEEDS, accuracy, arguments
from benchmarks.stopwatch import report

SPACE: dict[str, Any] = {"optimizer": list(OPTIMIZERS), "lr": list(RATES), "seed": list(SEEDS)}


def study_in(folder: str) -> optuna.Study:
    """The study of all processes."""
    storage = JournalStorage(JournalFileBackend(str(Path(folder) / "journal.log")))
    sampler = optuna.samplers.GridSampler(SPACE, seed=0)
    return optuna.create_study(
        study_name="grid", storage=storage, sampler=sampler, direction="maximize", load_if_exists=True
    )


def work(args: argparse.Namespace, folder: str, first: int) -> None:
    """Every second point of the grid. Two processes that draw from one grid would make points twice."""
    study = study_in(folder)
    for optimizer, lr, seed in RUNS[first::PROCESSES]:
        study.enqueue_trial({"optimizer": optimizer, "lr": lr, "seed": seed})

    def objective(trial: optuna.Trial) -> float:
        optimizer = trial.suggest_categorical("optimizer", SPACE["optimizer"])
        lr = trial.suggest_categorical("lr", SPACE["lr"])
        return accuracy(args, str(optimizer), float(lr), int(trial.suggest_categorical("seed", SPACE["seed"])))

    study.optimize(objective, n_trials=len(RUNS[first::PROCESSES]))


def main() -> None:
    args = arguments()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        study_in(folder)
        workers = [context.Process(target=work, args=(args, folder, first)) for first in range(PROCESSES)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        study = study_in(folder)
        report({"value": len(study.trials), "best": study.best_value})


if __name__ == "__main__":
    main()
