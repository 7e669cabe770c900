"""Time of several commands at once on one sweep, against one command with a worker per core.

    python benchmarks/several_commands.py                       # eight commands, four pairs
    python benchmarks/several_commands.py --commands 4 --pairs 2 --epochs 10

Both sides make the same sweep of synthetic images in turn, and the median of the ratios of the pairs counts. The
several commands have `--workers 1` each. Their time ends with the last of them. Each of them imports torch and prepares
its workers, which costs seconds of processor time per command, whatever the length of the sweep. Aim: at most 1.3 times
the time of one command. The load of the machine is printed before each pair. On a machine that others use, several
commands get a larger share of the cores than one, and only the ratio of processor seconds tells something. The last
line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cifar_lab
from cifar_lab.core.host import available_cores

BASE = """\
data: {{dataset: synthetic, train_size: 10000, test_size: 1000}}
epochs: {epochs}
runtime: {{device: cpu}}
"""

SWEEP = """\
base: base.yaml
search: {top: 1, seeds: [0, 1], confirm_seeds: [100, 101], val_size: 1000}
space: {optimizer.lr: [0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.03, 0.05]}
"""
"""Twenty runs."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commands", type=int, default=8)
    parser.add_argument("--pairs", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=30, help="of 141 steps of 64 images")
    options = parser.parse_args()
    pairs = []
    with tempfile.TemporaryDirectory(prefix="several-commands-") as name:
        folder = Path(name)
        (folder / "base.yaml").write_text(BASE.format(epochs=options.epochs))
        (folder / "grid.yaml").write_text(SWEEP)
        seconds(folder, "warm-up", 1, 1, "--epochs", "1")  # images and kernels are cached
        for pair in range(options.pairs):
            load = os.getloadavg()[0]
            one, one_cpu = seconds(folder, f"one-{pair}", 1, available_cores())
            several, several_cpu = seconds(folder, f"several-{pair}", options.commands, 1)
            pairs.append({"load": load, "ratio": several / one, "processor_ratio": several_cpu / one_cpu})
            print(
                f"load {load:.2f}: one command {one:.1f} s ({one_cpu:.1f} s of processors), "
                f"{options.commands} commands {several:.1f} s ({several_cpu:.1f} s)", flush=True,
            )  # fmt: skip
    ratio, cpu = (statistics.median(pair[key] for pair in pairs) for key in ("ratio", "processor_ratio"))
    workers = available_cores()
    print(f"{options.commands} commands take {ratio:.2f} times as long as one command with {workers} workers, and "
          f"{cpu:.2f} times the processor seconds")  # fmt: skip
    print(json.dumps({"commands": options.commands, "epochs": options.epochs, "ratio": ratio, "pairs": pairs}))
    return int(ratio > 1.3)


def seconds(folder: Path, results: str, commands: int, workers: int, *words: str) -> tuple[float, float]:
    """Seconds until `commands` commands that begin together have made the sweep, and their processor seconds."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(cifar_lab.__file__).parents[1]),
        "CIFAR_LAB_CACHE": str(folder / "cache"),
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package is compiled to bytecode
    command = [sys.executable, "-m", "cifar_lab", "sweep", "grid.yaml", "--results", results, "-q", *words]
    began, before = time.monotonic(), os.times()
    running = [
        subprocess.Popen(
            [*command, "--workers", str(workers)], cwd=folder, env=environment, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(commands)
    ]  # fmt: skip
    codes = [process.wait() for process in running]
    if any(codes):
        raise SystemExit(f"a command ended with {codes}")
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return time.monotonic() - began, used


if __name__ == "__main__":
    sys.exit(main())
