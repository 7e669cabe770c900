"""Beside a program that burns one core: what is trained against the fair share of the cores.

Fair is what equal programs get: a run beside one program on two cores has a core for itself, and two workers beside it
have two cores' thirds each. The share is of what one worker on one thread trains alone.
"""

from __future__ import annotations

from benchmarks.harness import ComparisonTarget
from benchmarks.options import Options
from benchmarks.outcome import Comparison, Reading, Target
from benchmarks.processes import busy_programs
from benchmarks.scaled import scaled

FAIR = Target(least=0.8)


def measure(options: Options) -> list[Comparison]:
    """A run that begins beside the program, one that it surprises, and workers on all cores."""
    cores, alone = options.cores, options.own(threads=1)
    compare, many = options.harness.compare, f"{cores} workers"
    two = options.threads_alone("Net", 64)
    return [
        compare(
            Comparison(
                "one run beside a busy program", "images/s", "one thread",
                "one thread on an idle machine", FAIR,
            ),
            beside(options.own(threads=1)), alone,
        ),
        compare(
            Comparison(
                "one run that a busy program surprises", "images/s",
                f"begun on {two} threads; five times as long, the time to notice included",
                "one thread on an idle machine", FAIR,
            ),
            beside(surprised(options, two)), alone,
        ),
        compare(
            Comparison(
                f"{many} beside a busy program", "images/s", f"{many} of one thread, their sum",
                f"{cores * cores}/{cores + 1} of one worker on an idle machine", FAIR,
            ),
            beside(options.own(threads=1, copies=cores)), scaled(alone, cores * cores / (cores + 1)),
        ),
    ]  # fmt: skip


def surprised(options: Options, threads: int) -> ComparisonTarget:
    """A run that gives threads back when it notices that others want the cores, which takes it some seconds."""
    longer = Options(options.harness, options.folder, options.device, quick=options.quick, seconds=5 * options.seconds)
    return longer.own("--yielding", threads=threads)


def beside(side: ComparisonTarget) -> ComparisonTarget:
    """The side while another program keeps a core busy, from before its start."""

    def measure() -> Reading:
        with busy_programs(1):
            return side()

    return measure
