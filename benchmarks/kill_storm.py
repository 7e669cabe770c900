"""A sweep whose parent is killed again and again, and a worker now and then, against one that was left alone.

    python benchmarks/kill_storm.py --points 320 --kills 50

Synthetic images, Net, five epochs. Asserts that both come to the same records, each once; that a kill costs no run more
than the epoch that it was in; that a restart reaches its first training step in time. Linux only.
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


def children(pid: int) -> list[int]:
    found = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


def storm(lab: Laboratory, kills: int, chance: random.Random) -> tuple[list[Life], int]:
    """Kill the parent so often, then let it end; its lives and how many workers were killed."""
    lives: list[Life] = []
    typical, killed_workers = 3.0, 0
    owed: dict[str, int] = {}
    for number in range(kills + 1):
        life, listener = lab.start("storm")
        lives.append(life)
        if number < kills:
            # At any moment of the start, or while it trains.
            patience = chance.uniform(chance.choice([0.0, typical]), typical + 3)
            if chance.random() < WORKER_KILLS_A_LIFE:
                time.sleep(patience / 2)
                for worker in children(life.process.pid)[:1]:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(worker, signal.SIGKILL)
                        killed_workers += 1
                time.sleep(patience / 2)
            else:
                time.sleep(patience)
            assert life.process.poll() is None, f"ended by itself after {number} kills: {life.lines[-3:]}"
            workers = children(life.process.pid)
            life.process.kill()
            gone = time.monotonic() + 5
            while any(Path(f"/proc/{worker}").exists() for worker in workers):
                assert time.monotonic() < gone, f"workers {workers} outlive their parent"
                time.sleep(0.01)
        life.process.wait()
        listener.join()
        for name, epochs in list(owed.items()):  # what the lives before had finished is not trained again
            if name in life.resumed or name in life.ended:
                went_on = life.resumed.get(name, 5)  # all epochs trained: only its record was to be written
                assert went_on >= epochs, f"{name} went on after epoch {went_on}, {epochs} were finished"
                del owed[name]
        owed |= lab.kept_epochs("storm")
        reached = [each.first_step for each in lives if each.first_step is not None]
        typical = statistics.median(reached) if reached else typical + 1
        print(
            f"life {number + 1}: {time.monotonic() - life.began:.1f} s, "
            f"{'no step' if life.first_step is None else f'first step after {life.first_step:.1f} s'}, "
            f"{len(life.resumed)} went on, {len(lab.records('storm'))} records",
            flush=True,
        )
    assert lives[-1].process.returncode == 0, lives[-1].lines[-5:]
    assert not owed, f"never finished: {sorted(owed)}"
    return lives, killed_workers


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
        began = time.monotonic()
        lives, workers = storm(lab, options.kills, random.Random(options.seed))
        stormy = time.monotonic() - began
        began = time.monotonic()
        life, listener = lab.start("calm")
        listener.join()
        assert life.process.wait() == 0, life.lines[-5:]
        calm = time.monotonic() - began
        ours, theirs = lab.records("storm"), lab.records("calm")
        searched = [record for record in ours.values() if record["test_reason"] == "search"]
        assert ours.keys() == theirs.keys()
        for run_id, record in theirs.items():
            for name in COMPARED:
                assert ours[run_id][name] == record[name], f"{run_id}: {name} differs"
        assert {path.name for path in (lab.folder / "storm" / "runs").iterdir()} == ours.keys()
        assert len({record["recipe"]["data"]["val_size"] for record in searched}) == 1
        resumed = sum("resumed" in " ".join(record["notes"]) for record in ours.values())
    starts = [each.first_step for each in lives if each.first_step is not None]
    summary = {
        "points": len(rates) * POINTS_A_RATE,
        "records": len(ours),
        "searched": len(searched),
        "parent_kills": options.kills,
        "worker_kills": workers,
        "records_of_resumed_runs": resumed,
        "restart_to_first_step_seconds": {
            "median": round(statistics.median(starts), 2), "max": round(max(starts), 2), "of": len(starts),
        },
        "seconds": {"storm": round(stormy), "undisturbed": round(calm)},
    }  # fmt: skip
    print(json.dumps(summary, indent=1))
    assert statistics.median(starts) < options.restart_seconds


if __name__ == "__main__":
    main()
