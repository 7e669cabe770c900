"""A sheet of questions and the records: for each question its rows, control first, on one data set."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from cifar_lab import data
from cifar_lab.config import Settings
from cifar_lab.config_io import load_sheet
from cifar_lab.errors import DataError, LabError
from cifar_lab.records import Record
from cifar_lab.report.answers import Answer
from cifar_lab.report.arms import Arm, beside, data_words, is_source, load_arms, options, same_source, unfinished_seeds
from cifar_lab.report.datachoice import DataSet, Named, choose_data, count_runs, data_sets
from cifar_lab.report.luck import sweep_luck
from cifar_lab.report.stopping import read_plans
from cifar_lab.report.summary import Row, arm_row, by_recipe, reads_test, recipe_key
from cifar_lab.report.verdicts import judge
from cifar_lab.report.winners import Winners, plan_changed, read_winners, winner_rows
from cifar_lab.results import DamagedRecordError, Unusable, find_records, run_ids
from cifar_lab.sheets import LabSheet, Question

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
            answers.append(_winners(name, question, control, sweeps[question.sweep], command, records, results))
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


def _winners(
    name: str,
    question: Question,
    control: Arm,
    found: Winners | None,
    command: str,
    records: Sequence[Record],
    results: Path,
) -> Answer:
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
