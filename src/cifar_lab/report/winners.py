"""What a sweep found: winners.json to rows, control first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cifar_lab.errors import DataError
from cifar_lab.records import Record
from cifar_lab.report.summary import Row, arm_row, by_recipe, recipe_key

SHOWN = 5
"""Winners on the chart, by their rank in the search."""


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class SweepControl(_File):
    """The sweep's base, trained with the confirming seeds."""

    label: str
    recipe: dict[str, Any]
    val_accuracy: float | None = None


class Winner(_File):
    """One of the best points by mean validation accuracy in the search, 0 to 1."""

    rank: int
    label: str
    """The point's name in the sweep."""
    recipe: dict[str, Any]
    """Recipe of the confirming runs."""
    values: dict[str, Any] = Field(default_factory=dict)
    """What the point sets: dotted key → value."""
    val_accuracy: float | None = None


class SearchRuns(_File):
    """How the runs of the search ended."""

    searched: int
    failed: int
    diverged: int


class Winners(_File):
    """The outcome of a sweep's search."""

    sweep: str
    points: int
    """Points that were tried."""
    runs: SearchRuns
    control: SweepControl
    winners: tuple[Winner, ...]

    @property
    def recipes(self) -> list[dict[str, Any]]:
        """Recipes of the rows, control first."""
        return [self.control.recipe, *(winner.recipe for winner in self.top)]

    @property
    def top(self) -> Sequence[Winner]:
        """The winners that are shown, best first."""
        return sorted(self.winners, key=lambda winner: winner.rank)[:SHOWN]


def winners_path(results: Path, name: str) -> Path:
    """Where the sweep called `name` leaves its winners."""
    return results / "sweeps" / name / "winners.json"


def read_winners(results: Path, name: str) -> Winners | None:
    """The winners of a sweep; None where it has none yet.

    Raises:
        DataError: the file is not what a sweep writes.
    """
    path = winners_path(results, name)
    try:
        return Winners.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValidationError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error.strerror
        raise DataError(f"{path}: not a sweep's winners ({reason}); run the sweep again to rebuild it") from error


def winner_rows(found: Winners, records: Sequence[Record], command: str = "") -> list[Row]:
    """The control, then the top five by rank; `records` are of one data set, `command` repeats the sweep."""
    groups = by_recipe(records)

    def row(label: str, recipe: dict[str, Any], val_accuracy: float | None, is_control: bool) -> Row:
        runs = groups.get(recipe_key(recipe), [])
        made = arm_row(label, [r for r in runs if r.test_reason != "search"], command=command, is_control=is_control)
        return replace(made, val_mean=val_accuracy)

    control = found.control
    return [
        row(control.label, control.recipe, control.val_accuracy, True),
        *(row(winner.label, winner.recipe, winner.val_accuracy, False) for winner in found.top),
    ]
