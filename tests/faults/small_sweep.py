"""A whole sweep in this process and in hundredths of a second, so that it can be made hundreds of times."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from cifar_lab.core import host
from cifar_lab.core.errors import LabError
from cifar_lab.execution import missing_runs
from cifar_lab.execution import runner as laboratory
from cifar_lab.execution.context import RunContext
from cifar_lab.execution.tracker import Outcome
from cifar_lab.store.records import Record
from cifar_lab.store.results import RunFolder, find_records, run_ids
from cifar_lab.studies.run_sweep import make_sweep
from cifar_lab.studies.sweep import load_sweep
from cifar_lab.training.job import Job
from cifar_lab.training.run import run_cohort

MODEL = """\
from torch import nn

class Model(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.layer = nn.Linear(12, num_classes)

    def forward(self, images):
        return self.layer(nn.functional.adaptive_avg_pool2d(images, 2).flatten(1))
"""

BASE = """\
data: {dataset: synthetic, train_size: 40, test_size: 20, batch_size: 20}
model: {name: 'model.py:Model'}
epochs: 2
runtime: {device: cpu, threads: 1, checkpoint_seconds: 0}
"""

SWEEP = """\
base: base.yaml
search: {top: 1, seeds: [0], confirm_seeds: [100], val_size: 10}
space: {optimizer.lr: [0.001, 1.0e-07]}
"""
"""Three runs: two points, and the base, which wins, with a fresh seed."""


LEFT = {"lock", "checkpoint.bin", "checkpoint.bin.previous"}
"""What a process that dies after its record was written leaves; nobody reads it."""


def write_files(folder: Path) -> Path:
    """The settings of the sweep; its file."""
    (folder / "model.py").write_text(MODEL)
    (folder / "base.yaml").write_text(BASE)
    (folder / "sweep.yaml").write_text(SWEEP)
    return folder / "sweep.yaml"


def make_here(jobs: Sequence[Job], *_: Any) -> list[Outcome]:
    """What the engine does, without processes: parent and worker count their acts as one."""
    outcomes: dict[str, Outcome] = {}

    def ended(job: Job, outcome: Record | Exception) -> None:
        if isinstance(outcome, Record):
            outcomes[job.run_id] = Outcome(job, outcome.status, outcome.reason)
        else:
            code = outcome.exit_code if isinstance(outcome, LabError) else 1
            outcomes[job.run_id] = Outcome(job, "failed", str(outcome), code)

    for job in jobs:
        run_cohort([job], lambda job, event: None, lambda: False, ended)
    return [outcomes[job.run_id] for job in jobs]


def sweep_here(file: Path, results: Path) -> None:
    """`cifar-lab sweep FILE --results RESULTS` in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(host, "LEAST_LOOK_SECONDS", 0.0)  # no waiting for free cores: the threads are given
        patch.setattr(missing_runs, "_train", make_here)
        patch.setattr(missing_runs, "_preflight", lambda *_: None)  # it asks a worker whether the model builds
        patch.setattr(laboratory, "prepare_images", lambda *_: None)  # a worker too; without it they are prepared here
        make_sweep(load_sweep(file), RunContext(results)).confirmed.raise_failed()


def state_of(results: Path) -> dict[str, object]:
    """All that a finished sweep leaves, but times: the bytes of weights and predictions, records, epochs, winners."""
    found = find_records(results)
    assert not found.unusable
    assert sorted(record.run_id for record in found.records) == run_ids(results)
    state: dict[str, object] = {}
    for record in found.records:
        folder = RunFolder(results, record.run_id)
        state[record.run_id] = (
            record.model_dump_json(exclude={"train_seconds", "started", "finished", "notes"}),
            {name: folder.read_file(record, name) for name in record.files},
            [line.model_dump_json(exclude={"seconds"}) for line in folder.read_metrics(record)],
            folder.settings.read_text(),
            sorted(path.name for path in folder.path.iterdir() if path.name not in LEFT),
        )
    for path in sorted((results / "sweeps").rglob("*.json")):
        state[path.name] = path.read_bytes()
    return state
