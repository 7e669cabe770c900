"""How commands bear thousands of finished runs: seconds and memory of `sweep`, `run`, `list`, `report`, `verify`.

    python -m benchmarks.many_records --runs 1000 --runs 10000

The runs are those of a sweep: real settings, ids and records, each with files of its own of the sizes that its record
names, written by the same code as real ones. Nothing is trained.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.processes import whole
from cifar_lab import data
from cifar_lab.core.atomic_io import make_folder
from cifar_lab.execution.plan import plan_runs
from cifar_lab.store.records import DataIdentity, Environment, EpochMetrics, Record, SplitScore
from cifar_lab.store.results import RunFolder, metrics_digest
from cifar_lab.studies.sweep import load_sweep
from cifar_lab.training.job import Job

BASE = """\
data: {dataset: synthetic, train_size: 1000, test_size: 200}
epochs: 10
"""

SWEEP = """\
base: base.yaml
search: {{top: 5, seeds: [0], confirm_seeds: [100], val_size: 100}}
space:
  data.flip: [false, true]
  optimizer.name: [sgd, adam]
  optimizer.lr: [{rates}]
"""

SMALL_SWEEP = """\
base: base.yaml
search: {top: 5, seeds: [0], confirm_seeds: [100], val_size: 100}
space:
  data.flip: [false, true]
  optimizer.name: [sgd, adam]
  data.batch_size: [8, 16, 32, 64, 128, 256, 512, 900]
  scheduler.name: [none, plateau]
  optimizer.lr: [0.05, 0.01, 0.005, 0.001, 0.0005]
"""
"""320 points, none of which has been made."""

SHEET = """\
title: Many runs
control: base.yaml
questions:
  q1: {title: 'Does Adam do better?', arms: [adam.yaml], chart: q1.png}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, action="append", help="runs in the folder; a multiple of 4; repeatable")
    options = parser.parse_args()
    os.fsync = lambda fd: None  # what is made here need not outlive a power cut
    print(f"{'runs':>7} {'command':<22} {'seconds':>8} {'MiB':>6}")
    for runs in options.runs or [1000, 10000]:
        with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
            folder = Path(name)
            os.environ["CIFAR_LAB_CACHE"] = str(folder / "cache")
            write_files(folder, runs)
            made = make_results(folder)
            assert made == runs, f"{made} runs were made"
            for words in (
                ["sweep", "sweep.yaml", "--dry-run"],
                ["sweep", "small.yaml", "--dry-run"],
                ["run", "base.yaml", "--dry-run"],
                ["list"],
                ["report", "--lab", "sheet.yaml"],
                ["verify"],
            ):
                measured = whole([sys.executable, "-m", "cifar_lab", *words])
                # A command that is over before its memory is looked at has none to tell.
                peak = f"{measured.peak_bytes / 2**20:.0f}" if measured.peak_bytes else "–"
                print(f"{runs:7,} {' '.join(words[:2]):<22} {measured.value:8.2f} {peak:>6}", flush=True)


def write_files(folder: Path, runs: int) -> None:
    """The settings of a sweep of that many points, and a sheet beside them."""
    rates = ", ".join(f"{0.1 / (number + 1):.9f}" for number in range(runs // 4))
    (folder / "base.yaml").write_text(BASE)
    (folder / "adam.yaml").write_text("extends: base.yaml\noptimizer: {name: adam}\n")
    (folder / "sweep.yaml").write_text(SWEEP.format(rates=rates))
    (folder / "small.yaml").write_text(SMALL_SWEEP)
    (folder / "sheet.yaml").write_text(SHEET)


def make_results(folder: Path) -> int:
    """Write every run of the sweep's search into `results`, as if it had been trained; how many there are."""
    sweep = load_sweep(folder / "sweep.yaml")
    arms = sweep.search_arms()
    info = data.prepare(arms[0].data)
    identity = DataIdentity(
        name=info.name, fingerprint=info.fingerprint, split_hash="0" * 64, classes=info.classes,
        train_size=info.train_size - arms[0].data.val_size, val_size=arms[0].data.val_size, test_size=info.test_size,
    )  # fmt: skip
    jobs = [run.job for run in plan_runs(arms, folder / "results")]
    for job in jobs:
        write_run(job, identity)
    return len(jobs)


def write_run(job: Job, identity: DataIdentity) -> None:
    """One finished run of ten epochs on ten classes; its numbers hang on its id alone."""
    number = int(job.run_id[:8], 16) / 16**8
    folder = RunFolder(job.results, job.run_id)
    make_folder(folder.path)
    files = {"weights.safetensors": job.run_id.encode() * 64, "predictions.npz": job.run_id.encode() * 32}
    for name, content in files.items():
        folder.write_file(name, content)
    folder.settings.write_text(f"seeds: [{job.seed}]\n")
    history = list(epochs(job.settings.epochs, number))
    folder.write_metrics(history)
    score = SplitScore(accuracy=number, loss=2 - number, per_class=(number,) * 10, confusion=((10,) * 10,) * 10)
    record = Record(
        run_id=job.run_id, recipe=job.recipe, settings=job.settings.model_dump(mode="json"), label=job.settings.label,
        seed=job.seed, status="done", epochs_trained=len(history), parameters=62_006, val=score, test=None,
        test_reason="search", train_seconds=sum(line.seconds for line in history), started="2026-11-01T10:00:00Z",
        finished="2026-11-01T10:01:00Z", data=identity,
        environment=Environment(
            cifar_lab="0", python="3", torch="2", torchvision="0", numpy="2", platform="p", device="cpu",
            device_name="made up", threads=1, git_commit=None, git_dirty=None,
        ),
        files={name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        sizes=folder.sizes(files),
        metrics_sha256=metrics_digest(history),
    )  # fmt: skip
    folder.write_record(record)


def epochs(count: int, number: float) -> Iterator[EpochMetrics]:
    for epoch in range(1, count + 1):
        yield EpochMetrics(
            epoch=epoch, lr=0.001, train_loss=2 / epoch, train_accuracy=number, val_loss=2 / epoch, val_accuracy=number,
            seconds=6.0,
        )  # fmt: skip


if __name__ == "__main__":
    main()
