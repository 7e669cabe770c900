"""A sweep whose parent is killed again and again, and a worker now and then, against one that was left alone.

    python benchmarks/kill_storm.py --points 320 --kills 50

Synthetic images, Net, five epochs. Says whether both come to the same records, each once; whether a kill cost a run
more than the epoch that it was in; how long a restart took to its first training step. It ends with 1 where any of that
is not as it should be, after it has told everything. Linux only.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BASE = """\
data: {dataset: synthetic, train_size: 240, test_size: 100, difficulty: 0.1}
epochs: 5
seeds: [0]
runtime: {device: cpu}
"""

RATES = [0.05, 0.04, 0.03, 0.02, 0.015, 0.01, 0.005, 0.003, 0.002, 0.001]

POINTS_A_RATE = 32

WORKER_KILLS_A_LIFE = 1 / 3

KILLS_AMID_THE_START = 1 / 2

DONE_IN_THE_STORM = 0.5
"""Share of the undisturbed sweep's training that all killed lives may have together: the last is to find work."""

COMPARED = ("run_id", "recipe", "settings", "seed", "status", "epochs_trained", "val", "test", "test_reason", "files")
"""Of a record: `files` holds the SHA-256 of its weights and predictions."""


@dataclass
class Life:
    """One start of the command and what it told."""

    process: subprocess.Popen[str]
    began: float
    first_step: float | None = None
    """Seconds from the start of the process to the first training step."""
    resumed: dict[str, int] = field(default_factory=dict)
    """Name of a run → epoch after which it went on, when it was first begun in this life."""
    ended: set[str] = field(default_factory=set)
    lines: list[str] = field(default_factory=list)

    def listen(self) -> None:
        """Read its output to the end."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if line.startswith("device:") and self.first_step is None:  # told just before the first step
                self.first_step = time.monotonic() - self.began
            elif found := re.match(r"(.+): goes on after epoch (\d+)", line):
                self.resumed.setdefault(found[1], int(found[2]))
            elif found := re.match(r"\[\d+/\d+\] (.+?): (done|failed|diverged)", line):
                self.ended.add(found[1])


class Laboratory:
    """A folder with the sweep file, in which commands are given."""

    def __init__(self, folder: Path, rates: list[float]) -> None:
        self.folder = folder
        (folder / "base.yaml").write_text(BASE)
        (folder / "storm.yaml").write_text(
            "base: base.yaml\nsearch: {top: 2, seeds: [0], confirm_seeds: [100], val_size: 40}\n"
            "space:\n  data.batch_size: [10, 20, 25, 50]\n  data.flip: [false, true]\n"
            "  optimizer.name: [sgd, adam]\n  scheduler.name: [none, plateau]\n"
            f"  optimizer.lr: {rates}\n"
        )

    def start(self, results: str) -> tuple[Life, threading.Thread]:
        process = subprocess.Popen(
            [sys.executable, "-m", "cifar_lab", "sweep", "storm.yaml", "--results", results, "--retries", "9"],
            cwd=self.folder,
            env={**os.environ, "CIFAR_LAB_CACHE": str(self.folder / "cache")},
            stdout=subprocess.PIPE,
            text=True,
        )
        life = Life(process, time.monotonic())
        listener = threading.Thread(target=life.listen)
        listener.start()
        return life, listener

    def records(self, results: str) -> dict[str, dict[str, Any]]:
        paths = (self.folder / results / "runs").glob("*/record.json")
        return {path.parent.name: json.loads(path.read_bytes()) for path in paths}

    def kept_epochs(self, results: str) -> dict[str, int]:
        """Name of each run without a record → epochs that it has finished; those with none are left out."""
        kept = {}
        for folder in (self.folder / results / "runs").glob("*"):
            metrics = folder / "metrics.jsonl"
            if metrics.is_file() and not (folder / "record.json").is_file():
                settings = (folder / "settings.yaml").read_text()
                label, seed = (
                    re.search(r"^label: (.+)$", settings, re.M),
                    re.search(r"^seeds: *\n? *(.+)$", settings, re.M),
                )
                assert label is not None
                assert seed is not None
                epochs = len(metrics.read_text().splitlines())
                kept[f"{label[1].strip(chr(39) + chr(34))} · seed {seed[1].strip('-[] ')}"] = epochs
        return kept


@dataclass
class Storm:
    """What was done to the sweep, and what was wrong with how it went on."""

    lives: list[Life] = field(default_factory=list)
    parent_kills: int = 0
    worker_kills: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def steps(self) -> list[float]:
        """Seconds to the first step of every life that came to one."""
        return [life.first_step for life in self.lives if life.first_step is not None]

    def kill(self, life: Life) -> None:
        """End the parent, unless it has ended; its workers must be gone soon after."""
        if life.process.poll() is not None:
            return
        workers = children(life.process.pid)
        life.process.kill()
        self.parent_kills += 1
        gone = time.monotonic() + 5
        while any(Path(f"/proc/{worker}").exists() for worker in workers):
            if time.monotonic() > gone:
                self.faults.append(f"workers {workers} outlive their parent")
                return
            time.sleep(0.01)


def children(pid: int) -> list[int]:
    found = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


def storm(lab: Laboratory, kills: int, chance: random.Random, calm: Life, calm_seconds: float) -> Storm:
    """Kill the parent so often, at moments that follow from how the undisturbed command went, then let it end."""
    found = Storm()
    owed: dict[str, int] = {}
    start = calm.first_step or calm_seconds
    amid_training = 2 * DONE_IN_THE_STORM * (calm_seconds - start) / (kills * (1 - KILLS_AMID_THE_START) or 1)
    for number in range(kills + 1):
        life, listener = lab.start("storm")
        found.lives.append(life)
        if number < kills:
            early = chance.random() < KILLS_AMID_THE_START
            patience = chance.uniform(0, start) if early else start + chance.uniform(0, amid_training)
            if chance.random() < WORKER_KILLS_A_LIFE:
                time.sleep(patience / 2)
                for worker in children(life.process.pid)[:1]:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(worker, signal.SIGKILL)
                        found.worker_kills += 1
                time.sleep(patience / 2)
            else:
                time.sleep(patience)
            found.kill(life)
        life.process.wait()
        listener.join()
        for name, epochs in list(owed.items()):  # what the lives before had finished is not trained again
            if name in life.resumed or name in life.ended:
                went_on = life.resumed.get(name, 5)  # all epochs trained: only its record was to be written
                if went_on < epochs:
                    found.faults.append(f"{name} went on after epoch {went_on}, {epochs} were finished")
                del owed[name]
        owed |= lab.kept_epochs("storm")
        if found.steps:
            start = statistics.median(found.steps)
        print(
            f"life {number + 1}: {time.monotonic() - life.began:.1f} s, "
            f"{'no step' if life.first_step is None else f'first step after {life.first_step:.1f} s'}, "
            f"{len(life.resumed)} went on, {len(lab.records('storm'))} records",
            flush=True,
        )
        code = life.process.returncode
        if code == 0:
            break
        if code != -signal.SIGKILL or number == kills:
            found.faults.append(f"life {number + 1} ended with {code}: {life.lines[-3:]}")
    if found.parent_kills < kills:
        found.faults.append(f"the sweep was over after {found.parent_kills} of {kills} kills; give more --points")
    found.faults += [f"never finished: {name}" for name in sorted(owed)]
    return found


def compare(lab: Laboratory) -> list[str]:
    """What differs between the records of the storm and those of the undisturbed sweep."""
    ours, theirs = lab.records("storm"), lab.records("calm")
    faults = [f"{run_id}: only one of the sweeps has a record" for run_id in sorted(ours.keys() ^ theirs.keys())]
    for run_id in sorted(ours.keys() & theirs.keys()):
        different = [name for name in COMPARED if ours[run_id][name] != theirs[run_id][name]]
        faults += [f"{run_id}: {name} differs" for name in different]
    folders = {path.name for path in (lab.folder / "storm" / "runs").iterdir()}
    faults += [f"{run_id}: a folder without a record" for run_id in sorted(folders - ours.keys())]
    splits = {record["recipe"]["data"]["val_size"] for record in ours.values() if record["test_reason"] == "search"}
    return faults + ([f"several validation splits: {sorted(splits)}"] if len(splits) > 1 else [])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=320, help=f"a multiple of {POINTS_A_RATE}, up to 320")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0, help="of the moments at which processes are killed")
    parser.add_argument(
        "--restart-seconds", type=float, default=5.0, help="median allowed up to the first step, on an idle machine"
    )
    options = parser.parse_args()
    rates = RATES[: options.points // POINTS_A_RATE]
    with tempfile.TemporaryDirectory() as folder:
        lab = Laboratory(Path(folder), rates)
        calm, listener = lab.start("calm")
        listener.join()
        assert calm.process.wait() == 0, calm.lines[-5:]
        calm_seconds = time.monotonic() - calm.began
        began = time.monotonic()
        found = storm(lab, options.kills, random.Random(options.seed), calm, calm_seconds)
        stormy = time.monotonic() - began
        faults = found.faults + compare(lab)
        records = lab.records("storm").values()
    restarts = found.steps
    if not restarts:
        faults.append("no restart came to a training step")
    elif statistics.median(restarts) >= options.restart_seconds:
        faults.append(f"the median restart is not below {options.restart_seconds:g} s")
    summary = {
        "points": len(rates) * POINTS_A_RATE,
        "records": len(records),
        "searched": sum(record["test_reason"] == "search" for record in records),
        "parent_kills": found.parent_kills,
        "worker_kills": found.worker_kills,
        "records_of_resumed_runs": sum("resumed" in " ".join(record["notes"]) for record in records),
        "restart_to_first_step_seconds": {
            "median": round(statistics.median(restarts), 2), "max": round(max(restarts), 2), "of": len(restarts),
        } if restarts else None,
        "seconds": {"storm": round(stormy), "undisturbed": round(calm_seconds)},
        "faults": faults,
    }  # fmt: skip
    print(json.dumps(summary, indent=1, ensure_ascii=False))
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
