"""The figure of time against the number of runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

Curve = Sequence[tuple[int, float]]
"""(runs, seconds), by runs."""


def draw_curves(curves: Mapping[str, Curve], counts: Sequence[int], path: Path) -> None:
    """Both axes logarithmic; a curve that ends early goes on dashed as its last two points come to."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for name, curve in curves.items():
        if not curve:
            continue
        (line,) = axes.plot(*zip(*curve, strict=True), marker="o", label=name)
        if beyond := extended(curve, counts):
            axes.plot(*zip(curve[-1], *beyond, strict=True), linestyle="--", color=line.get_color())
    axes.set(xscale="log", yscale="log", xlabel="runs", ylabel="seconds, start of the process to its end")
    axes.set_xticks(list(counts), [str(count) for count in counts], minor=False)
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(title="dashed: not measured, extended")
    figure.savefig(path, dpi=150)


def extended(curve: Curve, counts: Sequence[int]) -> list[tuple[int, float]]:
    """The counts beyond the curve's end on the line through its last two points."""
    if len(curve) < 2:
        return []
    (runs, seconds), (last_runs, last_seconds) = curve[-2:]
    slope = (last_seconds - seconds) / (last_runs - runs)
    return [(count, last_seconds + slope * (count - last_runs)) for count in counts if count > last_runs]
