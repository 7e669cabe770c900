"""Interim analyses: adding seeds until a question is decided, without raising the error rate.

A plan names its looks beforehand, and a file keeps it. `error_budget` divides what is left of the error rate among
them. By the union bound the probability of a false answer at any look is at most α, whatever the stopping rule and
however the looks depend on each other (Bonferroni, and Jennison and Turnbull 2000, Group Sequential Methods, chapter 9:
an interval at level 1 - α / K at each of K looks is a repeated confidence interval). For t tests with few runs the
sharper boundaries of normal theory do not hold.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cifar_lab.analysis.stats.significance import FEWEST_SEEDS
from cifar_lab.analysis.summary import Row
from cifar_lab.core.errors import DataError
from cifar_lab.store.documents import DamagedDocumentError, indexed, lost_documents, read_document, write_document
from cifar_lab.store.left_out import leave_out
from cifar_lab.store.ranges import Digest, Positive
from cifar_lab.store.records import Record
from cifar_lab.store.results import STOPPING, stopping_file, stopping_files

LOOKS_OF_LOST_PLAN = 40
"""Looks of a plan whose file is gone or damaged. `plan_looks` never gives more, up to ten million seeds."""

GROWTH = 1.5
"""Ratio of the runs of one look to those of the look before. More looks would cost more seeds than they save."""


def plan_looks(there: int, most: int) -> tuple[int, ...]:
    """Numbers of seeds at which to look, from those that exist (three at least) to `most`, each half as many again.

    >>> plan_looks(5, 20)
    (5, 8, 12, 20)

    Raises:
        ValueError: `most` is below three, or below the seeds that exist.
    """
    first = max(there, FEWEST_SEEDS)
    if most < first:
        raise ValueError(f"{most} seeds at most, but the first look needs {first}")
    looks = [first]
    while (following := int(looks[-1] * GROWTH + 0.5)) < most:
        looks.append(following)
    if len(looks) > 1 and most / looks[-1] < (1 + GROWTH) / 2:
        looks.pop()  # a look just before the last would cost more than it saves
    return (*looks, most) if looks[-1] < most else tuple(looks)


class StoppingPlan(BaseModel):
    """Planned looks of one question, on one data set."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    question: str
    fingerprint: Digest
    """Fingerprint of the images."""
    control: str
    """The control's `recipe_key`."""
    arms: tuple[str, ...]
    """The arms' `recipe_key`s."""
    looks: tuple[Positive, ...] = Field(min_length=1, max_length=LOOKS_OF_LOST_PLAN)
    """Numbers of seeds at the looks, rising. The last is `--max-seeds`."""

    def binds(self, row: Row, control: Row) -> bool:
        """Whether the comparison of these rows belongs to the plan."""
        return (self.fingerprint, self.control) == (control.fingerprint, control.key) and row.key in self.arms


@dataclass(frozen=True)
class StoppingPlans:
    """All plans of a results folder."""

    plans: Sequence[StoppingPlan] = ()
    lost: frozenset[str] = frozenset()
    """`plan_suffix` of each plan that was made and cannot be read."""

    def of(self, row: Row, control: Row) -> list[StoppingPlan]:
        """Plans that bind a comparison, in either order of its arms."""
        return [plan for plan in self.plans if plan.binds(row, control) or plan.binds(control, row)]

    def may_have_lost(self, row: Row, control: Row) -> set[str]:
        """`plan_suffix` of each plan that cannot be read and may have named this comparison."""
        return {plan_suffix(control.fingerprint, each.key) for each in (row, control)} & self.lost


def plan_suffix(fingerprint: str, control: str) -> str:
    """End of the name of a plan, from its images and its control's `recipe_key`."""
    return hashlib.sha256(f"{fingerprint} {control}".encode()).hexdigest()[:8]


def read_plan(path: Path) -> StoppingPlan:
    """Read one plan.

    Raises:
        DataError: the file is missing, or not what `run --until-decided` wrote there.
    """
    try:
        plan = StoppingPlan.model_validate_json(json.dumps(read_document(path).values))
    except FileNotFoundError as error:
        raise DataError(f"{path}: is missing, but {_LOST}") from error
    except DamagedDocumentError as error:
        raise DataError(f"{path}: {error.fault}; {_LOST}") from error
    except ValidationError as error:
        raise DataError(f"{path}: not a plan of looks ({error.errors()[0]['msg']}); {_LOST}") from error
    if plan.question != path.stem:
        raise DataError(f"{path}: is the plan of {plan.question[:80]}; {_LOST}")
    return plan


_LOST = (
    "looks were planned there; restore it from a copy; until then verdicts against its control are judged as if there "
    f"were {LOOKS_OF_LOST_PLAN} looks"
)


def read_stopping_plans(results: Path, records: Iterable[Record] = ()) -> tuple[StoppingPlans, list[str]]:
    """(every plan that can be read, faults of the others).

    Args:
        records: runs of the folder. A plan that one of them names must be there.
    """
    plans, faults, lost = [], [], []
    entries = {entry.path: entry for entry in indexed(results)}
    for path in sorted({*stopping_files(results), *lost_plans(results, records)}):
        try:
            plan = read_plan(path)
            if path in entries and (reason := entries[path].fault()):
                raise DataError(f"{path}: {reason}; {_LOST}")
            plans.append(plan)
        except DataError as fault:
            leave_out(fault)
            faults.append(str(fault))
            lost.append(path.stem.rpartition("-")[2])
    return StoppingPlans(plans, frozenset(lost)), faults


def lost_plans(results: Path, records: Iterable[Record]) -> list[Path]:
    """Plans that are gone: set aside as damaged, named in the index of documents, or named by a record."""
    named = {results / record.plan for record in records if record.plan}
    gone = {path for path in named if path.parent.name == STOPPING and not path.is_file()}
    return sorted({*lost_documents(results, STOPPING), *gone})


def save_plan(results: Path, plan: StoppingPlan) -> Path:
    """Write a plan. Call it before the first look."""
    path = stopping_file(results, plan.question)
    write_document(results, path, plan.model_dump(mode="json"), len(plan.looks))
    return path
