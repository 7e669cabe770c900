"""What lies behind an answer to the interactive charts of report.html: curves, classes, mistakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

from cifar_lab.analysis.breakdowns import CURVES, ArmBreakdown, ClassGap, ConfusionGap
from cifar_lab.report.charts.interactive import Chart, short
from cifar_lab.report.columns import signed

MOST_RUNS_DRAWN = 12
"""Thin curves of an arm, beside its mean over all its runs."""


def curves_chart(
    arms: Sequence[ArmBreakdown], histories: Mapping[str, Mapping[str, Sequence[float | None]]]
) -> Chart | None:
    """Learning curves: the mean of each arm and each of its runs; None without any.

    Args:
        arms: control first.
        histories: run id → column → a number an epoch.
    """
    drawn: list[dict[str, Any]] = []
    for arm in arms:
        runs = [histories[run.run_id] for run in arm.runs if run.run_id in histories]
        columns = {name: _curve([run[name] for run in runs if name in run]) for name in CURVES}
        drawn.append({"label": short(arm.label), "style": arm.style} | {k: v for k, v in columns.items() if v})
    metrics = {name: words for name, words in CURVES.items() if any(name in arm for arm in drawn)}
    if not metrics:
        return None
    first = next(iter(metrics))
    ends = [(each["label"], each[first]["mean"][-1]) for each in drawn if first in each]
    lasts = [f"{label} ends at {end:.3f}" for label, end in ends if end is not None]
    spec = {"kind": "curves", "metrics": metrics, "arms": drawn}
    return Chart(spec, f"{metrics[first].capitalize()} by epoch. {'; '.join(lasts)}.", 380)


def classes_chart(gaps: Sequence[ClassGap], names: Sequence[str]) -> Chart | None:
    """Difference to the control in each class; None without one."""
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
    said = []
    for gap in gaps:
        best, worst = (
            max(range(len(names)), key=lambda c: gap.mean[c]),
            min(range(len(names)), key=lambda c: gap.mean[c]),
        )
        said.append(
            f"{short(gap.arm.label)}: from {signed(gap.mean[worst])} pp in {short(names[worst], 24)} to "
            f"{signed(gap.mean[best])} pp in {short(names[best], 24)}"
        )
    spec = {"kind": "classes", "names": [short(name, 18) for name in names], "rows": rows}
    alt = f"Difference of each arm to the control in each class. {'; '.join(said)}."
    return Chart(spec, alt, 70 + len(names) * (24 + 8 * len(rows)))


def confusion_chart(gaps: Sequence[ConfusionGap], names: Sequence[str]) -> Chart | None:
    """Confusion of an arm minus the control's; None without one."""
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
    """The largest changes of mistakes in a sentence."""
    told = [
        f"{short(each.true, 24)} taken for {short(each.predicted, 24)} {each.before:.1f} → {each.after:.1f}"
        for each in gap.changes
    ]
    return f"of 100 images, {', '.join(told)}." if told else "no mistake became more or less frequent."


def _curve(runs: Sequence[Sequence[float | None]]) -> dict[str, Any]:
    """The mean over the runs at each epoch, and the first few of several runs; empty without any."""
    columns = [[value for value in epoch if value is not None] for epoch in zip_longest(*runs)]
    mean = [sum(known) / len(known) if known else None for known in columns]
    few = runs[:MOST_RUNS_DRAWN] if len(runs) > 1 else []
    return {"mean": _rounded(mean), "runs": [_rounded(run) for run in few]} if mean else {}


def _rounded(values: Sequence[float | None]) -> list[float | None]:
    return [None if value is None else float(f"{value:.5g}") for value in values]
