"""The records of one data set to the rows of a question, of arms or of a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cifar_lab.analysis.answers import Answer
from cifar_lab.analysis.arms import Arm
from cifar_lab.analysis.data_choice import count_runs
from cifar_lab.analysis.selection_bias import sweep_luck
from cifar_lab.analysis.summary import Row, arm_row, by_recipe
from cifar_lab.analysis.winners import Winners, plan_changed, winner_rows
from cifar_lab.config.sheets import Question
from cifar_lab.store.records import Record


def _runs(arm: Arm, groups: dict[str, list[Record]]) -> list[Record]:
    """The arm's runs that are no part of a search."""
    return [record for record in groups.get(arm.key, []) if record.test_reason != "search"]


def _row(arm: Arm, runs: Sequence[Record], *, is_control: bool = False) -> Row:
    row = arm_row(arm.label, runs, seeds=arm.settings.seeds, command=arm.command, is_control=is_control)
    return replace(row, unfinished=arm.unfinished)


def _comparable(control: Arm, arms: Sequence[Arm], groups: dict[str, list[Record]]) -> tuple[list[Record], list[int]]:
    """(the control's runs that answer this question, seeds left out).

    A seed counts where the control's settings ask for it or an arm has it: runs that a sweep or another question added
    would shift the control and no arm. Where nothing would be left, all count.
    """
    runs = _runs(control, groups)
    wanted = {
        *control.settings.seeds,
        *(run.seed for arm in arms if arm.key != control.key for run in _runs(arm, groups)),
    }
    kept = [run for run in runs if run.seed in wanted] or runs
    return kept, sorted({run.seed for run in runs} - {run.seed for run in kept})


def _left_out(control: Arm, seeds: Sequence[int]) -> list[str]:
    """A sentence on the control's runs that no arm can be compared with."""
    if not seeds:
        return []
    told = f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
    return [f"Left out of {control.label}: {told}, which its settings do not ask for and no arm here has."]


def compare_arms(name: str, question: Question, control: Arm, arms: Sequence[Arm], records: Sequence[Record]) -> Answer:
    """A question of arms: its rows, made of the records of one data set; not judged yet."""
    groups = by_recipe(records)
    kept, left_out = _comparable(control, arms, groups)
    rows = [_row(control, kept, is_control=True)]
    rows += [_row(arm, kept if arm.key == control.key else _runs(arm, groups)) for arm in arms]
    notes = [
        f"{arm.label} has the same settings as the control: the two rows are the same runs."
        for arm in arms
        if arm.key == control.key and arm.key
    ]
    notes += [
        f"{arm.label}: a file that its settings name (weights or source) cannot be read, so its runs are not found."
        for arm in [control, *arms]
        if not arm.key
    ]
    return Answer(name, question, tuple(rows), (*notes, *_left_out(control, left_out)))


def winners_answer(
    name: str,
    question: Question,
    control: Arm,
    found: Winners | None,
    command: str,
    records: Sequence[Record],
    results: Path,
) -> Answer:
    """A question of a sweep: its winners, made of the records of one data set; not judged yet."""
    if found is None or (records and records[0].data.fingerprint != found.fingerprint):
        kept, left_out = _comparable(control, (), by_recipe(records))
        row = _row(control, kept, is_control=True)
        unswept = "not swept yet" if found is None else "not swept yet on these images"
        return Answer(name, question, (row,), tuple(_left_out(control, left_out)), to_sweep=command, unswept=unswept)
    rows = winner_rows(found, records, command)
    notes = [_search_words(found, len(rows) - 1)]
    if plan_changed(results, found):
        notes.append("The sweep has another plan by now than the one these winners are of; give its command again.")
    notes += [
        f"{row.label} has the same settings as the control: the two rows are the same runs."
        for row, winner in zip(rows[1:], found.top, strict=True)
        if winner.recipe == found.control.recipe
    ]
    return Answer(name, question, tuple(rows), tuple(notes), found, luck=sweep_luck(found, records))


def _search_words(found: Winners, shown: int) -> str:
    """How the search went, so that a reader can weigh the winners."""
    runs, search = found.runs, found.search
    best = f"the control and the best {shown} were" if shown else "no point ended with finite numbers; the control was"
    halved = search.halving
    method = search.method if halved is None else f"{search.method}, successive halving"
    pruned = "" if halved is None else f"; {found.pruned:,} of the points were pruned before their last epoch"
    return (
        f"{found.points:,} points were searched ({method}) in {count_runs(runs.searched)}, of which "
        f"{runs.failed} failed and {runs.diverged} diverged, judged by {search.val_size:,} validation images{pruned}; "
        f"{best} then trained again with the fresh seeds {', '.join(map(str, found.confirm_seeds))} and tested once."
    )
