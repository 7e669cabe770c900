"""Start-up: from the command to the end of 30 training steps, with warm caches, against the import of torch."""

from __future__ import annotations

import os
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


def measure(options: Options) -> list[Comparison]:
    """One comparison in seconds. Aim: 2 s on a CPU of two cores, 5 s on a GPU."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package is compiled to bytecode

    def candidate() -> Reading:
        command = [
            sys.executable, "-m", "cifar_lab", "run", ROOT / "configs" / "baseline.yaml", "--seeds", "0",
            "--epochs", "1", "--set", "data.dataset=synthetic", "--set", f"data.train_size={STEPS * BATCH_SIZE}",
            "--set", f"data.batch_size={BATCH_SIZE}", "--set", f"runtime.device={options.device}",
            "--results", options.fresh_folder("start_up"),
        ]  # fmt: skip
        return until_first_epoch([str(word) for word in command], environment)

    def peer() -> Reading:
        return whole([sys.executable, "-c", "import torch"], environment=environment)

    candidate()  # images and kernels
    comparison = Comparison(f"start-up, {options.device}", "s", "cifar-lab run to its first epoch", "import torch")
    return [options.harness.compare(comparison, candidate, peer)]


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
            if "epoch 1/1" in line:
                seconds, busy = time.monotonic() - began, processor_seconds(process.pid)
                lines.read()
                return Reading(seconds, 0.0, 0, None, {"last_line": line.strip(), "processor_seconds": busy})
    raise MeasurementError(f"{' '.join(command)}: no epoch: {''.join(said[-3:])}")
