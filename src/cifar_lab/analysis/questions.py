"""Answers to the questions of a lab file, from the records of one data set."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from cifar_lab.analysis.answers import Answer, pair_answers
from cifar_lab.analysis.arms import Arm, beside, compare_arms, load_arms, options, unfinished_seeds, winners_answer
from cifar_lab.analysis.data_choice import choose_data, data_sets, named_data, source_overrides
from cifar_lab.analysis.lab import Lab
from cifar_lab.analysis.remembered_looks import NO_LOOK, Viewing, judge_results
from cifar_lab.analysis.robust_questions import RobustPlan, attacks_of, robust_answers, robust_plan
from cifar_lab.analysis.summary import reads_test, recipe_key
from cifar_lab.analysis.winners import Winners, read_winners
from cifar_lab.config.io.sheet_files import load_sheet
from cifar_lab.config.sheets import LabSheet
from cifar_lab.core.errors import DataError
from cifar_lab.store.left_out import leave_out
from cifar_lab.store.notes import Notes, all_notes
from cifar_lab.store.records import Record
from cifar_lab.store.results import Found, RunFolder, find_records, run_ids

DEFAULT_LAB_FILE = Path("configs/lab.yaml")
"""Lab file of a checkout, which ships with cifar-lab."""

LAB_FILES = (Path("lab.yaml"), DEFAULT_LAB_FILE)
"""Lab files that are found by themselves, the first that exists."""

_ATTACK = "cifar-lab attack "
"""Start of the command that makes missing attacks."""


def find_lab_file(given: Path | None = None) -> Path | None:
    """The lab file that is given, else the one of the working directory. None where there is none."""
    return given or next((path for path in LAB_FILES if path.is_file()), None)


def lab_file(given: Path | None) -> Path:
    """The lab file that is given, else the one of the working directory, else the shipped one."""
    return find_lab_file(given) or DEFAULT_LAB_FILE


def answer_lab(
    lab_path: Path,
    results: Path,
    overrides: Sequence[str] = (),
    data_name: str | None = None,
    there: Found | None = None,
    *,
    viewing: Viewing = NO_LOOK,
) -> Lab:
    """Answer every question of a lab file. Records match its arms by run identity, not by label.

    Args:
        there: records of the results folder, where they have been read already.
        viewing: the verdicts that are shown to a reader, which are remembered as looks.

    Raises:
        SettingsError: the lab file or a settings file is wrong (all problems at once), or `data_name` has no runs.
    """
    lab = load_sheet(lab_path, LabSheet)
    arms = load_arms(lab_path, lab, overrides)
    plans = {name: robust_plan(name, question, lab_path) for name, question in lab.questions.items()}
    sweeps, faults = _read_sweeps(lab, results)
    control = arms[lab.control].settings
    there = there or find_records(results)
    ours = _records_of(there.records, arms.values(), sweeps.values())
    found = data_sets(ours)
    choice = choose_data(found, data_name, named_data(control, there.records, overrides))
    fingerprint = choice.data.fingerprint if choice.data else None
    ours = [record for record in ours if record.data.fingerprint == fingerprint]

    tail = options(results, [*overrides, *(source_overrides(ours[0], control) if ours else [])])
    begun = frozenset(run_ids(results)) - {record.run_id for record in there.records}
    arms = {file: _with_command(arm, tail, fingerprint or "", begun) for file, arm in arms.items()}
    judged = judge_results(
        _answers(lab, lab_path, arms, sweeps, ours, results, tail, plans),
        lab.min_effect,
        results,
        viewing,
        there=there.records,
        questions=[
            name for name, question in lab.questions.items() if question.sweep is None and question.robust is None
        ],
    )
    made = Lab(
        lab.title,
        choice.data,
        tuple(each for each in found if each != choice.data),
        tuple(judged.answers),
        shlex.join(["cifar-lab", "report", *lab_option(lab_path), *options(results, overrides)]),
        _to_run(judged.answers, arms.values(), tail),
        lab.min_effect,
        judged.family,
        data_note=choice.note,
        to_attack_first=tuple(
            command
            for command in _to_run([answer for answer in judged.answers if answer.is_robust], arms.values(), tail)
            if not command.startswith(_ATTACK)
        ),
        to_decide=tuple(_to_decide(judged.answers, [*lab_option(lab_path), *tail])),
    )
    return with_records(made, there, results, [*faults, *judged.faults])


def with_records(lab: Lab, there: Found, results: Path, faults: Sequence[str]) -> Lab:
    """The report with its records, the reads of the test split, and what cannot be used."""
    on_images = [record for record in there.records if lab.data and record.data.fingerprint == lab.data.fingerprint]
    attacks = sum(len(RunFolder(results, record.run_id).attacks()) for record in on_images)
    return replace(
        lab,
        answers=_with_notes(lab.answers, all_notes(results)),
        test_reads=sum(map(reads_test, on_images)) + attacks,
        attack_reads=attacks,
        notes=tuple(str(each.fault) for each in there.unusable if each.copy_of),
        faults=(*faults, *(each.message for each in there.unusable if not each.copy_of)),
        records={record.run_id: record for record in on_images},
    )


def _with_notes(answers: Sequence[Answer], notes: Mapping[str, Notes]) -> tuple[Answer, ...]:
    """The answers with the tags and notes of their runs. A run of several answers is named in the first."""
    waiting, told = dict(notes), []
    for answer in answers:
        runs = [
            (row.label, seed, run_id)
            for row in answer.rows
            for run_id, (seed, _) in zip(row.run_ids, row.values, strict=True)
        ]
        lines = [
            _notes_line(label, seed, run_id, found)
            for label, seed, run_id in runs
            if (found := waiting.pop(run_id, None)) is not None
        ]
        told.append(replace(answer, notes=(*answer.notes, *lines)) if lines else answer)
    return tuple(told)


def _notes_line(label: str, seed: int, run_id: str, notes: Notes) -> str:
    tags = f", tags {', '.join(notes.tags)}" if notes.tags else ""
    return f"Run {run_id} ({label}, seed {seed}{tags}){f': {notes.note}' if notes.note else ''}"


def lab_option(lab_path: Path) -> list[str]:
    """The option of a command that names the lab file, where it is not found by itself."""
    return [] if lab_path == find_lab_file() else ["--lab", lab_path.as_posix()]


def _read_sweeps(lab: LabSheet, results: Path) -> tuple[dict[str, Winners | None], list[str]]:
    """(winners by sweep file, None where none can be read, and faults)."""
    sweeps: dict[str, Winners | None] = {}
    faults = []
    for question in lab.questions.values():
        if question.sweep:
            try:
                sweeps[question.sweep] = read_winners(results, Path(question.sweep).stem)
            except DataError as fault:
                sweeps[question.sweep] = None
                leave_out(fault)
                faults.append(str(fault))
    return sweeps, faults


def _records_of(records: Iterable[Record], arms: Iterable[Arm], sweeps: Iterable[Winners | None]) -> list[Record]:
    """Records of the arms, and those that confirm the winners of a sweep."""
    keys, swept = {arm.key for arm in arms}, [found for found in sweeps if found]
    return [
        record
        for record in records
        if recipe_key(record.recipe) in keys or any(found.confirms(record) for found in swept)
    ]


def _with_command(arm: Arm, tail: Sequence[str], fingerprint: str, begun: frozenset[str]) -> Arm:
    return replace(
        arm,
        command=shlex.join(["cifar-lab", "run", arm.path.as_posix(), *tail]),
        unfinished=unfinished_seeds(arm, fingerprint, begun),
    )


def _answers(
    lab: LabSheet,
    lab_path: Path,
    arms: Mapping[str, Arm],
    sweeps: Mapping[str, Winners | None],
    records: Sequence[Record],
    results: Path,
    tail: Sequence[str],
    plans: Mapping[str, RobustPlan | None],
) -> list[Answer]:
    """Rows of every question, not judged yet."""
    answers: list[Answer] = []
    found = attacks_of(results, records)
    attack = shlex.join(["cifar-lab", "attack", "--lab", lab_path.as_posix(), *tail])
    for name, question in lab.questions.items():
        control = arms[question.control or lab.control]
        if question.sweep is None:
            made = [compare_arms(name, question, control, [arms[file] for file in question.arms], records)]
        else:
            command = shlex.join(["cifar-lab", "sweep", beside(lab_path, question.sweep).as_posix(), *tail])
            answer = winners_answer(name, question, control, sweeps[question.sweep], command, records, results)
            made = [answer, *(pair_answers(answer) if answer.tuned else [])]
        plan = plans[name]
        answers += made if plan is None else [each for one in made for each in robust_answers(one, plan, found, attack)]
    return answers


def _to_decide(answers: Sequence[Answer], tail: Sequence[str]) -> Iterable[str]:
    """Command per undecided question that adds seeds until it is decided."""
    wanted = dict.fromkeys(each.to_decide for answer in answers for each in answer.comparisons if each.to_decide)
    return (f"cifar-lab {words}{' ' * bool(tail)}{shlex.join(tail)}" for words in wanted)


def _to_run(answers: Sequence[Answer], arms: Iterable[Arm], tail: Sequence[str]) -> tuple[str, ...]:
    """One command for all arms that miss runs, one per sweep without winners, and one for all attacks."""
    wanted = dict.fromkeys(command for answer in answers for command in answer.commands)
    files = [arm.path.as_posix() for arm in arms if arm.command in wanted]
    others = [command for command in wanted if command not in {arm.command for arm in arms}]
    others.sort(key=lambda command: command.startswith(_ATTACK))  # attacks need the runs of all others
    return (*([shlex.join(["cifar-lab", "run", *files, *tail])] if files else []), *others)
