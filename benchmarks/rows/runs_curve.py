"""Time against the number of runs, 1 to 320: cifar-lab, the tutorial's loop, resident images, the HFTA-style cohort.

Each contender trains so many networks of the baseline from the start of its process to its end, each network for the
same few steps. A contender that would need more than its patience for the next point stops there, and its line goes on
dashed as what its last two points come to.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass

from benchmarks.command_images import as_options
from benchmarks.curve_figure import draw_curves
from benchmarks.options import FUSED, RESIDENT, Options
from benchmarks.outcome import Comparison, Reading
from benchmarks.processes import ROOT, whole
from cifar_lab.core.host import CoreUse

RUNS = (1, 2, 5, 10, 20, 40, 80, 160, 320)
STEPS = {"cpu": 50, "cuda": 782}
"""Of 64 images, each network: on a GPU an epoch of CIFAR-10."""

PATIENCE_SECONDS = {"cpu": 60.0, "cuda": 200.0}
TRIES = 3
"""For a point whose measurement others disturbed; the quietest counts."""

OURS = "cifar-lab"


@dataclass(frozen=True)
class Point:
    """One contender, one number of runs."""

    runs: int
    seconds: float
    peak_bytes: int
    elsewhere_cores: float | None


def measure(options: Options) -> list[Comparison]:
    """No comparison: a curve a contender in the book, and the figure beside it."""
    book, counts = options.harness.book, RUNS[:2] if options.quick else RUNS
    steps = 4 if options.quick else STEPS[options.device]
    curves: dict[str, list[Point]] = {}
    for name, command in contenders(options, steps).items():
        known = [Point(**point) for point in (book.get("curves") or {}).get(name, [])]
        curves[name] = known
        for runs in counts[len(known) :]:
            if name != OURS and expected(known, runs) > PATIENCE_SECONDS[options.device]:
                break
            known.append(quietest(options, runs, command))
            options.say(f"{name}: {runs} runs in {known[-1].seconds:.1f} s")
            book.add(curves={each: [asdict(point) for point in points] for each, points in curves.items()}, steps=steps)
    if book.path is not None:
        figure = book.path.with_suffix(".png")
        draw_curves({name: [(p.runs, p.seconds) for p in points] for name, points in curves.items()}, RUNS, figure)
        options.say(f"figure: {figure}")
    return []


def contenders(options: Options, steps: int) -> dict[str, Callable[[int], Reading]]:
    """Name → what trains so many runs."""
    images, device = 64 * steps, ["--device", options.device]

    def ours(runs: int) -> Reading:
        settings = [f"runtime.device={options.device}", "epochs=1", "data.dataset=synthetic"]
        settings += [f"data.train_size={images}", "data.test_size=10"]
        return whole(
            [sys.executable, "-m", "cifar_lab", "run", ROOT / "configs" / "baseline.yaml", *as_options(settings),
             "--seeds", f"0-{runs - 1}", "--results", options.fresh_folder("curve")]
        )  # fmt: skip

    def peer(module: str, *arguments: object) -> Reading:
        return whole([sys.executable, "-m", module, *arguments, *device])

    arms = "benchmarks.peers.tutorial_arms"
    return {
        OURS: ours,
        "tutorial's loop": lambda runs: peer(
            arms, "--random-images", images, "--arms", "baseline", "--epochs", 1, "--seeds", runs, "--workers", 2
        ),
        "resident images, eager": lambda runs: peer(RESIDENT, "--images", images, "--runs", runs),
        "HFTA-style cohort": lambda runs: peer(FUSED, "--images", images, "--members", runs, "--epoch"),
    }


def expected(known: list[Point], runs: int) -> float:
    """Seconds of the next point, from the last one, if time is in proportion; 0 without one."""
    return known[-1].seconds * runs / known[-1].runs if known else 0.0


def quietest(options: Options, runs: int, command: Callable[[int], Reading]) -> Point:
    """The first measurement that nobody disturbed, or the least disturbed of a few."""
    tried = []
    for _ in range(TRIES):
        before = CoreUse.now()
        reading = command(runs)
        elsewhere = before.busy_elsewhere(CoreUse.now())
        tried.append(Point(runs, reading.value, reading.peak_bytes, elsewhere))
        if elsewhere is None or elsewhere <= options.harness.quiet_cores or options.quick:
            return tried[-1]
    return min(tried, key=lambda point: point.elsewhere_cores or 0.0)
