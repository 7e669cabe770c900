"""The figure of time against the number of runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Curve = Sequence[tuple[int, float]]
"""(runs, seconds), by runs."""

INKS, MARKS = ("#0072b2", "#b34700", "#555555", "#00664a"), ("o", "s", "^", "D")
"""Of the curves, in their order; told apart without colours too."""

TIMES = {1: "1 s", 2: "2 s", 5: "5 s", 10: "10 s", 20: "20 s", 60: "1 min", 120: "2 min", 300: "5 min", 600: "10 min"}
"""Seconds and their words on the axis."""


def draw_curves(curves: Mapping[str, Curve], counts: Sequence[int], path: Path) -> None:
    """Both axes logarithmic; a curve that ends early goes on dashed as its last two points come to.

    The first curve is ours and stands out; each has a mark of its own and its name at its end.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for place, (name, curve) in enumerate(curves.items()):
        if not curve:
            continue
        look: dict[str, Any] = {"color": INKS[place % len(INKS)], "linewidth": 2.5 if place == 0 else 1.5}
        axes.plot(*zip(*curve, strict=True), marker=MARKS[place % len(MARKS)], **look)
        beyond = extended(curve, counts)
        if beyond:
            axes.plot(*zip(curve[-1], *beyond, strict=True), linestyle="--", **look)
        axes.annotate(name, (beyond or curve)[-1], (8, 0), textcoords="offset points", va="center", color=look["color"],
                      fontweight="bold" if place == 0 else "normal")  # fmt: skip
    axes.set(xscale="log", yscale="log", xlabel="runs, log scale", xlim=(counts[0] * 0.85, counts[-1] * 5))
    axes.set_ylabel("time from the start of the process to its end, log scale")
    axes.set_xticks(list(counts), [str(count) for count in counts], minor=False)
    low, high = axes.get_ylim()
    times = {seconds: words for seconds, words in TIMES.items() if low <= seconds <= high}
    axes.set_yticks(list(times), list(times.values()))
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.set_title("Dashed: not measured, the line through the last two points", loc="left", fontsize=9, color="0.35")
    figure.savefig(path, dpi=150)


def extended(curve: Curve, counts: Sequence[int]) -> list[tuple[int, float]]:
    """The counts beyond the curve's end on the line through its last two points."""
    if len(curve) < 2:
        return []
    (runs, seconds), (last_runs, last_seconds) = curve[-2:]
    slope = (last_seconds - seconds) / (last_runs - runs)
    return [(count, last_seconds + slope * (count - last_runs)) for count in counts if count > last_runs]
