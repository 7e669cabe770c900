"""Paths of the folder of a run. No torch.

results/runs/<run id>/
    settings.yaml         the resolved settings with this run's seed, an input of `cifar-lab run`
    record.json           see `records`. The run is done if it is valid and the files that it names exist
    metrics.jsonl         one line per epoch
    predictions.npz       labels and logits of the test split, in data-set order
    weights.safetensors   the trained weights
    checkpoint.bin        during the run: the last good epoch, and beside it the one before
    attack-<id>.json      an attack on the trained network, see `attack_records`
    failure.json          reason of the last failure, until the run is started again
"""

from __future__ import annotations

from pathlib import Path

METRICS = "metrics.jsonl"
PREDICTIONS = "predictions.npz"


class _Named:
    """Path of a file in a run's folder, built on access because a plan reads thousands of folders."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, folder: RunPaths, owner: type[RunPaths]) -> Path:
        return folder.path / self.name


class RunPaths:
    """The folder of one run, with the paths of its files."""

    settings = _Named("settings.yaml")
    record = _Named("record.json")
    metrics = _Named(METRICS)
    predictions = _Named(PREDICTIONS)
    weights = _Named("weights.safetensors")
    checkpoint = _Named("checkpoint.bin")
    failure = _Named("failure.json")
    lock_file = _Named("lock")

    def __init__(self, results: Path, run_id: str) -> None:
        self.path = runs_folder(results) / run_id

    def checkpoints(self) -> tuple[Path, Path]:
        """Paths of the checkpoints of the last epoch and of the one before."""
        return self.checkpoint, previous(self.checkpoint)


def previous(checkpoint: Path) -> Path:
    """Path of the checkpoint of the epoch before."""
    return checkpoint.with_name(checkpoint.name + ".previous")


def runs_folder(results: Path) -> Path:
    """Folder of all run folders."""
    return results / "runs"


def has_runs(results: Path) -> bool:
    """Whether the folder of all run folders exists and is not empty."""
    try:
        return next(runs_folder(results).iterdir(), None) is not None
    except OSError:
        return False
