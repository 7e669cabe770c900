"""Answers as statistics would give them, with chosen numbers, for charts and tables."""

from __future__ import annotations

from statistics import fmean, stdev
from typing import Any

from cifar_lab.analysis.answers import Comparison
from cifar_lab.analysis.summary import Row


def row(label: str, *values: float, **more: Any) -> Row:
    """An arm whose seeds 0, 1, … had these accuracies."""
    return Row(
        label,
        values=tuple(enumerate(values)),
        mean=fmean(values) if values else None,
        std=stdev(values) if len(values) > 1 else None,
        **{"epochs": 10, **more},
    )


def comparison(arm: str, *differences: float, **more: Any) -> Comparison:
    """Paired differences of seeds 0, 1, …; without an interval unless `low` and `high` are given."""
    values: dict[str, Any] = {
        "arm": arm, "control": "SGD", "difference": fmean(differences) if differences else None, "level": 0.95,
        "method": "paired" if len(differences) > 1 else "none", "n": len(differences), "n_control": len(differences),
        "seeds": tuple(range(len(differences))), "differences": differences, "family": 1, "min_effect": 0.3,
        "verdict": "no verdict",
    }  # fmt: skip
    return Comparison(**{**values, **more})
