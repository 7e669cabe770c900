"""The same 24 runs by one file of arms and by the tools that people write a grid with, wall time in turn.

2 optimizers, 4 learning rates and 3 seeds, 2 epochs of 10,000 images of CIFAR-10, on two cores. A peer whose package is
not installed is left out, and is named. Every side reads images that were decoded before, and tests each run.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from benchmarks.command_images import CommandImages, command_images
from benchmarks.options import Options
from benchmarks.outcome import Comparison, Reading, Target
from benchmarks.processes import ROOT, whole

ARMS = """\
extends: {base}
epochs: {epochs}
seeds: [0, 1, 2]
space:
  optimizer.name: [sgd, adam]
  optimizer.lr: [0.1, 0.01, 0.001, 0.0001]
"""

PEERS = {
    "a pool of two processes": ("pool", ("torch",)),
    "Optuna": ("optuna_grid", ("optuna",)),
    "Hydra": ("hydra_multirun", ("hydra", "hydra_plugins.hydra_joblib_launcher")),
    "Lightning": ("lightning_fit", ("lightning",)),
    "Ray Tune": ("ray_tune", ("ray", "pandas", "pyarrow", "fsspec")),
}
"""Module and packages of each peer."""

SHARE = 0.2
"""10,000 of 50,000 images."""

FASTER = {"own": 3.0, "torch": 1.6}
"""Times as fast as each peer, with the C kernels and with those of torch."""


def measure(options: Options) -> list[Comparison]:
    """Two comparisons per peer: with the C kernels, and with torch's, as a network from a file has it."""
    images = command_images(replace(options, share=options.share or SHARE))
    epochs = 1 if options.quick else 2
    options.folder.mkdir(parents=True, exist_ok=True)
    file = options.folder / "same_runs.yaml"
    file.write_text(ARMS.format(base=ROOT / "configs" / "baseline.yaml", epochs=epochs), encoding="utf-8")
    options.say(f"{lines_of(file)} lines: the file of arms")
    options.say("a first run, which also fills the caches, is not counted")
    ours(options, images, file, "auto")()
    found = []
    for name, (module, packages) in PEERS.items():
        if missing := [package for package in packages if not _is_installed(package)]:
            options.say(f"{name} is left out: {', '.join(missing)} is not installed")
            continue
        path = ROOT / "benchmarks" / "peers" / "same_runs" / f"{module}.py"
        options.say(f"{lines_of(path)} lines: {name}, without the loop that all peers share")
        for kernels, times in FASTER.items():
            comparison = Comparison(
                f"24 runs, {epochs} epochs of {images.train_images:,} images, kernels of "
                f"{'the lab' if kernels == 'own' else 'torch'}, against {name}",
                "s", "cifar-lab run, one file", name, Target(most=1 / times),
            )  # fmt: skip
            candidate = ours(options, images, file, kernels)
            found.append(options.harness.compare(comparison, candidate, theirs(options, images, module, epochs)))
    return found


def ours(options: Options, images: CommandImages, file: Path, kernels: str) -> Callable[[], Reading]:
    """The file of arms, from an empty results folder."""

    def run() -> Reading:
        return whole(
            [sys.executable, "-m", "cifar_lab", "run", file, *images.settings, "--set", f"runtime.kernels={kernels}",
             "--set", "runtime.device=cpu", "--workers", options.cores, "--results",
             options.fresh_folder("same_runs")]
        )  # fmt: skip

    return run


def theirs(options: Options, images: CommandImages, module: str, epochs: int) -> Callable[[], Reading]:
    """A peer from its start to its end."""
    command = [sys.executable, "-m", f"benchmarks.peers.same_runs.{module}"]
    if module == "hydra_multirun":
        return lambda: whole(
            [*command, "-m", "optimizer=sgd,adam", "lr=0.1,0.01,0.001,0.0001", "seed=0,1,2", "hydra/launcher=joblib",
             "hydra.launcher.n_jobs=2", f"hydra.sweep.dir={options.fresh_folder('hydra')}"],
            environment=_hydra_environment(images, epochs),
        )  # fmt: skip
    return lambda: whole([*command, *images.peer, "--epochs", epochs])


def _hydra_environment(images: CommandImages, epochs: int) -> dict[str, str]:
    import os

    stated = dict(zip(images.peer[::2], images.peer[1::2], strict=True))
    cache = stated.get("--cache")
    values = {
        "cache": None if cache is None else str(cache), "random_images": stated.get("--random-images"),
        "epochs": epochs,
    }  # fmt: skip
    return {**os.environ, "SAME_RUNS": json.dumps(values)}


def lines_of(path: Path) -> int:
    """Lines of a file that are neither empty nor a comment."""
    stated = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return sum(bool(line) and not line.startswith("#") for line in stated)


def _is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:
        return False
