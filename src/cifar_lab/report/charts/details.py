"""Interactive charts of the breakdowns in report.html: learning curves, classes, confusion, the points of a search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cifar_lab.analysis.breakdowns import CURVES, ArmBreakdown, ClassGap, ConfusionGap, Curve, arm_curves, mean_curve
from cifar_lab.analysis.factors import setting_words
from cifar_lab.analysis.search_points import Axis, SearchedPoint, best_points
from cifar_lab.report.cells import signed
from cifar_lab.report.charts.interactive import Chart, scale, short

MOST_RUNS_DRAWN = 12
"""Thin curves per arm, beside its mean over all its runs."""

MOST_LINES = 500
"""Points of a search that are drawn, the best where it has more."""


def curves_chart(arms: Sequence[ArmBreakdown], histories: Mapping[str, Mapping[str, Curve]]) -> Chart | None:
    """Learning curves: the mean of each arm and each of its runs. None without any.

    Args:
        arms: control first.
        histories: curves of each run id, by column.
    """
    drawn: list[dict[str, Any]] = []
    for arm in arms:
        columns = {name: _curve(curves) for name, curves in arm_curves(arm, histories).items()}
        drawn.append({"label": short(arm.label), "style": arm.style} | columns)
    metrics = {name: words for name, words in CURVES.items() if any(name in arm for arm in drawn)}
    if not metrics:
        return None
    first = next(iter(metrics))
    ends = [(each["label"], each[first]["mean"][-1]) for each in drawn if first in each]
    lasts = [f"{label} ends at {end:.3f}" for label, end in ends if end is not None]
    spec = {"kind": "curves", "metrics": metrics, "arms": drawn}
    return Chart(spec, f"{metrics[first].capitalize()} by epoch. {'; '.join(lasts)}.", 380)


def classes_chart(gaps: Sequence[ClassGap], names: Sequence[str]) -> Chart | None:
    """Difference to the control in each class. None without one."""
    if not gaps:
        return None
    rows = [
        {
            "label": short(gap.arm.label),
            "style": gap.arm.style,
            "mean": list(gap.mean),
            "each": [[seed, list(values)] for seed, values in gap.each[:MOST_RUNS_DRAWN]],
        }
        for gap in gaps
    ]
    said = [
        f"{short(gap.arm.label)}: from {signed(gap.mean[gap.worst])} pp in {short(names[gap.worst], 24)} to "
        f"{signed(gap.mean[gap.best])} pp in {short(names[gap.best], 24)}"
        for gap in gaps
    ]
    spec = {"kind": "classes", "names": [short(name, 18) for name in names], "rows": rows}
    alt = f"Difference of each arm to the control in each class. {'; '.join(said)}."
    return Chart(spec, alt, 70 + len(names) * (24 + 8 * len(rows)))


def confusion_chart(gaps: Sequence[ConfusionGap], names: Sequence[str]) -> Chart | None:
    """Confusion of each arm minus the control's. None without one."""
    if not gaps:
        return None
    rows = [
        {"label": short(gap.arm.label), "style": gap.arm.style, "cells": [list(line) for line in gap.cells]}
        for gap in gaps
    ]
    said = [f"{short(gap.arm.label)}: {confusion_words(gap)}" for gap in gaps if gap.changes]
    spec = {"kind": "confusion", "names": [short(name, 14) for name in names], "rows": rows}
    alt = f"Change of the confusion matrix against the control, of 100 images of each true class. {' '.join(said)}"
    return Chart(spec, alt, 460 if len(names) <= 20 else 640)


def confusion_words(gap: ConfusionGap) -> str:
    """Largest changes of mistakes in a sentence."""
    told = [
        f"{short(each.true, 24)} taken for {short(each.predicted, 24)} {each.before:.1f} → {each.after:.1f}"
        for each in gap.changes
    ]
    return f"of 100 images, {', '.join(told)}." if told else "no mistake became more or less frequent."


def _curve(runs: Sequence[Curve]) -> dict[str, Any]:
    """Mean over the runs at each epoch, and the first few of several runs."""
    few = runs[:MOST_RUNS_DRAWN] if len(runs) > 1 else []
    return {"mean": _rounded(mean_curve(runs)), "runs": [_rounded(run) for run in few]}


def _rounded(values: Curve) -> list[float | None]:
    return [None if value is None else float(f"{value:.5g}") for value in values]


# --- the points of a search -------------------------------------------------------------------------------------------


def parallel_chart(searched: Sequence[SearchedPoint], axes: Sequence[Axis]) -> Chart | None:
    """A line per point of the search, through its settings to its validation accuracy. None below two points."""
    shown = [point for point in best_points(searched) if all(axis.key in point.values for axis in axes)][:MOST_LINES]
    if len(shown) < 2 or not axes:
        return None
    at = [{value.words: index for index, value in enumerate(axis.values)} for axis in axes]
    points = [
        {
            "name": short(point.name, 80),
            "at": [where[setting_words(point.values[axis.key])] for axis, where in zip(axes, at, strict=True)],
            "value": round(point.accuracy or 0.0, 3),
        }
        for point in reversed(shown)
    ]
    spec = {
        "kind": "parallel",
        "measure": "validation",
        "axes": [{"name": short(axis.key, 22), "values": [short(v.words, 14) for v in axis.values]} for axis in axes],
        "points": points,
    }
    best = shown[0]
    said = f"The best, {short(best.name, 80)}, has {best.accuracy:.1f} %."
    alt = f"A line each of {len(shown):,} points of the search. {said}"
    return Chart(spec, alt, 460)


def effect_chart(axis: Axis, inside: Sequence[float]) -> Chart:
    """Mean validation accuracy along one axis, averaged over the others."""
    spec = {
        "kind": "effect",
        "name": short(axis.key, 28),
        "ordered": axis.is_ordered,
        "values": [
            {
                "label": short(value.words, 12),
                "mean": round(value.mean, 3),
                "n": len(value.each),
                "each": [round(one, 2) for one in value.each[:MOST_LINES]],
            }
            for value in axis.values
        ],
        "range": list(inside),
    }
    said = ", ".join(f"{short(value.words, 24)}: {value.mean:.1f} %" for value in axis.values)
    return Chart(spec, f"Mean validation accuracy by {axis.key}, the other settings averaged: {said}.", 240)


def effect_scale(axes: Sequence[Axis]) -> list[float]:
    """Common scale of all axes, so that their effects can be compared."""
    return scale([one for axis in axes for value in axis.values for one in value.each], 1.0, 0, 100)
