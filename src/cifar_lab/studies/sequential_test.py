"""Sequential test of a question: add seeds at planned interim analyses until its comparisons are decided.

What earlier looks left of the error rate is shared among the analyses (`analysis.error_budget` has the rule and its
source). The plan is written before the first analysis, and every later report of these runs is held to it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cifar_lab.analysis.answers import Answer, Comparison
from cifar_lab.analysis.interim_looks import (
    StoppingPlan,
    lost_plans,
    plan_looks,
    plan_suffix,
    read_plan,
    read_stopping_plans,
    save_plan,
)
from cifar_lab.analysis.summary import recipe_key
from cifar_lab.config import Settings
from cifar_lab.config.io.load import with_values
from cifar_lab.config.run_id import recipe
from cifar_lab.core.errors import SettingsError
from cifar_lab.data import DatasetCatalog
from cifar_lab.execution.plan import plan_runs
from cifar_lab.execution.runner import RunBatch
from cifar_lab.store.results import find_records, stopping_file
from cifar_lab.store.writers import documents_lock

Train = Callable[[Sequence[Settings], str], RunBatch]
"""Makes the runs of arms under a plan, whose path in the results folder their records name."""

AnswerQuestion = Callable[[int], Answer]
"""The question as a report on the results folder answers it at a planned number of seeds, remembered as a look."""


@dataclass(frozen=True)
class InterimAnalysis:
    """One analysis of a question at a planned number of seeds."""

    number: int
    """Counted from 1."""
    planned: tuple[int, ...]
    """Number of seeds of each planned analysis."""
    runs: RunBatch
    answer: Answer
    undecided: tuple[Comparison, ...]

    @property
    def seeds(self) -> int:
        """Number of seeds at this analysis."""
        return self.planned[self.number - 1]

    @property
    def is_last(self) -> bool:
        """Whether training ends here: all decided, no analysis left, or runs that failed."""
        return not self.undecided or self.number == len(self.planned) or bool(self.runs.exit_code)


def run_sequential_test(
    name: str,
    control: Settings,
    arms: Sequence[Settings],
    results: Path,
    max_seeds: int,
    train: Train,
    answer_question: AnswerQuestion,
) -> Iterable[InterimAnalysis]:
    """Train and analyse until every arm is better, worse or equivalent, or has `max_seeds` seeds.

    Decided arms get no more seeds. Runs that exist are the data of the first analysis.

    Raises:
        ValueError: `max_seeds` is below three.
        SettingsError: the question has another plan already.
        DataError: its plan cannot be read.
        LabError: as `make_runs`.
    """
    seeds = seed_list(control, arms, max_seeds)
    with documents_lock(results):  # of several commands one makes the plan, and the others read it
        plan = _plan(name, control, arms, results, max_seeds, seeds)
    path = stopping_file(results, plan.question).relative_to(results).as_posix()
    undecided = list(arms)
    for number, count in enumerate(plan.looks, start=1):
        wanted = {"seeds": list(seeds[:count])}
        due = [with_values(each, wanted, where=f"look {number} of {name}") for each in (control, *undecided)]
        runs = train(due, path)
        answer = answer_question(count)
        comparisons = dict(zip([_key(arm) for arm in arms], answer.comparisons, strict=True))
        undecided = [arm for arm in arms if comparisons[_key(arm)].verdict in ("undecided", "no verdict")]
        analysis = InterimAnalysis(number, plan.looks, runs, answer, tuple(comparisons[_key(arm)] for arm in undecided))
        yield analysis
        if analysis.is_last:
            return


def seed_list(control: Settings, arms: Sequence[Settings], max_seeds: int) -> tuple[int, ...]:
    """Seeds in the order of use: those of the settings, then the smallest other numbers."""
    stated = dict.fromkeys(seed for settings in (control, *arms) for seed in settings.seeds)
    more = (seed for seed in itertools.count() if seed not in stated)
    return tuple(itertools.islice(itertools.chain(stated, more), max(max_seeds, 0)))


def _plan(
    name: str, control: Settings, arms: Sequence[Settings], results: Path, max_seeds: int, seeds: Sequence[int]
) -> StoppingPlan:
    """Read the plan of the question, or write a new one before its first analysis."""
    images = DatasetCatalog()
    fingerprint = images.prepare(control.data).fingerprint
    key = _key(control)
    short = plan_suffix(fingerprint, key)
    keys = tuple(_key(arm) for arm in arms)
    new = StoppingPlan(question=f"{name}-{short}", fingerprint=fingerprint, control=key, arms=keys, looks=(max_seeds,))
    plan = _find_plan(results, new)
    if plan is None:
        plan = new.model_copy(
            update={"looks": plan_looks(_seeds_done(control, arms, results, images, seeds), max_seeds)}
        )
    elif plan.looks[-1] != max_seeds:
        raise SettingsError(
            f"--max-seeds {max_seeds}: {stopping_file(results, plan.question)} has looks at {_listed(plan.looks)} "
            f"seeds; changing a plan after a look would break its error rate; use --max-seeds {plan.looks[-1]}"
        )
    elif set(keys) <= set(plan.arms):
        return plan
    else:
        plan = plan.model_copy(update={"arms": tuple(dict.fromkeys([*plan.arms, *keys]))})
    save_plan(results, plan)
    return plan


def _find_plan(results: Path, new: StoppingPlan) -> StoppingPlan | None:
    """The plan of this name, else one of the same control and images with one of the arms: a question may be renamed.

    Raises:
        DataError: the file of this name cannot be read.
    """
    path = stopping_file(results, new.question)
    if path.is_file() or path in lost_plans(results, find_records(results).records):
        return read_plan(path)
    plans, _ = read_stopping_plans(results)
    same = (plan for plan in plans.plans if (plan.fingerprint, plan.control) == (new.fingerprint, new.control))
    return next((plan for plan in same if set(plan.arms) & set(new.arms)), None)


def _seeds_done(
    control: Settings, arms: Sequence[Settings], results: Path, images: DatasetCatalog, seeds: Sequence[int]
) -> int:
    """Largest number of usable seeds that the control shares with an arm in finished runs."""

    def done(settings: Settings) -> set[int]:
        every = with_values(settings, {"seeds": list(seeds)}, where=settings.label)
        return {run.job.seed for run in plan_runs([every], results, images) if run.state == "done"}

    control_seeds = done(control)
    return max((len(control_seeds & done(arm)) for arm in arms), default=0)


def _key(settings: Settings) -> str:
    return recipe_key(recipe(settings))


def _listed(numbers: Sequence[int]) -> str:
    *first, last = map(str, numbers)
    return f"{', '.join(first)} and {last}" if first else last
