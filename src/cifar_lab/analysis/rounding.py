"""Rounding of the runs of an arm: kernels, devices, precisions and orders of sums that the arm mixes."""

from __future__ import annotations

from collections.abc import Sequence

from cifar_lab.store.records import Record


def mixed_rounding(label: str, runs: Sequence[Record]) -> list[str]:
    """A sentence about the arm if its runs were computed in more than one way. Else nothing."""
    precisions = {_precision(run) for run in runs}
    seeds: dict[str, set[int]] = {}
    for run in runs:
        seeds.setdefault(_way(run, with_precision=len(precisions) > 1), set()).add(run.seed)
    if len(seeds) < 2:
        return []
    ways = "; ".join(f"{_named(seeds[way])} {way}" for way in sorted(seeds, key=lambda way: sorted(seeds[way])))
    return [
        f"The runs of {label} round differently: {ways}. A difference of this kind is not an effect of the settings."
    ]


def _way(run: Record, *, with_precision: bool) -> str:
    """Way in which a run was computed, as far as its record tells."""
    environment = run.environment
    precision = f" in {_precision(run)}" if with_precision else ""
    stacked = ", stacked with other runs" if environment.stacked else ""
    if environment.device != "cpu" and environment.kernels == "own":
        return f"on a GPU by the block kernel{precision}"
    if environment.device != "cpu":
        return f"on a GPU{precision}{stacked}"
    if environment.kernels == "own":
        earlier = "" if environment.reduction == "batch" else ", with an earlier version's order of sums"
        return f"by the C kernels{precision}{earlier}"
    threads = "1 thread" if environment.threads == 1 else f"{environment.threads} threads"
    return f"by torch's kernels on {threads}{precision}{stacked}"


def _precision(run: Record) -> str:
    """`runtime.precision` of the run's settings. Its default in records that do not state it."""
    runtime = run.settings.get("runtime")
    return str(runtime.get("precision", "fp32")) if isinstance(runtime, dict) else "fp32"


def _named(seeds: set[int]) -> str:
    return f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, sorted(seeds)))}"
