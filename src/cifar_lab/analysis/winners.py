"""Winners of a sweep: winners.json, and its rows with the control first."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cifar_lab.analysis.summary import Row, arm_row, by_recipe, recipe_key
from cifar_lab.core.errors import DataError
from cifar_lab.core.files import read_regular
from cifar_lab.core.text import plain
from cifar_lab.store.documents import DamagedDocumentError, read_document
from cifar_lab.store.left_out import leave_out
from cifar_lab.store.ranges import Count, Positive, Seed, Share, Values
from cifar_lab.store.records import Record
from cifar_lab.store.results import SweepFolder, sweeps_with_winners

SHOWN = 5
"""Number of winners on the chart, by their rank in the search."""


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class SweepControl(_File):
    """Control of the sweep, trained with the confirming seeds."""

    label: str
    recipe: Values
    val_accuracy: Share | None = None
    group: str = ""
    """With groups: the group that the others are compared with. The control is its best point."""
    rank: Positive | None = None
    values: Values = Field(default_factory=dict)
    seeds_searched: Positive | None = None
    points: Positive | None = None
    """Number of points of its group."""


class Winner(_File):
    """One of the best points by mean validation accuracy in the search, 0 to 1."""

    rank: Positive
    label: str
    """Name of the point in the sweep."""
    recipe: Values
    """Run identity of the confirming runs, without the seed."""
    values: Values = Field(default_factory=dict)
    """Settings of the point, by dotted key."""
    val_accuracy: Share | None = None
    seeds_searched: Positive | None = None
    """Number of runs of the point in the search."""
    group: str = ""
    """Group that it is the best point of. Empty where the points are one group."""
    points: Positive | None = None
    """Number of points of its group."""


class SearchRunsEntry(_File):
    """Counts of the runs of a search, by their end."""

    searched: Count
    failed: Count
    diverged: Count


class HalvingInfo(_File):
    """Successive halving, which prunes points before their last epoch."""

    eta: Positive
    rungs: Positive


class RacingInfo(_File):
    """Race over seeds, which drops points before their last seed."""

    error: Share


class SearchInfo(_File):
    """Method of the search."""

    method: str
    seeds: tuple[Seed, ...]
    val_size: Count
    """Number of images in the validation split."""
    halving: HalvingInfo | None = None
    racing: RacingInfo | None = None
    per: tuple[str, ...] = ()
    """Keys that make groups of points."""


class Winners(_File):
    """Outcome of the search of a sweep."""

    sweep: str
    plan_sha256: str
    """Checksum of the plan.json that the winners were picked from."""
    fingerprint: str
    """Fingerprint of the images of the search and of the confirming runs."""
    search: SearchInfo
    confirm_seeds: tuple[Seed, ...]
    """Fresh seeds of the control and the winners. No other run of theirs answers the question."""
    points: Positive
    """Number of points of the search."""
    pruned: Count = 0
    """Number of points that were pruned before their last epoch. They enter no mean."""
    dropped: Count = 0
    """Number of points that a race dropped."""
    runs: SearchRunsEntry
    control: SweepControl
    winners: tuple[Winner, ...]

    @cached_property
    def _keys(self) -> frozenset[str]:
        return frozenset(map(recipe_key, self.recipes))

    @property
    def recipes(self) -> list[dict[str, Any]]:
        """Run identities of the rows, control first."""
        return [self.control.recipe, *(winner.recipe for winner in self.top)]

    @property
    def top(self) -> Sequence[Winner]:
        """Winners that are shown, best first. All where each is of a group."""
        return sorted(self.winners, key=lambda winner: winner.rank)[: None if self.search.per else SHOWN]

    @property
    def group_winners(self) -> Sequence[Winner | SweepControl]:
        """Best point of each group, that of the control first. Empty without groups."""
        return [self.control, *self.top] if self.control.group else []

    @property
    def best(self) -> Winner | SweepControl | None:
        """Point with the highest validation accuracy. None without a winner."""
        first = next(iter(self.top), None)
        return min(self.group_winners, key=lambda each: each.rank or 1, default=first)

    def confirms(self, record: Record) -> bool:
        """Whether the record is one of the confirming runs of the sweep."""
        return (
            record.data.fingerprint == self.fingerprint
            and record.seed in self.confirm_seeds
            and record.test_reason != "search"
            and recipe_key(record.recipe) in self._keys
        )


def winners_path(results: Path, name: str) -> Path:
    """Path of winners.json of the sweep called `name`."""
    return SweepFolder(results, name).winners


def read_winners(results: Path, name: str) -> Winners | None:
    """Read the winners of a sweep. None where it has none yet.

    Raises:
        DataError: the file is not what a sweep writes.
    """
    return read_winners_file(winners_path(results, name))


def read_winners_file(path: Path) -> Winners | None:
    """`read_winners` of one winners.json."""
    try:
        return Winners.model_validate_json(json.dumps(read_document(path).values))
    except FileNotFoundError:
        return None
    except (DamagedDocumentError, ValidationError) as error:
        raise DataError(f"{path}: {_reason(error)}; run the sweep again to rebuild it") from error


def _reason(error: DamagedDocumentError | ValidationError) -> str:
    """The fault of the file, or of its first value that no sweep writes."""
    if isinstance(error, DamagedDocumentError):
        return error.fault
    first = error.errors(include_url=False, include_input=False)[0]
    return plain(f"not a sweep's winners ({'.'.join(map(str, first['loc']))}: {first['msg']})")[:200]


def all_winners(results: Path) -> tuple[list[Winners], list[str]]:
    """(winners of every sweep of the folder that has some, faults of files that cannot be read)."""
    found, faults = [], []
    for name in sweeps_with_winners(results):
        try:
            winners = read_winners(results, name)
        except DataError as fault:
            leave_out(fault)
            faults.append(str(fault))
            continue
        found += [winners] if winners else []
    return found, faults


def plan_changed(results: Path, found: Winners) -> bool:
    """Whether the plan of the sweep has changed since these winners were picked."""
    try:
        plan = read_regular(SweepFolder(results, found.sweep).plan)
    except OSError:
        return False
    return hashlib.sha256(plan).hexdigest() != found.plan_sha256


def winner_rows(found: Winners, records: Sequence[Record], command: str = "") -> list[Row]:
    """Rows of the control, then of the top five by rank, from the confirming runs among `records`.

    `command` repeats the sweep.
    """
    groups = by_recipe(filter(found.confirms, records))

    def row(label: str, recipe: dict[str, Any], val_accuracy: float | None, is_control: bool) -> Row:
        runs = groups.get(recipe_key(recipe), [])
        made = arm_row(label, runs, seeds=found.confirm_seeds, command=command, is_control=is_control)
        return replace(made, val_mean=val_accuracy)

    control = found.control
    return [
        row(control.label, control.recipe, control.val_accuracy, True),
        *(row(winner.label, winner.recipe, winner.val_accuracy, False) for winner in found.top),
    ]
