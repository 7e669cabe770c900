"""Output of `compare`: the verdict, a table of two targets, the settings that differ and, on request, the evidence."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from cifar_lab.analysis.answers import Answer, Comparison
from cifar_lab.analysis.comparison_targets import (
    ComparisonTarget,
    EffectBound,
    effect_bound,
    find_target,
    same_images,
)
from cifar_lab.analysis.evidence_words import p_words
from cifar_lab.analysis.factors import changes, settings_of
from cifar_lab.analysis.labels import distinct_labels, labelled_record
from cifar_lab.analysis.mcnemar import compare_predictions, mcnemar_sentence, mcnemar_verdict
from cifar_lab.analysis.remembered_looks import Viewing, judge_results
from cifar_lab.analysis.rounding import mixed_rounding
from cifar_lab.analysis.sentences import comparison_sentences, warning_sentences
from cifar_lab.analysis.summary import Row, arm_row
from cifar_lab.analysis.verdict_line import verdict_line
from cifar_lab.analysis.winner_sentences import winner_sentence
from cifar_lab.cli.output import Output
from cifar_lab.cli.tables import arms_table
from cifar_lab.cli.text_table import TableColumn, TextTable
from cifar_lab.config.sheets import Question
from cifar_lab.core.errors import DataError, SettingsError
from cifar_lab.core.text import plain
from cifar_lab.report.json import comparison_document
from cifar_lab.store.records import Record
from cifar_lab.store.results import existing_results, find_records

SETTINGS_COLUMNS = TableColumn("setting", "key"), TableColumn("A", "a"), TableColumn("B", "b")

FEWEST_SIGN_FLIPS = 6
"""Pairs below which the exact sign-flip test cannot reach .05, so that its p would only mislead."""


@dataclass(frozen=True)
class ComparisonRequest:
    """Names and options of a `compare` command."""

    first: str
    second: str
    results: Path
    overrides: Sequence[str] = ()
    lab: Path | None = None
    """Lab file, whose `min_effect` counts where one of its questions has both targets. None without one."""
    min_effect: float | None = None
    """Smallest relevant difference in pp. None takes that of the lab file."""
    details: bool = False
    """Whether the evidence follows the verdict."""


def print_comparison(request: ComparisonRequest, *, as_json: bool = False) -> None:
    """Compare two arms or sweeps by their seeds, or two runs by their predictions, and print the result.

    Raises:
        SettingsError: a name is unknown or ambiguous; both name the same runs; no images in common.
        DataError: predictions of two single runs are missing or damaged.
    """
    effect = request.min_effect
    if effect is not None and not 0 < effect <= 100:
        raise SettingsError(f"--min-effect: {effect:g} is out of range; expected above 0 and at most 100")
    records = find_records(existing_results(request.results)).records
    if not records:
        raise SettingsError(f"no finished runs in {request.results}; train some first: cifar-lab run FILE")
    names = request.first, request.second
    targets = same_images(*(find_target(name, request.results, records, request.overrides) for name in names))
    if [r.run_id for r in targets[0].records] == [r.run_id for r in targets[1].records]:
        raise SettingsError(f"{names[0]} and {names[1]} are the same runs; there is nothing to compare")
    faults: tuple[str, ...] = ()
    out = Output("compare", as_json=as_json)
    rows = [
        arm_row(label, target.records, is_control=number == 1)
        for number, (label, target) in enumerate(zip(_labels(targets), targets, strict=True))
    ]
    if all(target.kind == "run" for target in targets):
        _print_models(out, targets, request)
    else:
        faults = _print_arms(out, rows, targets, request, records)
    out.table(arms_table("compare", rows), "arms")
    for target in targets:
        for note in mixed_rounding(target.label, target.records):
            out.wrapped(note, "notes")
        if target.selection_bias and (request.details or as_json):
            out.wrapped(winner_sentence(target.selection_bias), "details")
    _print_settings(out, *(target.records[0] for target in targets))
    if not request.details:
        out.line("(--details adds the evidence: interval, p value, power)")
    out.close()
    if faults:
        raise DataError("\n".join(map(plain, faults)))


def _labels(targets: Sequence[ComparisonTarget]) -> list[str]:
    """Labels of the targets. Equal ones get the settings that differ."""
    return distinct_labels(
        [replace(labelled_record(target.records[0]), label=target.label) for target in reversed(targets)]
    )[::-1]


def _print_models(out: Output, targets: Sequence[ComparisonTarget], request: ComparisonRequest) -> None:
    ours, theirs = (target.records[0] for target in targets)
    for record in (ours, theirs):
        if record.test is None:
            raise DataError(f"run {record.run_id}: has no test accuracy ({plain(record.test_reason or '')})")
    found = compare_predictions(request.results, ours, theirs)
    labels = targets[0].label, targets[1].label
    out.wrapped(mcnemar_verdict(found, *labels), "sentences")
    out.value("models", asdict(found))
    if request.details or out.as_json:
        out.wrapped(mcnemar_sentence(found, *labels), "details")


def _print_arms(
    out: Output,
    rows: Sequence[Row],
    targets: Sequence[ComparisonTarget],
    request: ComparisonRequest,
    there: Sequence[Record],
) -> tuple[str, ...]:
    """Print the verdict, remember the look and return the faults of what is known of earlier looks."""
    given = None if request.min_effect is None else EffectBound(request.min_effect, "--min-effect")
    bound = given or effect_bound(request.lab, targets, request.results, request.overrides)
    asked = Answer(bound.question or "compare", Question(title="compare", chart="c.png"), (rows[1], rows[0]))
    questions = [bound.question] if bound.question else []
    judged = judge_results([asked], bound.difference_pp, request.results, Viewing(), there=there, questions=questions)
    (answer,) = judged.answers
    (comparison,) = answer.comparisons
    (sentence,) = comparison_sentences(answer)
    verdict = verdict_line(answer)
    out.wrapped(f"{verdict.mark} {verdict.sentence}", "sentences")
    if warning := warning_sentences(comparison, rows[0], rows[1]):
        out.wrapped(warning, "notes")
    out.value("comparison", comparison_document(comparison, sentence))
    if request.details or out.as_json:
        _print_details(out, comparison, sentence, bound)
    if comparison.to_decide:
        out.line(f"to decide: {shlex.join(['cifar-lab', *shlex.split(comparison.to_decide), *bound.options])}", "notes")
    return judged.faults


def _print_details(out: Output, found: Comparison, sentence: str, bound: EffectBound) -> None:
    """Print the evidence of a verdict: its sentence with interval and p, the win rate, and the smallest effect."""
    out.wrapped(sentence, "details")
    if found.verdict == "no verdict" or found.win_rate is None:
        return
    of = "shared seeds" if found.method == "paired" else "pairs of runs"
    parts = [f"ahead in {100 * found.win_rate:.0f} % of the {of}"]
    if found.effect_size is not None:
        parts.append(f"effect size d_z = {found.effect_size:.2f}")
    if found.p_sign_flip is not None and len(found.seeds) >= FEWEST_SIGN_FLIPS:
        parts.append(p_words(found.p_sign_flip, "exact sign-flip p"))
    words = "; ".join(parts)
    out.wrapped(f"{words[:1].upper()}{words[1:]}.", "details")
    out.wrapped(f"Differences below {bound.difference_pp:g} pp are negligible here ({bound.source}).", "details")


def _print_settings(out: Output, first: Record, second: Record) -> None:
    """Print the recorded settings that differ."""
    differing = changes(settings_of(second), settings_of(first))
    table = TextTable(*SETTINGS_COLUMNS)
    for change in differing:
        table.add(
            change.key,
            change.arm,
            change.control,
            document=partial(dict, key=change.key, a=change.arm, b=change.control),
        )
    if differing or out.as_json:
        out.table(table, "settings_that_differ")
    else:
        out.line("Only the seeds differ.")
