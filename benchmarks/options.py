"""What a person chooses of a measurement, and what follows for the processes of both sides."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

from benchmarks.harness import ComparisonTarget, Harness
from benchmarks.processes import steps
from cifar_lab.config.io.load import settings_from
from cifar_lab.core.host import available_cores
from cifar_lab.core.openmp import openmp_environment
from cifar_lab.training.threads import choose_threads

OWN = "benchmarks.own.steps"
RESIDENT = "benchmarks.peers.resident_loop"
FUSED = "benchmarks.peers.fused_cohort"
REFERENCE = "benchmarks.peers.reference_loop"


@dataclass
class Options:
    """Of one benchmark."""

    harness: Harness
    folder: Path
    """Where caches and results of the measured runs may lie; nothing in it is needed later."""
    device: str = "cpu"
    zip_file: Path | None = None
    """JPEG images as train/<class>/ and test/<class>/; None makes images up where a benchmark can do without."""
    quick: bool = False
    """Just enough work to see that the benchmark runs."""
    seconds: float = 4.0
    """Of steps that count, on each side of a pair."""
    members: int = 40
    """Runs of a cohort."""
    share: float | None = None
    """Of the images, in benchmarks of whole commands; None is a tenth on the CPU and all on a GPU."""
    say: Callable[[str], object] = field(default=print)

    @property
    def on_gpu(self) -> bool:
        """Whether a GPU is measured."""
        return self.device != "cpu"

    @property
    def images(self) -> int:
        """Random images on which steps are made; as many as CIFAR-10 has."""
        return 2_000 if self.quick else 50_000

    @property
    def timing(self) -> list[object]:
        """Arguments of every process that times its own steps."""
        return ["--rate-seconds", 0.2 if self.quick else self.seconds, "--warm-up-steps", 2 if self.quick else 20]

    @cached_property
    def cores(self) -> int:
        """That may be used."""
        return available_cores()

    def threads_alone(self, model: str, batch_size: int) -> int:
        """Those of a run alone on an idle machine, as the product chooses them."""
        given = {"model": {"name": model}, "data": {"batch_size": batch_size}}
        return choose_threads(settings_from(given), self.cores, 1)

    def own(self, *arguments: object, threads: int, copies: int = 1) -> ComparisonTarget:
        """cifar-lab's steps in a worker's environment."""
        given = [
            *arguments, "--set", f"runtime.device={self.device}", "--threads", threads, "--images", self.images,
            *self.timing,
        ]  # fmt: skip
        return partial(steps, OWN, *given, environment=openmp_environment(threads), copies=copies)

    def peer(self, module: str, *arguments: object) -> ComparisonTarget:
        """A peer's steps in the environment of whoever starts the benchmark, on as many threads as torch takes."""
        kind = "--random-images" if module == REFERENCE else "--images"
        return partial(steps, module, *arguments, "--device", self.device, kind, self.images, *self.timing)

    def fresh_folder(self, name: str) -> Path:
        """An empty folder."""
        path = self.folder / name
        if path.exists():
            shutil.rmtree(path)
        path.mkdir(parents=True)
        return path
