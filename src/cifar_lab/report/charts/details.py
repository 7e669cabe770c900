"""Charts of the breakdowns in report.html: learning curves, classes, confusion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cifar_lab.analysis.breakdowns import CURVES, ArmBreakdown, ClassGap, ConfusionGap, Curve, arm_curves, mean_curve
from cifar_lab.report.cells import signed
from cifar_lab.report.charts.chart import Chart, short

MOST_RUNS_DRAWN = 12
"""Thin curves per arm, beside its mean over all its runs."""


def curves_chart(arms: Sequence[ArmBreakdown], histories: Mapping[str, Mapping[str, Curve]]) -> Chart | None:
    """Learning curves in training and validation: the mean of each arm and each of its runs. None without any.

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
    measure = next(name for name in ("val_accuracy", "train_accuracy", *metrics) if name in metrics)
    ends = [(each["label"], each[measure]["mean"][-1]) for each in drawn if measure in each]
    lasts = [f"{label} ends at {end:.3f}" for label, end in ends if end is not None]
    spec = {"kind": "curves", "metrics": metrics, "arms": drawn}
    return Chart(spec, f"Learning curves. {metrics[measure].capitalize()}: {'; '.join(lasts)}.", 340)


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
    return Chart(spec, alt, 50 + len(names) * (16 + 9 * len(rows)))


def confusion_chart(
    arms: Sequence[ArmBreakdown], rates: Sequence[Sequence[Sequence[float]]], gaps: Sequence[ConfusionGap]
) -> Chart | None:
    """Confusion matrix of each arm, and of each but the control the change against it. None without one.

    Args:
        arms: those that have runs.
        rates: confusion matrix of each of them, of 100 images of each true class.
        gaps: changes against the control.
    """
    if not arms:
        return None
    names = arms[0].runs[0].data.classes
    changes = {id(gap.arm): [list(line) for line in gap.cells] for gap in gaps}
    rows = [
        {"label": short(arm.label), "own": [[round(cell, 1) for cell in line] for line in cells],
         "change": changes.get(id(arm))}
        for arm, cells in zip(arms, rates, strict=True)
    ]  # fmt: skip
    said = [f"{short(gap.arm.label)} against the control: {confusion_words(gap)}" for gap in gaps if gap.changes]
    spec = {"kind": "confusion", "names": [short(name, 14) for name in names], "rows": rows}
    alt = f"Confusion matrix, of 100 images of each true class. {' '.join(said)}"
    return Chart(spec, alt, 460)


def confusion_words(gap: ConfusionGap) -> str:
    """Largest changes of mistakes in a sentence."""
    told = [
        f"{short(each.true, 24)} taken for {short(each.predicted, 24)} {each.before:.1f} → {each.after:.1f}"
        for each in gap.changes
    ]
    return f"of 100 images, {', '.join(told)}." if told else "no confusion became more or less frequent."


def _curve(runs: Sequence[Curve]) -> dict[str, Any]:
    """Mean over the runs at each epoch, and the first few of several runs."""
    few = runs[:MOST_RUNS_DRAWN] if len(runs) > 1 else []
    return {"mean": _rounded(mean_curve(runs)), "runs": [_rounded(run) for run in few]}


def _rounded(values: Curve) -> list[float | None]:
    return [None if value is None else float(f"{value:.5g}") for value in values]
