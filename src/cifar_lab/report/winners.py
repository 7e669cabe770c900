"""What a sweep found: winners.json to rows, control first, with labels made of what was chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cifar_lab.errors import DataError
from cifar_lab.records import Record
from cifar_lab.report.summary import Row, arm_row, by_recipe, recipe_key

SHOWN = 5
"""Winners on the chart, by their rank in the search."""

_NAMES = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW", "one_cycle": "one-cycle"}
_ORDER = (
    "model.name", "optimizer.name", "optimizer.lr", "data.batch_size", "data.flip", "scheduler.name",
)  # fmt: skip


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
    recipe: dict[str, Any]
    """Recipe of the confirming runs."""
    values: dict[str, Any] = Field(default_factory=dict)
    """What the point sets: dotted key → value."""
    val_accuracy: float | None = None


class Winners(_File):
    """The outcome of a sweep's search."""

    sweep: str
    points: int
    """Points that were tried."""
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
    labels = [point_label(winner.values) or winner.label for winner in found.top]
    if len(set(labels)) < len(labels):
        labels = [winner.label for winner in found.top]
    return [
        row(control.label, control.recipe, control.val_accuracy, True),
        *(row(label, w.recipe, w.val_accuracy, False) for label, w in zip(labels, found.top, strict=True)),
    ]


def point_label(values: Mapping[str, Any]) -> str:
    """What a point sets, in few words: `Adam · lr 0.001 · batch 64 · flip`. Empty where it sets nothing."""
    keys = [key for key in _ORDER if key in values] + sorted(key for key in values if key not in _ORDER)
    return " · ".join(words for key in keys if (words := _words(key, values[key])))


def _words(key: str, value: Any) -> str:
    if key.endswith(".name"):
        return "" if value == "none" else _NAMES.get(str(value), str(value))
    last = key.rpartition(".")[2]
    if isinstance(value, bool):
        return last if value else ("" if key == "data.flip" else f"no {last}")
    number = f"{value:g}" if isinstance(value, float) else str(value)
    if key == "epochs":
        return f"{number} epochs"
    return f"{ {'batch_size': 'batch'}.get(last, last) } {number}"
