"""Arms of a lab file: their settings, the commands that make their runs, and their rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cifar_lab.analysis.answers import Answer
from cifar_lab.analysis.labels import distinct_labels, labelled
from cifar_lab.analysis.rounding import mixed_rounding
from cifar_lab.analysis.selection_bias import tuned_groups, winners_curse
from cifar_lab.analysis.summary import Row, arm_row, by_recipe, recipe_key
from cifar_lab.analysis.winners import Winners, plan_changed, winner_rows
from cifar_lab.config import Settings
from cifar_lab.config.io import shipped
from cifar_lab.config.io.load import load_settings
from cifar_lab.config.run_id import recipe, run_id
from cifar_lab.config.sheets import LabSheet, Question
from cifar_lab.core.errors import LabError, Problem, SettingsError
from cifar_lab.core.text import count
from cifar_lab.store.records import Record

DEFAULT_RESULTS = Path("results")


@dataclass(frozen=True)
class Arm:
    """A settings file that the lab file names, resolved."""

    label: str
    settings: Settings
    key: str
    """Its `recipe_key`. Empty where a file that the run identity depends on is missing."""
    path: Path
    """Path of its file, from the working directory."""
    command: str = ""
    """Command that trains it."""
    unfinished: tuple[int, ...] = ()
    """Seeds of its settings whose run has a folder and no valid record."""


def load_arms(lab_path: Path, lab: LabSheet, overrides: Sequence[str]) -> dict[str, Arm]:
    """Load every settings file that the lab file names, each once.

    Raises:
        SettingsError: all problems of all files.
    """
    files = dict.fromkeys([lab.control])
    for question in lab.questions.values():
        files |= dict.fromkeys([*([question.control] if question.control else []), *question.arms])
    arms: dict[str, Arm] = {}
    problems: list[Problem] = []
    for file in files:
        try:
            settings = load_settings(beside(lab_path, file), overrides)
        except SettingsError as error:
            problems += [problem for problem in error.problems if problem not in problems]
            continue
        arms[file] = Arm(settings.label or Path(file).stem, settings, settings_key(settings), beside(lab_path, file))
    if problems:
        raise SettingsError(problems)
    labels = distinct_labels([labelled(arm.settings.model_copy(update={"label": arm.label})) for arm in arms.values()])
    return {file: replace(arm, label=label) for (file, arm), label in zip(arms.items(), labels, strict=True)}


def settings_key(settings: Settings) -> str:
    """`recipe_key` of the settings. Empty where a file of weights or source is missing: no run of it can be found."""
    try:
        return recipe_key(recipe(settings))
    except LabError:
        return ""


def unfinished_seeds(arm: Arm, fingerprint: str, begun: frozenset[str]) -> tuple[int, ...]:
    """Seeds of the arm's settings whose run on these images is among the `begun`: ids with a folder and no record."""
    if not begun or not arm.key:
        return ()
    parts = json.loads(arm.key)
    return tuple(seed for seed in sorted(arm.settings.seeds) if run_id(parts, fingerprint, seed) in begun)


def beside(lab_path: Path, file: str) -> Path:
    """Path of a file that the lab file names, from the working directory."""
    return shipped.beside(lab_path.parent, file)


def options(results: Path, overrides: Sequence[str]) -> list[str]:
    """Options that a command needs to make the runs of this report and no others."""
    words = [word for override in overrides for word in ("--set", override)]
    return words + (["--results", results.as_posix()] if results != DEFAULT_RESULTS else [])


# --- rows -------------------------------------------------------------------------------------------------------------


def compare_arms(name: str, question: Question, control: Arm, arms: Sequence[Arm], records: Sequence[Record]) -> Answer:
    """Rows of a question of arms, from the records of one data set. Not judged yet."""
    groups = by_recipe(records)
    kept, left_out = _comparable(control, arms, groups)
    rows = [_row(control, kept, is_control=True)]
    rows += [_row(arm, kept if arm.key == control.key else tested_runs(arm, groups)) for arm in arms]
    notes = [_same_settings(arm.label) for arm in arms if arm.key == control.key and arm.key]
    notes += [
        f"{arm.label}: a file that its settings name (weights or source) cannot be read, so its runs are not found."
        for arm in [control, *arms]
        if not arm.key
    ]
    notes += _rounding_notes(rows, records)
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
    """Rows of a question of a sweep: its winners, from the records of one data set. Not judged yet."""
    if found is None or (records and records[0].data.fingerprint != found.fingerprint):
        kept, left_out = _comparable(control, (), by_recipe(records))
        row = replace(_row(control, kept, is_control=True), command="")  # the sweep trains its control itself
        unswept = "not swept yet" if found is None else "not swept yet on these images"
        return Answer(name, question, (row,), tuple(_left_out(control, left_out)), to_sweep=command, unswept=unswept)
    return confirmed_answer(name, question, found, command, records, results)


