"""Two workers on two cores: what they train together against twice what one alone trains (one a core, in general)."""

from __future__ import annotations

from benchmarks.options import Options
from benchmarks.outcome import Comparison, Target
from benchmarks.scaled import scaled


def measure(options: Options) -> list[Comparison]:
    """Both on one thread each, batch 64."""
    return [
        options.harness.compare(
            Comparison(
                f"{options.cores} workers on {options.cores} cores", "images/s",
                f"{options.cores} workers of one thread, their sum", f"{options.cores} × one worker alone",
                Target(least=0.9),
            ),
            options.own(threads=1, copies=options.cores),
            scaled(options.own(threads=1), options.cores),
        )
    ]  # fmt: skip
