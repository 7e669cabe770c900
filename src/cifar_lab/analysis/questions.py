"""A sheet of questions and the records: for each question its rows, control first, on one data set."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from cifar_lab import data
from cifar_lab.analysis.answering import compare_arms, winners_answer
from cifar_lab.analysis.answers import Answer
from cifar_lab.analysis.arms import (
    Arm,
    beside,
    data_words,
    is_source,
    load_arms,
    options,
    same_source,
    unfinished_seeds,
)
from cifar_lab.analysis.data_choice import DataSet, Named, choose_data, data_sets
from cifar_lab.analysis.interim_looks import read_plans
from cifar_lab.analysis.summary import reads_test, recipe_key
from cifar_lab.analysis.verdicts import judge
from cifar_lab.analysis.winners import Winners, read_winners
from cifar_lab.config import Settings
from cifar_lab.config.io import load_sheet
from cifar_lab.config.sheets import LabSheet
from cifar_lab.core.errors import DataError, LabError
from cifar_lab.store.records import Record
from cifar_lab.store.results import DamagedRecordError, Unusable, find_records, run_ids

DEFAULT_SHEET = Path("configs/lab.yaml")


@dataclass(frozen=True)
class Lab:
    """All questions of a sheet, on one data set."""

    title: str
    data: DataSet | None
    """None where no arm has a run."""
    other_data: tuple[DataSet, ...]
    """Data sets that have runs of these arms too, left out."""
    answers: tuple[Answer, ...]
    command: str = "cifar-lab report"
    """What to type to make this report again."""
    to_run: tuple[str, ...] = ()
    """What to type to make all that is missing."""
    min_effect: float = 0.3
    """Differences smaller than this do not matter, pp of test accuracy."""
    family: int = 0
    """Comparisons over which Holm adjusts: all of this report that have a p value."""
    test_reads: int = 0
    """Runs in the results folder that read the test split of these images, of arms that no question has too."""
    data_note: str = ""
    """Why these images, where the control names others."""
    notes: tuple[str, ...] = ()
    """Run folders that are not counted, and why; they do no harm."""
    faults: tuple[str, ...] = ()
    """Records and winners that are damaged, each with the way to make it again."""
    records: Mapping[str, Record] = field(default_factory=dict)
    """Every record on these images by run id, those of searches too."""


def answer_sheet(sheet_path: Path, results: Path, overrides: Sequence[str] = (), data_name: str | None = None) -> Lab:
    """Match the sheet's arms to the records by what they do; a new label changes nothing.

    Raises:
        SettingsError: the sheet or a settings file is wrong (all problems at once), or `data_name` has no runs.
    """
    sheet = load_sheet(sheet_path, LabSheet)
    arms = load_arms(sheet_path, sheet, overrides)
    sweeps, faults = _read_sweeps(sheet, results)
    keys = {arm.key for arm in arms.values()}
    swept = [found for found in sweeps.values() if found]

    def concerns(record: Record) -> bool:
        return recipe_key(record.recipe) in keys or any(found.confirms(record) for found in swept)

    there = find_records(results)
    records = list(filter(concerns, there.records))
    found = data_sets(records)
    choice = choose_data(found, data_name, _named_data(arms[sheet.control].settings, there.records, overrides))
    images = choice.data
    records = [record for record in records if images and record.data.fingerprint == images.fingerprint]

    source = data_words(records[0], arms[sheet.control].settings) if records else []
    tail = options(results, [*overrides, *source])
    begun = frozenset(run_ids(results)) - {record.run_id for record in there.records}
    arms = {
        file: replace(
            arm,
            command=shlex.join(["cifar-lab", "run", arm.path.as_posix(), *tail]),
            unfinished=unfinished_seeds(arm, images.fingerprint if images else "", begun),
        )
        for file, arm in arms.items()
    }
    answers = []
    for name, question in sheet.questions.items():
        control = arms[question.control or sheet.control]
        if question.sweep is None:
            answers.append(compare_arms(name, question, control, [arms[file] for file in question.arms], records))
        else:
            command = shlex.join(["cifar-lab", "sweep", beside(sheet_path, question.sweep).as_posix(), *tail])
            answers.append(winners_answer(name, question, control, sweeps[question.sweep], command, records, results))
    plans, spoilt = read_plans(results)
    judged, family = judge(answers, sheet.min_effect, plans.looks_of)
    others = tuple(each for each in found if each != images)
    lab = ["--lab", sheet_path.as_posix()] if sheet_path != DEFAULT_SHEET else []
    remake = shlex.join(["cifar-lab", "report", *lab, *options(results, overrides)])
    return Lab(
        sheet.title,
        images,
        others,
        tuple(judged),
        remake,
        _to_run(judged, arms.values(), tail),
        sheet.min_effect,
        family,
        data_note=choice.note,
        test_reads=sum(reads_test(r) for r in there.records if images and r.data.fingerprint == images.fingerprint),
        notes=tuple(str(each.fault) for each in there.unusable if each.copy_of),
        faults=(*faults, *spoilt, *(_remedy(each, results) for each in there.unusable if not each.copy_of)),
        records={r.run_id: r for r in there.records if images and r.data.fingerprint == images.fingerprint},
    )


def _named_data(control: Settings, records: Sequence[Record], overrides: Sequence[str]) -> Named:
    """The images that the control's settings mean: by their fingerprint where the cache is there, else by their source.

    Runs whose settings name the same source have the fingerprint that the source had then.
    """
    try:
        info = data.known(control.data)
    except LabError:
        info = None
    fingerprints = {info.fingerprint} if info else {r.data.fingerprint for r in records if same_source(r, control)}
    asked = [word for word in overrides if is_source(word)]
    return Named(control.data.dataset, frozenset(fingerprints), " ".join(f"--set {word}" for word in asked))


def _read_sweeps(sheet: LabSheet, results: Path) -> tuple[dict[str, Winners | None], list[str]]:
    """(sweep file → its winners, None where there are none that can be read; what is damaged)."""
    sweeps: dict[str, Winners | None] = {}
    faults = []
    for question in sheet.questions.values():
        if question.sweep:
            try:
                sweeps[question.sweep] = read_winners(results, Path(question.sweep).stem)
            except DataError as fault:
                sweeps[question.sweep] = None
                faults.append(str(fault))
    return sweeps, faults


def _remedy(unusable: Unusable, results: Path) -> str:
    """What is wrong with a record, and the command that makes the run again."""
    folder = unusable.folder
    if not isinstance(unusable.fault, DamagedRecordError) or not folder.settings.is_file():
        return str(unusable.fault)
    command = shlex.join(["cifar-lab", "run", folder.settings.as_posix(), *options(results, [])])
    return f"{folder.record}: is damaged and left out; to make the run again: {command}"


def _to_run(answers: Sequence[Answer], arms: Iterable[Arm], tail: Sequence[str]) -> tuple[str, ...]:
    """One command for all arms that miss runs, and one for each sweep that is still to make."""
    wanted = dict.fromkeys(command for answer in answers for command in answer.commands)
    files = [arm.path.as_posix() for arm in arms if arm.command in wanted]
    sweeps = [command for command in wanted if command not in {arm.command for arm in arms}]
    return (*([shlex.join(["cifar-lab", "run", *files, *tail])] if files else []), *sweeps)
