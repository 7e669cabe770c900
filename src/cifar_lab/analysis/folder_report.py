"""Report of a results folder: the questions of the lab file where its arms have runs, else what the folder has."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cifar_lab.analysis.answers import Answer, pair_answers
from cifar_lab.analysis.arms import confirmed_answer, load_arms, options
from cifar_lab.analysis.data_choice import DataSet, choose_found_data, data_sets
from cifar_lab.analysis.found_arms import FOUND_NOTE, found_answers, found_arms
from cifar_lab.analysis.lab import Lab
from cifar_lab.analysis.labels import distinct_labels, flat, labelled_record, set_value
from cifar_lab.analysis.questions import answer_lab, find_lab_file, lab_option, with_records
from cifar_lab.analysis.remembered_looks import NO_LOOK, Viewing, judge_results
from cifar_lab.analysis.setting_choice import choose_settings
from cifar_lab.analysis.summary import recipe_key
from cifar_lab.analysis.winners import Winners, all_winners
from cifar_lab.config.io.setting_keys import PATH_KEYS
from cifar_lab.config.io.sheet_files import load_sheet
from cifar_lab.config.io.tree import resolve
from cifar_lab.config.sheets import LabSheet, Question
from cifar_lab.core.errors import SettingsError
from cifar_lab.core.text import count
from cifar_lab.store.records import Record
from cifar_lab.store.results import Found, find_records

MOST_LABELS = 5
"""Arms that a notice names."""


def answer_folder(
    lab_path: Path | None,
    results: Path,
    overrides: Sequence[str] = (),
    data_name: str | None = None,
    *,
    found: bool = False,
    viewing: Viewing = NO_LOOK,
    there: Found | None = None,
) -> Lab:
    """Answer the questions of the lab file, or compare the arms that the folder has.

    Without `overrides` the `--set` options of the runs are found from the runs themselves.

    Args:
        lab_path: the lab file. None without one.
        data_name: as in `answer_lab`.
        found: compare what the folder has, whatever the lab file asks.
        viewing, there: as in `answer_lab`.

    Raises:
        SettingsError: as `answer_lab`, or no run has the values of `overrides`.
    """
    there = there or find_records(results)
    if lab_path is None or found:
        return _answer_found(there, results, overrides, data_name, viewing)
    sheet = load_sheet(lab_path, LabSheet)
    chosen = () if overrides else choose_settings(sheet, load_arms(lab_path, sheet, ()), there.records)
    lab = answer_lab(lab_path, results, overrides or chosen, data_name, there, viewing=viewing)
    if lab.data is None and any(record.test_reason != "search" for record in there.records):
        made = _answer_found(there, results, overrides, data_name, viewing)
        return replace(made, notices=(f"No run fits an arm of {lab_path.as_posix()}.", *made.notices))
    notices = [f"The runs were made with {_set_words(chosen)}."] if chosen else []
    notices += _outside(sheet, lab_path, there, results, overrides or chosen)
    return replace(lab, notices=tuple(notices))


def _set_words(overrides: Sequence[str]) -> str:
    return shlex.join(word for override in overrides for word in ("--set", override))


# --- runs in no question ----------------------------------------------------------------------------------------------


def _outside(sheet: LabSheet, lab_path: Path, there: Found, results: Path, overrides: Sequence[str]) -> list[str]:
    """Sentence on the runs and sweeps that are in no question, with the command of a report that has them."""
    arms = load_arms(lab_path, sheet, overrides)
    asked, (sweeps, _) = {arm.key for arm in arms.values()}, all_winners(results)
    names = {Path(question.sweep).stem for question in sheet.questions.values() if question.sweep}
    runs = [
        record
        for record in there.records
        if record.test_reason != "search"
        and recipe_key(record.recipe) not in asked
        and not any(sweep.confirms(record) for sweep in sweeps)
    ]
    others = [sweep.sweep for sweep in sweeps if sweep.sweep not in names]
    if not runs and not others:
        return []
    words = [_runs_words(runs)] if runs else []
    words += [f"the sweep{'s' if len(others) > 1 else ''} {', '.join(others)}"] if others else []
    verb = "is" if len(runs) + len(others) == 1 else "are"
    command = None if others else _lab_command(sheet, lab_path, runs, results)
    command = command or shlex.join(["cifar-lab", "report", *found_option(), *options(results, ())])
    return [f"In no question {verb} {' and '.join(words)}. To compare them: {command}"]


def _lab_command(sheet: LabSheet, lab_path: Path, runs: Sequence[Record], results: Path) -> str | None:
    """Command that answers the lab file with all these runs, by other options. None where there are none."""
    chosen = choose_settings(sheet, load_arms(lab_path, sheet, ()), runs)
    keys = {arm.key for arm in load_arms(lab_path, sheet, chosen).values()}
    if not chosen or any(recipe_key(run.recipe) not in keys for run in runs):
        return None
    return shlex.join(["cifar-lab", "report", *lab_option(lab_path), *options(results, chosen)])


def _runs_words(runs: Sequence[Record]) -> str:
    arms = {(recipe_key(run.recipe), run.data.fingerprint): run for run in runs}
    labels = distinct_labels([labelled_record(run) for run in arms.values()])
    more = f" and {len(labels) - MOST_LABELS} more" if len(labels) > MOST_LABELS else ""
    return f"{count(len(runs), 'run')} of {', '.join(labels[:MOST_LABELS])}{more}"


def found_option() -> list[str]:
    """Option of `report` with which it leaves the lab file alone, where it would find one."""
    return ["--found"] if find_lab_file() else []


# --- what the folder has ----------------------------------------------------------------------------------------------


def _answer_found(
    there: Found, results: Path, overrides: Sequence[str], data_name: str | None, viewing: Viewing
) -> Lab:
    """Compare the arms that the folder has, and show its sweeps."""
    sweeps, faults = all_winners(results)
    records = _having([record for record in there.records if record.test_reason != "search"], overrides)
    sets = data_sets(records)
    data = choose_found_data(sets, data_name).data
    ours = [record for record in records if data and record.data.fingerprint == data.fingerprint]
    alone = [record for record in ours if not any(sweep.confirms(record) for sweep in sweeps)]
    answers, others = found_answers(found_arms(alone))
    shown = [sweep for sweep in sweeps if data and sweep.fingerprint == data.fingerprint]
    for number, sweep in enumerate(shown, start=1):
        answer = _sweep_answer(number, sweep, ours, results)
        answers += [answer, *(pair_answers(answer) if answer.tuned else [])]
    judged = judge_results(answers, _min_effect(), results, viewing, there=there.records)
    lab = Lab(
        f"Runs of {results.name or 'this folder'}",
        data,
        tuple(each for each in sets if each != data),
        (*judged.answers, *([others] if others else [])),
        shlex.join(["cifar-lab", "report", *found_option(), *options(results, overrides)]),
        min_effect=_min_effect(),
        family=judged.family,
        is_found=True,
    )
    lab = with_records(lab, there, results, [*faults, *judged.faults])
    return replace(lab, notices=tuple(_found_notices(lab, data)))


def _found_notices(lab: Lab, data: DataSet | None) -> list[str]:
    if data is None:
        return []
    if not any(len(answer.rows) > 1 for answer in lab.answers):
        return ["There is one arm, so nothing can be compared yet."]
    return [
        f"These comparisons were {FOUND_NOTE}. The control of each is the arm from which the others differ in the "
        "fewest settings; arms that differ from it in more than one factor get no verdict."
    ]


def _sweep_answer(number: int, sweep: Winners, records: Sequence[Record], results: Path) -> Answer:
    """The winners of a sweep of the folder. Not judged yet."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", sweep.sweep).strip("-")[:20] or "sweep"
    title = f"What is the best of the {count(sweep.points, 'point')} of the sweep {sweep.sweep}?"
    if sweep.search.per:
        title = f"Which {' and '.join(sweep.search.per)} is best where each is tuned (sweep {sweep.sweep})?"
    question = Question(
        title=title[:300],
        chart=f"found_sweep_{number}_{name}.png",
        note=f"{FOUND_NOTE.capitalize()}.",
    )
    return confirmed_answer(f"sweep{number}-{name}", question, sweep, "", records, results)


def _min_effect() -> float:
    return float(LabSheet.model_fields["min_effect"].default)


def _having(records: Sequence[Record], overrides: Sequence[str]) -> list[Record]:
    """Records whose settings have these values.

    Raises:
        SettingsError: a text that is not `key=value`, or no run has the values.
    """
    kept = list(records)
    for override in overrides:
        key, equals, text = (part.strip() for part in override.partition("="))
        if not (key and equals):
            raise SettingsError(f"--set {override}: expected key=value, such as optimizer.lr=0.01")
        kept = [record for record in kept if _has_value(record, key, text)]
        if not kept and records:
            raise SettingsError(f"--set {override}: no run of this folder has this value")
    return kept


def _has_value(record: Record, key: str, text: str) -> bool:
    values = flat(record.settings)
    if key not in values:
        return False
    value = values[key]
    if key in PATH_KEYS and isinstance(value, str):
        return os.path.abspath(os.path.expanduser(text)) == value or text == value  # noqa: PTH100, PTH111
    return bool(resolve(text) == value) or text == set_value(value)
