"""Add seeds to a question until it is decided: looks planned beforehand, each held to its share of the error rate.

`analysis.interim_looks` has the rule and its source; the plan is written before the first look, and every later report
of these runs is held to it.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cifar_lab.analysis.answers import Answer, Comparison
from cifar_lab.analysis.interim_looks import StoppingPlan, plan_looks, read_plan, save_plan
from cifar_lab.analysis.summary import recipe_key
from cifar_lab.config import Settings
from cifar_lab.config.io import with_values
from cifar_lab.config.run_id import recipe
from cifar_lab.core.errors import SettingsError
from cifar_lab.data import DatasetCatalog
from cifar_lab.execution.plan import plan_runs
from cifar_lab.execution.runner import RunBatch
from cifar_lab.store.results import stopping_file

Train = Callable[[Sequence[Settings]], RunBatch]
"""Makes the runs of these arms exist."""

LookAt = Callable[[], Answer]
"""The question as a report on the results folder answers it."""


@dataclass(frozen=True)
class Look:
    """One look at the answer."""

    number: int
    """1 is the first."""
    looks: tuple[int, ...]
    """All that were planned: numbers of seeds."""
    made: RunBatch
    answer: Answer
    open: tuple[Comparison, ...]
    """Comparisons that are not decided yet."""

    @property
    def seeds(self) -> int:
        """Seeds at this look."""
        return self.looks[self.number - 1]

    @property
    def is_last(self) -> bool:
        """Whether nothing more will be trained: all decided, no look left, or runs that failed."""
        return not self.open or self.number == len(self.looks) or bool(self.made.exit_code)


def until_decided(
    name: str, control: Settings, arms: Sequence[Settings], results: Path, most: int, train: Train, look_at: LookAt
) -> Iterable[Look]:
    """Train and look, until every arm is better, worse or equivalent, or `most` seeds are there.

    Arms that are decided get no more seeds. What is there already is the first look.

    Raises:
        ValueError: `most` is below three.
        SettingsError: the question has another plan already.
        DataError: its plan cannot be read.
        LabError: as `make_runs`.
    """
    seeds = seed_list(control, arms, most)
    plan = _plan(name, control, arms, results, most, seeds)
    waiting = list(arms)
    for number, count in enumerate(plan.looks, start=1):
        wanted = {"seeds": list(seeds[:count])}
        made = train([with_values(each, wanted, where=f"look {number} of {name}") for each in (control, *waiting)])
        answer = look_at()
        decided = dict(zip([_key(arm) for arm in arms], answer.comparisons, strict=True))
        waiting = [arm for arm in arms if decided[_key(arm)].verdict in ("undecided", "no verdict")]
        look = Look(number, plan.looks, made, answer, tuple(decided[_key(arm)] for arm in waiting))
        yield look
        if look.is_last:
            return


def seed_list(control: Settings, arms: Sequence[Settings], most: int) -> tuple[int, ...]:
    """The seeds in the order in which they are used: those of the settings, then the smallest numbers beside them."""
    named = dict.fromkeys(seed for settings in (control, *arms) for seed in settings.seeds)
    more = (seed for seed in itertools.count() if seed not in named)
    return tuple(itertools.islice(itertools.chain(named, more), max(most, 0)))


def _plan(
    name: str, control: Settings, arms: Sequence[Settings], results: Path, most: int, seeds: Sequence[int]
) -> StoppingPlan:
    """The question's plan: the one that is written down, or a new one, which is written before its first look."""
    images = DatasetCatalog()
    fingerprint = images.prepare(control.data).fingerprint
    key = _key(control)
    short = hashlib.sha256(f"{fingerprint} {key}".encode()).hexdigest()[:8]
    path = stopping_file(results, f"{name}-{short}")
    keys = tuple(_key(arm) for arm in arms)
    if path.is_file():
        plan = read_plan(path)
        if plan.looks[-1] != most:
            raise SettingsError(
                f"--max-seeds {most}: {path} has looks at {_listed(plan.looks)} seeds; a plan that is changed after "
                f"looking keeps no error rate; give --max-seeds {plan.looks[-1]}"
            )
        if set(keys) <= set(plan.arms):
            return plan
        plan = plan.model_copy(update={"arms": tuple(dict.fromkeys([*plan.arms, *keys]))})
    else:
        looks = plan_looks(_there(control, arms, results, images, seeds), most)
        plan = StoppingPlan(question=f"{name}-{short}", fingerprint=fingerprint, control=key, arms=keys, looks=looks)
    save_plan(results, plan)
    return plan


def _there(
    control: Settings, arms: Sequence[Settings], results: Path, images: DatasetCatalog, seeds: Sequence[int]
) -> int:
    """The most seeds that the control and an arm both have records of, among those that may be used."""

    def done(settings: Settings) -> set[int]:
        every = with_values(settings, {"seeds": list(seeds)}, where=settings.label)
        return {run.job.seed for run in plan_runs([every], results, images) if run.state == "done"}

    ours = done(control)
    return max((len(ours & done(arm)) for arm in arms), default=0)


def _key(settings: Settings) -> str:
    return recipe_key(recipe(settings))


def _listed(numbers: Sequence[int]) -> str:
    *first, last = map(str, numbers)
    return f"{', '.join(first)} and {last}" if first else last
