"""Verdicts on a results folder, held to the looks that were made at it and remembered as a look themselves."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path

from cifar_lab.analysis.answers import Answer, Comparison
from cifar_lab.analysis.interim_looks import GROWTH, StoppingPlans, read_stopping_plans
from cifar_lab.analysis.look_ledger import LookLedger
from cifar_lab.analysis.stats.power import MOST_SEEDS
from cifar_lab.analysis.summary import Row
from cifar_lab.analysis.verdicts import judge, pairs_of
from cifar_lab.core.errors import DataError, EnvironmentFault
from cifar_lab.store.left_out import leave_out
from cifar_lab.store.looks import FoundLooks, LookBook, find_looks, looks_lock, save_looks
from cifar_lab.store.records import Record
from cifar_lab.store.removal import marked
from cifar_lab.store.results import stopping_file

USUAL_MAX_SEEDS = 20
"""Default of `--max-seeds`."""


@dataclass(frozen=True)
class Viewing:
    """Verdicts that a command shows. No others count as looks."""

    shown: bool = True
    """Whether any are shown. A check shows none."""
    question: str = ""
    """The only question that is shown. Empty for all."""
    analysis: int | None = None
    """Number of seeds of the planned analysis that is under way."""

    def shows(self, answer: Answer) -> bool:
        """Whether the command shows this answer."""
        return self.shown and self.question in ("", answer.name)


NO_LOOK = Viewing(shown=False)


@dataclass(frozen=True)
class Judged:
    """Answers with their verdicts, held to all looks."""

    answers: list[Answer]
    family: int
    """Comparisons over which Holm adjusts."""
    faults: tuple[str, ...] = ()
    """Copies of the looks, and plans, that are missing or damaged."""


def judge_results(
    answers: Sequence[Answer],
    min_effect: float,
    results: Path,
    viewing: Viewing,
    *,
    there: Sequence[Record],
    questions: Collection[str] = (),
) -> Judged:
    """Judge all answers together, and remember the verdicts that are shown before they are.

    Args:
        min_effect: smallest difference that matters, in percentage points.
        there: all records of the folder.
        questions: names of the answers that `run --question` can add seeds to.
    """
    plans, damaged = read_stopping_plans(results, there)
    ids = {record.run_id for record in there}
    found = find_looks(results)
    made = _attempt(answers, min_effect, found, plans, viewing)
    remembered = True
    if viewing.shown and not found.is_lost and (made.is_new or found.faults):
        try:
            with looks_lock(results):
                made = _attempt(answers, min_effect, find_looks(results), plans, viewing)
                save_looks(results, made.book)
        except (EnvironmentFault, DataError):
            remembered = False
    judged = [
        _told(answer, made.ledger, ids, results, remembered or not viewing.shows(answer)) for answer in made.answers
    ]
    faults = [*found.faults, *_missing_plans(judged, made.ledger, results, plans)]
    for fault in faults:
        leave_out(fault)
    answers = [advised(each, made.ledger, plans, questions) for each in judged]
    return Judged(answers, made.family, (*damaged, *faults))


@dataclass(frozen=True)
class _JudgedOnce:
    """Answers judged from one state of the looks."""

    answers: list[Answer]
    family: int
    ledger: LookLedger
    book: LookBook
    """Looks to save: those that are shown."""
    is_new: bool


def _attempt(
    answers: Sequence[Answer], min_effect: float, found: FoundLooks, plans: StoppingPlans, viewing: Viewing
) -> _JudgedOnce:
    ledger = LookLedger(found, plans, viewing.analysis)
    for pair in pairs_of([answer for answer in answers if viewing.shows(answer)]):
        pair.seen(ledger.look)
    book, is_new = ledger.book, ledger.has_new
    return _JudgedOnce(*judge(answers, min_effect, ledger.look), ledger, book, is_new)


def _told(answer: Answer, ledger: LookLedger, there: Collection[str], results: Path, remembered: bool) -> Answer:
    """The answer with what happened to its looks."""

    def told(comparison: Comparison, row: Row) -> Comparison:
        gone = tuple(ledger.gone(row, answer.control, there))
        removed = tuple(marked(results, gone))
        kept = comparison.look_remembered or remembered
        return replace(comparison, gone=gone, removed=removed, look_remembered=kept)

    pairs = zip(answer.comparisons, answer.rows[1:], strict=True)
    return replace(answer, comparisons=tuple(told(comparison, row) for comparison, row in pairs))


def _missing_plans(answers: Sequence[Answer], ledger: LookLedger, results: Path, plans: StoppingPlans) -> Iterator[str]:
    """Faults of plans that the looks name and that have no file."""
    names = {
        plan.name for answer in answers for row in answer.rows[1:] for plan in ledger.pair(row, answer.control).plans
    }
    for name in sorted(names - {plan.question for plan in plans.plans}):
        path = stopping_file(results, name)
        if name.rpartition("-")[2] not in plans.lost and not path.exists():
            yield f"{path}: is missing; its looks stay counted, and `run --until-decided` plans new ones"


def advised(answer: Answer, ledger: LookLedger, plans: StoppingPlans, questions: Collection[str]) -> Answer:
    """The answer with the arguments of the command that adds seeds where it is undecided."""
    waiting = [
        (comparison, row)
        for comparison, row in zip(answer.comparisons, answer.rows[1:], strict=True)
        if comparison.verdict == "undecided" and comparison.seeds_more is not None
    ]
    if answer.name not in questions or not waiting:
        return answer
    words = shlex.join(["run", "--question", answer.name, *_seed_options(waiting, answer.control, ledger, plans)])
    told = {id(comparison): replace(comparison, to_decide=words) for comparison, _ in waiting}
    return replace(answer, comparisons=tuple(told.get(id(each), each) for each in answer.comparisons))


def _seed_options(
    waiting: Sequence[tuple[Comparison, Row]], control: Row, ledger: LookLedger, plans: StoppingPlans
) -> list[str]:
    """Options that add seeds: up to the end of a plan, else as many as the runs ask for, by a plan or after one."""
    ahead = [end for _, row in waiting if (end := ledger.last_planned(row, control)) is not None]
    ended = [plan.looks[-1] for _, row in waiting for plan in plans.of(row, control)]
    there = max(min(comparison.n, comparison.n_control) for comparison, _ in waiting)
    wanted = max(min(each.n, each.n_control) + (each.seeds_more or 0) for each, _ in waiting)
    most = min(MOST_SEEDS, max(USUAL_MAX_SEEDS, wanted, ceil(GROWTH * there) if there >= USUAL_MAX_SEEDS else 0))
    if ended and not ahead:
        return ["--seeds", f"{most}x"]  # a plan is never changed, so its end is followed by a look outside of it
    most = max(ahead, default=most)
    return ["--until-decided", *([] if most == USUAL_MAX_SEEDS else ["--max-seeds", str(most)])]
