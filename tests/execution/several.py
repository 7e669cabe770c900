"""Several commands on one results folder, as real processes, and the comparison of their results with one command's."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cifar_lab
from cifar_lab.store.records import Record
from cifar_lab.store.results import RunFolder, find_records, run_ids

SOURCE = Path(cifar_lab.__file__).parents[1]

BASE = """\
data: {dataset: synthetic, train_size: 300, test_size: 100, batch_size: 32}
epochs: 3
seeds: [0]
runtime: {device: cpu, checkpoint_seconds: 0}
"""

SWEEP = """\
base: base.yaml
search: {top: 1, seeds: [0, 1], confirm_seeds: [100, 101], val_size: 50}
space: {optimizer.lr: [0.003, 0.03, 0.1]}
"""
"""Ten runs: three points with two seeds, and the base and a winner with two fresh ones."""

HALVING = SWEEP.replace("val_size: 50", "val_size: 50, halving: {eta: 2, rungs: 2}")

PATIENCE_SECONDS = 120
"""Commands that take longer are killed, and their test fails."""


def write_files(folder: Path, *, epochs: int = 3, train_size: int = 300, sweep: str = SWEEP) -> None:
    """base.yaml, grid.yaml, and other.yaml with a single epoch."""
    text = BASE.replace("epochs: 3", f"epochs: {epochs}").replace("train_size: 300", f"train_size: {train_size}")
    (folder / "base.yaml").write_text(text)
    (folder / "other.yaml").write_text(BASE.replace("epochs: 3", "epochs: 1"))
    (folder / "grid.yaml").write_text(sweep)


@dataclass
class Commands:
    """Commands in one folder. Each has a log of what it said."""

    folder: Path
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)
    logs: list[Path] = field(default_factory=list)

    def start(self, *words: str, environment: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Begin `cifar-lab WORDS`."""
        return self.start_process([sys.executable, "-m", "cifar_lab", *words], environment)

    def start_process(
        self, words: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Begin another program, such as the script of a job."""
        self.logs.append(self.folder / f"command-{len(self.logs)}.log")
        with self.logs[-1].open("wb") as log:
            process = subprocess.Popen(
                words, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={**os.environ, "PYTHONPATH": str(SOURCE), **(environment or {})},
            )  # fmt: skip
        self.running.append(process)
        return process

    def end(self) -> list[int]:
        """Exit codes of all commands, once all have ended."""
        return [process.wait(PATIENCE_SECONDS) for process in self.running]

    def said(self, number: int | None = None) -> str:
        """All that one command, or all of them, printed."""
        logs = self.logs if number is None else [self.logs[number]]
        return "".join(log.read_text() for log in logs)

    def trained_epochs(self) -> Counter[str]:
        """Number of times that each epoch of each run was trained, from the logs."""
        return Counter(re.findall(r"^(.+: epoch \d+)/\d+, loss", self.said(), re.MULTILINE))

    def made_runs(self) -> Counter[str]:
        """Number of commands that reported each run as their own."""
        return Counter(re.findall(r"^\[\d+/\d+\] (.+): (?:done|diverged), ", self.said(), re.MULTILINE))

    def kill(self) -> None:
        """Kill what still runs, with its workers."""
        for process in self.running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(PATIENCE_SECONDS)


def state_of(results: Path) -> dict[str, object]:
    """All that finished commands leave, but times and notes on resumption: records, bits, epochs, documents."""
    found = find_records(results)
    assert not found.unusable
    done = {record.run_id for record in found.records}
    pruned = [RunFolder(results, run_id) for run_id in run_ids(results) if run_id not in done]
    state: dict[str, object] = {folder.path.name: _epochs(folder) for folder in pruned}
    for record in found.records:
        folder = RunFolder(results, record.run_id)
        state[record.run_id] = (
            record.status, record.val, record.test, record.epochs_trained, record.files, record.plan,
            _epochs(folder, record),
            folder.settings.read_text(),
            sorted(path.name for path in folder.path.iterdir() if path.name != "lock"),
        )  # fmt: skip
    for path in sorted((results / "sweeps").rglob("*.json")):
        state[path.name] = path.read_bytes()
    return state


def _epochs(folder: RunFolder, record: Record | None = None) -> list[str]:
    return [line.model_dump_json(exclude={"seconds"}) for line in folder.read_metrics(record)]
