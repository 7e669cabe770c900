"""answers.json: every number of the report, with its runs. The same records give the same bytes.

Accuracies are shares from 0 to 1, and keys that end in `_pp` are in percentage points. Distances are in L2 of pixels 0
to 1. Lists have the order of the report.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cifar_lab.analysis.answers import Answer, Comparison
from cifar_lab.analysis.lab import Lab
from cifar_lab.analysis.robust_curves import arm_robustness
from cifar_lab.analysis.selection_bias import WinnersCurse
from cifar_lab.analysis.sentences import answer_sentences, comparison_sentences
from cifar_lab.analysis.winner_sentences import tuned_sentences, winner_sentence
from cifar_lab.analysis.winners import Winners
from cifar_lab.core.files import read_document
from cifar_lab.report.columns import ReportRow, row_document

ANSWERS_SCHEMA = 1
"""Version of answers.json. A key never changes its meaning. New keys may be added."""

_COMPARISON_KEYS = {"dof": "degrees", "win_rate": "won", "interim_looks": "looks"}
"""Keys of a comparison that are not the names of its fields."""

_POINT_KEYS = {
    "difference": "points_pp", "low": "low_pp", "high": "high_pp", "differences": "differences_pp", "std": "spread_pp",
    "standard_error": "standard_error_pp", "min_effect": "min_effect_pp", "smallest_shown": "smallest_shown_pp",
}  # fmt: skip
"""Keys of numbers in percentage points. Of distances they are null, and the names of the fields have the numbers."""

_LUCK_KEYS = {"selection_bias_pp": "luck_pp", "run_std_pp": "run_spread_pp", "expected_bias_pp": "expected_luck_pp"}
"""Keys of a sweep's `luck` that are not the names of the fields of `WinnersCurse`."""


def answers_json(lab: Lab) -> str:
    """Text of answers.json."""
    return json.dumps(answers_document(lab), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def answers_document(lab: Lab) -> dict[str, Any]:
    """Content of answers.json."""
    return {
        "schema": ANSWERS_SCHEMA,
        "title": lab.title,
        "command": lab.command,
        "data": None if lab.data is None else {**asdict(lab.data), "chance": lab.data.chance},
        "other_data": [asdict(each) for each in lab.other_data],
        "test_reads": lab.test_reads,
        **({"attack_reads": lab.attack_reads} if lab.attack_reads else {}),
        "min_effect_pp": lab.min_effect,
        "family": lab.family,
        "questions": [_answer(answer) for answer in lab.answers],
        "to_run": list(lab.to_run),
        "to_decide": list(lab.to_decide),
        "notes": [*([lab.data_note] if lab.data_note else []), *lab.notes],
        "notices": list(lab.notices),
        "faults": list(lab.faults),
    }


def has_answers(results: Path) -> bool:
    """Whether the answers.json of the folder compares the accuracies of two arms."""
    try:
        document = json.loads(read_document(results / "answers.json"))
        compared = [each for question in document["questions"] for each in question["comparisons"]]
        return any(each["points_pp"] is not None or each.get("difference") is not None for each in compared)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def _answer(answer: Answer) -> dict[str, Any]:
    question = answer.question
    return {
        "name": answer.name,
        "title": question.title,
        "chart": None if answer.pairs_of else question.chart,
        "note": question.note,
        "sentences": list(answer_sentences(answer)),
        "arms": [row_document(ReportRow(row, answer)) for row in answer.rows],
        "comparisons": [
            comparison_document(each, sentence)
            for each, sentence in zip(answer.comparisons, comparison_sentences(answer), strict=True)
        ],
        "sweep": None if answer.sweep is None else _sweep(answer.sweep, answer),
        "notes": list(answer.notes),
        **({"pairs_of": answer.pairs_of} if answer.pairs_of else {}),
        "commands": list(answer.commands),
        **({"measure": answer.quantity, "robustness": _robustness(answer)} if answer.is_robust else {}),
    }


def _robustness(answer: Answer) -> list[dict[str, Any]]:
    """Curve and runs of each arm of a question of robustness."""
    return [
        {
            "arm": arm.label,
            "curve": [asdict(point) for point in arm.curve],
            "runs": [asdict(run) for run in arm.runs],
        }
        for arm in arm_robustness(answer)
    ]


def comparison_document(comparison: Comparison, sentence: str) -> dict[str, Any]:
    """A comparison as answers.json and `compare --json` have it."""
    found = asdict(comparison)
    unit = found.pop("scale")["difference_unit"]
    in_points = {_POINT_KEYS.get(name, _COMPARISON_KEYS.get(name, name)): value for name, value in found.items()}
    if comparison.scale.is_share:
        return {**in_points, "unit": unit, "sentence": sentence}
    in_points |= dict.fromkeys(_POINT_KEYS.values())
    return {**in_points, "unit": unit, **{name: found[name] for name in _POINT_KEYS}, "sentence": sentence}


def _sweep(sweep: Winners, answer: Answer) -> dict[str, Any]:
    curse = answer.selection_bias
    return {
        "name": sweep.sweep,
        "search": sweep.search.model_dump(mode="json", exclude=None if sweep.search.per else {"per"}),
        "confirm_seeds": list(sweep.confirm_seeds),
        "points": sweep.points,
        "pruned": sweep.pruned,
        "dropped": sweep.dropped,
        "runs": sweep.runs.model_dump(mode="json"),
        "winners": [
            {"rank": each.rank, "label": each.label, "values": each.values, "validation_accuracy": each.val_accuracy}
            for each in sweep.top
        ],
        "luck": None if curse is None else _luck(curse),
        **({"groups": _groups(answer)} if answer.tuned else {}),
    }


def _groups(answer: Answer) -> dict[str, Any]:
    """Best point of each group of the sweep, in the order of the arms."""
    return {"each": [asdict(group) for group in answer.tuned], "sentences": tuned_sentences(answer.tuned)}


def _luck(curse: WinnersCurse) -> dict[str, Any]:
    found = {_LUCK_KEYS.get(name, name): value for name, value in asdict(curse).items()}
    return {**found, "sentence": winner_sentence(curse)}
