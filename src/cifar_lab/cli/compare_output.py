"""Output of `compare`: a table of two targets, the verdict and the settings that differ."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from cifar_lab.analysis.answers import Answer, Comparison
from cifar_lab.analysis.comparison_targets import (
    ComparisonTarget,
    EffectBound,
    effect_bound,
    find_target,
    same_images,
)
from cifar_lab.analysis.factors import changes, settings_of
from cifar_lab.analysis.labels import distinct_labels, labelled_record
from cifar_lab.analysis.mcnemar import compare_predictions, mcnemar_sentence
from cifar_lab.analysis.remembered_looks import Viewing, judge_results
from cifar_lab.analysis.rounding import mixed_rounding
from cifar_lab.analysis.sentences import comparison_sentences, p_words, winner_sentence
from cifar_lab.analysis.summary import Row, arm_row
from cifar_lab.cli.tables import arms_table
from cifar_lab.config.sheets import Question
from cifar_lab.core.errors import DataError, SettingsError
from cifar_lab.core.terminal import console
from cifar_lab.core.text import plain
from cifar_lab.progress.lines import say
from cifar_lab.store.records import Record
from cifar_lab.store.results import existing_results, find_records


def print_comparison(
    first: str, second: str, results: Path, overrides: Sequence[str], lab: Path | None, min_effect: float | None
) -> None:
    """Compare two arms or sweeps by their seeds, or two runs by their predictions, and print the result.

    Args:
        lab: lab file, whose `min_effect` counts where one of its questions has both targets. None without one.
        min_effect: smallest relevant difference in pp. None takes that of the lab file.

    Raises:
        SettingsError: a name is unknown or ambiguous; both name the same runs; no images in common.
        DataError: predictions of two single runs are missing or damaged.
    """
    if min_effect is not None and not 0 < min_effect <= 100:
        raise SettingsError(f"--min-effect: {min_effect:g} is out of range; expected above 0 and at most 100")
    records = find_records(existing_results(results)).records
    if not records:
        raise SettingsError(f"no finished runs in {results}; train some first: cifar-lab run FILE")
    targets = same_images(*(find_target(name, results, records, overrides) for name in (first, second)))
    if [r.run_id for r in targets[0].records] == [r.run_id for r in targets[1].records]:
        raise SettingsError(f"{first} and {second} are the same runs; there is nothing to compare")
    out = console()
    rows = [
        arm_row(label, target.records, is_control=number == 1)
        for number, (label, target) in enumerate(zip(_labels(targets), targets, strict=True))
    ]
    out.print(arms_table("compare", rows))
    if all(target.kind == "run" for target in targets):
        _print_models(targets, results)
    else:
        given = None if min_effect is None else EffectBound(min_effect, "--min-effect")
        bound = given or effect_bound(lab, targets, results, overrides)
        _print_arms(rows, bound, results, records)
    for target in targets:
        for note in mixed_rounding(target.label, target.records):
            say(plain(note))
        if target.selection_bias:
            say(plain(winner_sentence(target.selection_bias)))
    _print_settings(out, *(target.records[0] for target in targets))


def _labels(targets: Sequence[ComparisonTarget]) -> list[str]:
    """Labels of the targets. Equal ones get the settings that differ."""
    return distinct_labels(
        [replace(labelled_record(target.records[0]), label=target.label) for target in reversed(targets)]
    )[::-1]


def _print_models(targets: Sequence[ComparisonTarget], results: Path) -> None:
    ours, theirs = (target.records[0] for target in targets)
    for record in (ours, theirs):
        if record.test is None:
            raise DataError(f"run {record.run_id}: has no test accuracy ({plain(record.test_reason or '')})")
    found = compare_predictions(results, ours, theirs)
    say(plain(mcnemar_sentence(found, targets[0].label, targets[1].label)))


def _print_arms(rows: Sequence[Row], bound: EffectBound, results: Path, there: Sequence[Record]) -> None:
    """Print the verdict and remember the look."""
    name = bound.question or "compare"
    answers = [Answer(name, Question(title="compare", chart="c.png"), (rows[1], rows[0]))]
    questions = [bound.question] if bound.question else []
    judged = judge_results(answers, bound.difference_pp, results, Viewing(), there=there, questions=questions)
    (answer,) = judged.answers
    (comparison,) = answer.comparisons
    say(plain(comparison_sentences(answer)[0]))
    if details := _line_below_verdict(comparison):
        say(details)
        say(plain(f"Differences under {bound.difference_pp:g} pp do not matter here ({bound.source})."))
    if comparison.to_decide:
        say(plain(f"to decide: {shlex.join(['cifar-lab', *shlex.split(comparison.to_decide), *bound.options])}"))


def _line_below_verdict(found: Comparison) -> str:
    """Terminal line below the verdict: win rate, effect size and further p-values."""
    if found.verdict == "no verdict" or found.win_rate is None:
        return ""
    of = "shared seeds" if found.method == "paired" else "pairs of runs"
    parts = [f"ahead in {100 * found.win_rate:.0f} % of the {of}"]
    if found.effect_size is not None:
        parts.append(f"d_z = {found.effect_size:.2f}")
    if found.p_sign_flip is not None:
        parts.append(p_words(found.p_sign_flip, "exact sign-flip p"))
    if found.p_equivalence is not None:
        parts.append(p_words(found.p_equivalence, f"p of a difference beyond {found.min_effect_pp:g} pp"))
    return f"({'; '.join(parts)})"


def _print_settings(out: Console, first: Record, second: Record) -> None:
    """Print the recorded settings that differ."""
    differing = changes(settings_of(second), settings_of(first))
    if not differing:
        out.print("the settings are the same but for the seed")
        return
    table = Table("setting", "A", "B", box=None, pad_edge=False)
    for change in differing:
        table.add_row(plain(change.key), plain(str(change.arm)), plain(str(change.control)))
    out.print(table)
