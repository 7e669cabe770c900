"""What `compare` prints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from cifar_lab.analysis.answers import Answer, Comparison
from cifar_lab.analysis.comparison_targets import ComparisonTarget, find_side, same_images
from cifar_lab.analysis.effect_bound import EffectBound, effect_bound
from cifar_lab.analysis.factors import changes
from cifar_lab.analysis.mcnemar import compare_predictions, words
from cifar_lab.analysis.sentences import p_words
from cifar_lab.analysis.summary import Row, arm_row
from cifar_lab.analysis.verdicts import judge
from cifar_lab.cli.tables import console, mean_words, safe
from cifar_lab.config import Settings
from cifar_lab.config.sheets import Question
from cifar_lab.core.errors import DataError, SettingsError
from cifar_lab.core.text import plain
from cifar_lab.progress.lines import say
from cifar_lab.store.records import Record
from cifar_lab.store.results import RunFolder, find_records


def print_comparison(
    first: str, second: str, results: Path, overrides: Sequence[str], lab: Path, min_effect: float | None
) -> None:
    """Whether the one is better than the other.

    Args:
        lab: the sheet of questions, whose `min_effect` counts where one of them has both.
        min_effect: pp; None asks the sheet.

    Raises:
        SettingsError: a name means nothing or too much; both mean the same; no images in common.
        DataError: predictions of two single runs are missing or damaged.
    """
    if min_effect is not None and not 0 < min_effect <= 100:
        raise SettingsError(f"--min-effect: {min_effect:g} is out of range; expected above 0 and at most 100")
    records = find_records(results).records
    if not records:
        raise SettingsError(f"no finished runs in {results}; train some first: cifar-lab run FILE")
    sides = same_images(*(find_side(name, results, records, overrides) for name in (first, second)))
    if [r.run_id for r in sides[0].records] == [r.run_id for r in sides[1].records]:
        raise SettingsError(f"{first} and {second} are the same runs; there is nothing to compare")
    out = console()
    rows = [arm_row(side.label, side.records, is_control=number == 1) for number, side in enumerate(sides)]
    out.print(_table(rows))
    if all(side.kind == "run" for side in sides):
        _print_models(sides, results)
    else:
        given = None if min_effect is None else EffectBound(min_effect, "--min-effect")
        _print_arms(rows, given or effect_bound(lab, sides, results, overrides))
    for side in sides:
        if side.note:
            say(plain(side.note))
    _print_settings(out, *(side.records[0] for side in sides))


def _table(rows: Sequence[Row]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("arm", "n", "test accuracy, 95 %", "each seed", "seconds a run", "parameters"):
        table.add_column(name, justify="left" if name in ("arm", "each seed") else "right")
    for row in rows:
        each = [f"{accuracy:.4f}" for _, accuracy in row.values] + [f"{seed} diverged" for seed, _ in row.diverged]
        table.add_row(
            safe(row.label), str(row.n), mean_words(row), " ".join(each),
            "" if row.seconds is None else f"{row.seconds:.1f}",
            "" if row.parameters is None else f"{row.parameters:,}",
        )  # fmt: skip
    return table


def _print_models(sides: Sequence[ComparisonTarget], results: Path) -> None:
    ours, theirs = (side.records[0] for side in sides)
    for record in (ours, theirs):
        if record.test is None:
            raise DataError(f"run {record.run_id}: has no test accuracy ({plain(record.test_reason or '')})")
    found = compare_predictions(RunFolder(results, ours.run_id), RunFolder(results, theirs.run_id))
    say(plain(words(found, sides[0].label, sides[1].label)))


def _print_arms(rows: Sequence[Row], bound: EffectBound) -> None:
    question = Question(title="compare", chart="c.png")
    (answer,), _ = judge([Answer("compare", question, (rows[1], rows[0]))], bound.points)
    (comparison,) = answer.comparisons
    say(plain(comparison.sentence))
    if details := _details(comparison):
        say(details)
        say(plain(f"Differences under {bound.points:g} pp do not matter here ({bound.source})."))


def _details(found: Comparison) -> str:
    """Numbers beside the sentence."""
    if found.verdict == "no verdict" or found.won is None:
        return ""
    of = "shared seeds" if found.method == "paired" else "pairs of runs"
    parts = [f"ahead in {100 * found.won:.0f} % of the {of}"]
    if found.effect_size is not None:
        parts.append(f"d_z = {found.effect_size:.2f}")
    if found.p_sign_flip is not None:
        parts.append(p_words(found.p_sign_flip, "exact sign-flip p"))
    if found.p_equivalence is not None:
        parts.append(p_words(found.p_equivalence, f"p of a difference beyond {found.min_effect:g} pp"))
    return f"({'; '.join(parts)})"


def _print_settings(out: Console, ours: Record, theirs: Record) -> None:
    """The settings in which they differ, as the records have them."""
    differing = changes(_settings(theirs), _settings(ours))
    if not differing:
        out.print("the settings are the same but for the seed")
        return
    table = Table("setting", "A", "B", box=None, pad_edge=False)
    for change in differing:
        table.add_row(safe(change.key), safe(str(change.arm)), safe(str(change.control)))
    out.print(table)


def _settings(record: Record) -> Settings:
    return Settings.model_validate(record.settings, strict=False)
