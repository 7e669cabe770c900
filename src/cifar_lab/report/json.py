"""answers.json: every number of the report, with the runs behind it. Same records, same bytes.

Accuracies are shares from 0 to 1; what ends in `_pp` is in percentage points; lists are in the order of the report.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from cifar_lab.analysis.answers import Answer, Comparison, WinnersCurse
from cifar_lab.analysis.questions import Lab
from cifar_lab.analysis.summary import Row
from cifar_lab.analysis.winners import Winners

ANSWERS_SCHEMA = 1
"""Version of answers.json. A key never changes its meaning; new ones may come."""

_IN_POINTS = frozenset(
    {"points", "low", "high", "differences", "spread", "standard_error", "min_effect", "smallest_shown"}
)
"""Fields of a comparison that are percentage points."""


def answers_json(lab: Lab) -> str:
    """The text of answers.json."""
    return json.dumps(answers_document(lab), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def answers_document(lab: Lab) -> dict[str, Any]:
    """The content of answers.json."""
    return {
        "schema": ANSWERS_SCHEMA,
        "title": lab.title,
        "command": lab.command,
        "data": None if lab.data is None else {**asdict(lab.data), "chance": lab.data.chance},
        "other_data": [asdict(each) for each in lab.other_data],
        "test_reads": lab.test_reads,
        "min_effect_pp": lab.min_effect,
        "family": lab.family,
        "questions": [_answer(answer) for answer in lab.answers],
        "to_run": list(lab.to_run),
        "notes": [*([lab.data_note] if lab.data_note else []), *lab.notes],
        "faults": list(lab.faults),
    }


def _answer(answer: Answer) -> dict[str, Any]:
    question = answer.question
    return {
        "name": answer.name,
        "title": question.title,
        "chart": question.chart,
        "note": question.note,
        "sentences": list(answer.sentences),
        "arms": [_row(row) for row in answer.rows],
        "comparisons": [_comparison(each) for each in answer.comparisons],
        "sweep": None if answer.sweep is None else _sweep(answer.sweep, answer.luck),
        "notes": list(answer.notes),
        "commands": list(answer.commands),
    }


def _row(row: Row) -> dict[str, Any]:
    accuracies = [accuracy for _, accuracy in row.values]
    return {
        "label": row.label,
        "is_control": row.is_control,
        "n": row.n,
        "mean": row.mean,
        "std": row.std,
        "interval": row.interval and list(row.interval),
        "min": min(accuracies, default=None),
        "max": max(accuracies, default=None),
        "runs": [
            {"seed": seed, "run_id": run_id, "accuracy": accuracy}
            for (seed, accuracy), run_id in zip(row.values, row.run_ids, strict=True)
        ],
        "diverged": [{"seed": seed, "reason": reason} for seed, reason in row.diverged],
        "without_score": list(row.without_score),
        "unfinished": list(row.unfinished),
        "missing_seeds": list(row.missing_seeds),
        "validation_mean": row.val_mean,
        "train_seconds_mean": row.seconds,
        "epochs": row.epochs,
        "parameters": row.parameters,
        "command": row.command,
    }


def _comparison(comparison: Comparison) -> dict[str, Any]:
    return {f"{name}_pp" if name in _IN_POINTS else name: value for name, value in asdict(comparison).items()}


def _sweep(sweep: Winners, luck: WinnersCurse | None) -> dict[str, Any]:
    in_points = ("lead_searched", "lead_fresh", "luck", "run_spread", "expected_luck")
    told = {} if luck is None else asdict(luck)
    return {
        "name": sweep.sweep,
        "search": sweep.search.model_dump(mode="json"),
        "confirm_seeds": list(sweep.confirm_seeds),
        "points": sweep.points,
        "pruned": sweep.pruned,
        "runs": sweep.runs.model_dump(mode="json"),
        "winners": [
            {"rank": each.rank, "label": each.label, "values": each.values, "validation_accuracy": each.val_accuracy}
            for each in sweep.top
        ],
        "luck": {f"{name}_pp" if name in in_points else name: value for name, value in told.items()} or None,
    }
