"""PGD with 20 steps on all test images and five seeds of Net: `cifar-lab attack` against a minute of two cores.

The networks are trained for ten epochs at first and kept in the scratch folder. Their attacks are made again each time.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable
from functools import partial

from benchmarks.command_images import NoImagesError
from benchmarks.options import Options
from benchmarks.outcome import Comparison, Reading, Target
from benchmarks.processes import ROOT, whole

LIMIT_SECONDS, LIMIT_CORES = 60.0, 2


def measure(options: Options) -> list[Comparison]:
    """Wall seconds, and processor seconds, which other programs change less."""
    folder = options.folder / "attack"
    arm = ROOT / "configs" / "baseline.yaml"
    base = [sys.executable, "-m", "cifar_lab"]
    whole(
        [
            *base,
            "run",
            arm,
            *_images(options),
            "--epochs",
            1 if options.quick else 10,
            "--seeds",
            "5x",
            "--results",
            folder,
        ]
    )
    images = 50 if options.quick else 10_000
    runs = sorted(path.name for path in (folder / "runs").iterdir())
    command = [
        *base,
        "attack",
        *runs,
        "--force",
        "--set",
        f"images={images}",
        "--set",
        "eps=8/255",
        "--results",
        folder,
    ]
    name = f"PGD-20 at 8/255, {images:,} images, five seeds of Net, {options.device}"
    found = []
    for words, cores, side in (("wall", 1, _wall), ("processor", LIMIT_CORES, _processor)):
        comparison = Comparison(
            f"{name}: {words} time", "s", "cifar-lab attack", f"a minute of {LIMIT_CORES} cores", Target(most=1)
        )
        found.append(options.harness.compare(comparison, side(command), partial(Reading, LIMIT_SECONDS * cores)))
    return found


def _images(options: Options) -> list[object]:
    if options.quick:
        return ["--set", "data={dataset: synthetic, train_size: 400, test_size: 100}"]
    if options.zip_file is None:
        raise NoImagesError("this benchmark attacks real images: name a zip of JPEG files with --zip FILE")
    return ["--set", "data.dataset=imagefolder", "--set", f"data.root={options.zip_file.resolve()}"]


def _wall(command: list[object]) -> Callable[[], Reading]:
    return lambda: whole(command)


def _processor(command: list[object]) -> Callable[[], Reading]:
    def measure() -> Reading:
        before = _child_seconds()
        reading = whole(command)
        return Reading(_child_seconds() - before, 0.0, reading.peak_bytes, None, {"wall_seconds": reading.value})

    return measure


def _child_seconds() -> float:
    """Processor time of all processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