def confirmed_answer(
    name: str, question: Question, found: Winners, command: str, records: Sequence[Record], results: Path
) -> Answer:
    """Rows of the winners of a sweep, from the records of its data set. Not judged yet."""
    rows = winner_rows(found, records, command)
    notes = [_search_note(found, len(rows) - 1)]
    if plan_changed(results, found):
        notes.append("The plan of the sweep has changed since these winners were chosen; run the sweep again.")
    winners = zip(rows[1:], found.top, strict=True)
    notes += [_same_settings(row.label) for row, winner in winners if winner.recipe == found.control.recipe]
    notes += _rounding_notes(rows, records)
    bias, tuned = winners_curse(found, records), tuned_groups(found, records)
    return Answer(name, question, tuple(rows), tuple(notes), found, selection_bias=bias, tuned=tuned)


def tested_runs(arm: Arm, groups: dict[str, list[Record]]) -> list[Record]:
    """Runs of the arm, without those of a search."""
    return [record for record in groups.get(arm.key, []) if record.test_reason != "search"]


def _row(arm: Arm, runs: Sequence[Record], *, is_control: bool = False) -> Row:
    row = arm_row(arm.label, runs, seeds=arm.settings.seeds, command=arm.command, is_control=is_control)
    return replace(row, unfinished=arm.unfinished, key=row.key or arm.key)


def _comparable(control: Arm, arms: Sequence[Arm], groups: dict[str, list[Record]]) -> tuple[list[Record], list[int]]:
    """(runs of the control that answer this question, seeds left out).

    A seed counts where the control's settings ask for it or an arm has it. Runs that a sweep or another question added
    would shift the mean of the control and of no arm. Where no run would be left, all count.
    """
    runs = tested_runs(control, groups)
    wanted = {
        *control.settings.seeds,
        *(run.seed for arm in arms if arm.key != control.key for run in tested_runs(arm, groups)),
    }
    kept = [run for run in runs if run.seed in wanted] or runs
    return kept, sorted({run.seed for run in runs} - {run.seed for run in kept})


def _same_settings(label: str) -> str:
    return f"{label} has the same settings as the control: the two rows are the same runs."


def _left_out(control: Arm, seeds: Sequence[int]) -> list[str]:
    if not seeds:
        return []
    named = f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
    return [f"Left out of {control.label}: {named}, which neither its settings nor an arm here asks for."]


def _rounding_notes(rows: Sequence[Row], records: Sequence[Record]) -> list[str]:
    """One sentence per row whose runs were not computed in one way."""
    by_id = {record.run_id: record for record in records}
    shown = {row.run_ids: row for row in rows}
    return [note for ids, row in shown.items() for note in mixed_rounding(row.label, [by_id[run_id] for run_id in ids])]


def _search_note(found: Winners, shown: int) -> str:
    """Course of the search, so that a reader can weigh its winners."""
    runs, search = found.runs, found.search
    best = f"the control and the best {shown} were" if shown else "no point ended with finite numbers; the control was"
    if found.group_winners:
        tries = ", ".join(f"{each.group} of {each.points:,}" for each in found.group_winners)
        best = f"the best point of each {' and '.join(search.per)} ({tries}) was"
    halved = search.halving
    method = search.method if halved is None else f"{search.method}, successive halving"
    pruned = "" if halved is None else f"; {found.pruned:,} of the points were pruned before their last epoch"
    if search.racing is not None:
        method = f"{method}, a race over {len(search.seeds)} seeds at error rate {search.racing.error:g}"
        pruned = f"; {found.dropped:,} of the points were dropped before their last seed"
    return (
        f"{found.points:,} points were searched ({method}) in {count(runs.searched, 'run')}, of which "
        f"{runs.failed} failed and {runs.diverged} diverged, ranked by {search.val_size:,} validation images{pruned}; "
        f"{best} then trained again with the fresh seeds {', '.join(map(str, found.confirm_seeds))} and tested once."
    )
