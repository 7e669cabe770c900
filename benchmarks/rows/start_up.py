"""Start-up: from the command to the end of 30 training steps, against the import of torch.

With warm caches, and on a GPU also 40 runs of the block kernel, with warm caches and without its code.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time

from benchmarks.options import Options
from benchmarks.outcome import Comparison, Reading
from benchmarks.process_tree import processor_seconds
from benchmarks.processes import ROOT, MeasurementError, whole

STEPS = 30
"""Of the only epoch: enough for a step that is captured on a GPU, and 0.05 s on a CPU."""

BATCH_SIZE = 64

RUNS = 40
"""Of a cohort of the block kernel."""


def measure(options: Options) -> list[Comparison]:
    """Comparisons in seconds. Aim: 2 s on a CPU of two cores, 5 s on a GPU, 8 s without compiled kernels."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package is compiled to bytecode
    cache = options.fresh_folder("start_up_cache")

    def start(runs: int, *, cold: bool = False) -> Reading:
        if cold:
            shutil.rmtree(cache / "kernels", ignore_errors=True)
        command = [
            sys.executable, "-m", "cifar_lab", "run", ROOT / "configs" / "baseline.yaml", "--seeds",
            ",".join(map(str, range(runs))), "--epochs", "1", "--set", "data.dataset=synthetic",
            "--set", f"data.train_size={STEPS * BATCH_SIZE}", "--set", f"data.batch_size={BATCH_SIZE}",
            "--set", f"runtime.device={options.device}", "--results", options.fresh_folder("start_up"),
        ]  # fmt: skip
        return until_first_epoch([str(word) for word in command], {**environment, "CIFAR_LAB_CACHE": str(cache)})

    def peer() -> Reading:
        return whole([sys.executable, "-c", "import torch"], environment=environment)

    def compare(name: str, runs: int, *, cold: bool = False) -> Comparison:
        start(runs)  # images and kernels
        words = "cifar-lab run to its first epoch"
        comparison = Comparison(f"{name}, {options.device}", "s", words, "import torch")
        return options.harness.compare(comparison, lambda: start(runs, cold=cold), peer)

    found = [compare("start-up", 1)]
    if options.on_gpu:
        found += [compare(f"start-up, {RUNS} runs", RUNS), compare(f"start-up, {RUNS} runs, cold", RUNS, cold=True)]
    return found


def until_first_epoch(command: list[str], environment: dict[str, str]) -> Reading:
    """Seconds until the command tells its first epoch, with the processor seconds of its processes until then.

    Raises:
        MeasurementError: it ended before.
    """
    began = time.monotonic()
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    with process, process.stderr as lines:
        said = []
        for line in lines:
            said.append(line)
            if "epoch 1/1" in line or ": done" in line:  # of many runs only the ends are told
                seconds, busy = time.monotonic() - began, processor_seconds(process.pid)
                lines.read()
                return Reading(seconds, 0.0, 0, None, {"last_line": line.strip(), "processor_seconds": busy})
    raise MeasurementError(f"{' '.join(command)}: no epoch: {''.join(said[-3:])}")
