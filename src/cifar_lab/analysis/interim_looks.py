"""The plans of looks that `run --until-decided` makes before its first look, and which comparisons they bind.

A comparison that was looked at again and again until it was decided may not be judged as if it had been looked at once.
The plan is a file, so that every later report of these runs knows of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cifar_lab.analysis.summary import Row
from cifar_lab.core.atomic_io import make_folder, write_text
from cifar_lab.core.errors import DataError
from cifar_lab.store.results import stopping_file, stopping_files


class StoppingPlan(BaseModel):
    """The looks of one question, on one data set."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    question: str
    fingerprint: str
    """Of the images."""
    control: str
    """The control's recipe, as `recipe_key` writes it."""
    arms: tuple[str, ...]
    """Recipes of the arms."""
    looks: tuple[int, ...] = Field(min_length=1)
    """Numbers of seeds at which the answer is looked at, rising; the last is `--max-seeds`."""

    def binds(self, row: Row, control: Row) -> bool:
        """Whether the comparison of these rows is one of the plan's."""
        return (self.fingerprint, self.control) == (control.fingerprint, control.key) and row.key in self.arms


@dataclass(frozen=True)
class Plans:
    """All plans of a results folder."""

    plans: Sequence[StoppingPlan]

    def looks_of(self, row: Row, control: Row) -> int:
        """Looks that were planned for a comparison: 1 without a plan, of several plans their sum."""
        return sum(len(plan.looks) for plan in self.plans if plan.binds(row, control)) or 1


def read_plan(path: Path) -> StoppingPlan:
    """One plan.

    Raises:
        DataError: the file is not what `run --until-decided` writes.
    """
    try:
        return StoppingPlan.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except ValidationError as error:
        raise DataError(
            f"{path}: not a plan of looks ({error.errors()[0]['msg']}); until it is mended, verdicts on this question "
            "are judged as if it had been looked at once"
        ) from error


def read_plans(results: Path) -> tuple[Plans, list[str]]:
    """(every plan that can be read, what is wrong with the others)."""
    plans, faults = [], []
    for path in stopping_files(results):
        try:
            plans.append(read_plan(path))
        except DataError as fault:
            faults.append(str(fault))
    return Plans(plans), faults


def save_plan(results: Path, plan: StoppingPlan) -> Path:
    """Write a plan, before its first look."""
    path = stopping_file(results, plan.question)
    make_folder(path.parent)
    write_text(path, plan.model_dump_json(indent=1) + "\n")
    return path
