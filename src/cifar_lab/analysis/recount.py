"""Recount of documents from the records: winners and counts of every sweep, and what `recount_looks` has.

A checksum does not prove the author of a file. A number that follows from the records is computed again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isclose
from pathlib import Path
from statistics import fmean
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from cifar_lab.analysis.recount_looks import recount_looks
from cifar_lab.analysis.recount_records import recount_record
from cifar_lab.analysis.summary import recipe_key
from cifar_lab.analysis.winners import SweepControl, Winner, Winners, read_winners_file
from cifar_lab.core.errors import DataError
from cifar_lab.store.documents import read_document
from cifar_lab.store.ranges import Positive, Share, Values
from cifar_lab.store.records import Record
from cifar_lab.store.results import RunFolder, SweepFolder, sweep_folders

Kind = TypeVar("Kind", bound=BaseModel)


class _PlannedPoint(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    values: Values
    runs: tuple[str, ...]
    group: str = ""

    @property
    def first_run(self) -> str:
        return next(iter(self.runs), "")


class _Search(BaseModel):
    top: Positive = 1


class _Plan(BaseModel):
    search: _Search
    points: tuple[_PlannedPoint, ...]


class _HistoryPoint(BaseModel):
    runs: tuple[str, ...]
    val_accuracies: tuple[Share | None, ...] | None
    pruned_after_epoch: Positive | None
    dropped_after_seeds: Positive | None = None


class _History(BaseModel):
    points: tuple[_HistoryPoint, ...]


@dataclass(frozen=True)
class _Tried:
    """Point of a sweep with the results of its runs."""

    point: _PlannedPoint
    records: Sequence[Record]
    pruned_after: int | None
    dropped_after: int | None = None
    """Number of seeds after which a race dropped the point."""

    @property
    def is_out(self) -> bool:
        """Whether the point was pruned or dropped."""
        return self.pruned_after is not None or self.dropped_after is not None

    @property
    def accuracies(self) -> list[float]:
        """Validation accuracy of each run that did not diverge."""
        return [record.val.accuracy for record in self.records if record.val is not None]

    @property
    def mean(self) -> float | None:
        """Mean validation accuracy. None where every run diverged, or the point was pruned or dropped."""
        return fmean(self.accuracies) if self.accuracies and not self.is_out else None

    def is_of(self, recipe: Mapping[str, Any]) -> bool:
        """Whether its runs have this identity, whose validation split may be another."""
        return any(_unsplit(record.recipe) == _unsplit(recipe) for record in self.records)


def recount(results: Path, records: Sequence[Record]) -> list[str]:
    """A line per difference between the documents of a results folder, its records and what these follow from.

    Args:
        records: all of the folder.
    """
    by_id = {record.run_id: record for record in records}
    lines = [line for record in records for line in recount_record(results, record)]
    for folder in sweep_folders(results):
        where = folder.path.relative_to(results).as_posix()
        try:
            lines += [f"{where}/{line}" for line in _recount_sweep(results, folder, by_id)]
        except DataError as fault:
            lines.append(str(fault))
    return [*lines, *recount_looks(results, records)]


def _recount_sweep(results: Path, folder: SweepFolder, records: Mapping[str, Record]) -> Iterator[str]:
    """Differences of winners.json and history.json to the records of the search."""
    found = read_winners_file(folder.winners)
    if found is None:
        return
    plan, history = _read(folder.plan, _Plan), _read_history(folder, found)
    yield from _recount_history(results, plan, history, records)
    tried = [_tried(point, history, records) for point in plan.points]
    yield from _recount_runs(found, tried)
    stated: list[Winner | SweepControl] = [*([found.control] if found.control.group else []), *found.winners]
    ranked = _best_of_groups(tried) if found.search.per else _ranked(tried)[: plan.search.top]
    best = [(rank, each.point.name) for rank, each in enumerate(ranked, 1)]
    ranks = [winner.rank for winner in found.winners]
    if sorted((each.rank or 0, each.label) for each in stated) != best or ranks != sorted(ranks):
        yield "winners.json: its winners differ from the records"
        return
    for winner in stated:
        yield from _recount_winner(winner, ranked[(winner.rank or 1) - 1])
        if winner.group:
            yield from _recount_group(winner, tried)
    if found.control.group:
        return
    control = next((each.mean for each in tried if each.is_of(found.control.recipe)), None)
    yield from _number("winners.json: control.val_accuracy", found.control.val_accuracy, control)


def _read_history(folder: SweepFolder, found: Winners) -> Mapping[str, _HistoryPoint]:
    """Points of history.json by their first run: names depend on the version. A search in steps must have the file."""
    in_steps = found.search.halving is not None or found.search.racing is not None
    entries = _read(folder.history, _History).points if in_steps or folder.history.exists() else ()
    return {entry.runs[0]: entry for entry in entries if entry.runs}


def _tried(point: _PlannedPoint, history: Mapping[str, _HistoryPoint], records: Mapping[str, Record]) -> _Tried:
    runs = [records[run_id] for run_id in point.runs if run_id in records]
    entry = history.get(point.first_run)
    return _Tried(point, runs, *((entry.pruned_after_epoch, entry.dropped_after_seeds) if entry else (None, None)))


def _recount_runs(found: Winners, tried: Sequence[_Tried]) -> Iterator[str]:
    """Differences of the counts of points and runs."""
    runs = {run_id for each in tried for run_id in each.point.runs}
    there = {record.run_id: record for each in tried for record in each.records}
    unpruned = {run_id for each in tried if each.pruned_after is None for run_id in each.point.runs}
    yield from _number("winners.json: points", found.points, len(tried))
    yield from _number("winners.json: runs.searched", found.runs.searched, len(runs))
    yield from _number("winners.json: pruned", found.pruned, sum(each.pruned_after is not None for each in tried))
    yield from _number("winners.json: dropped", found.dropped, sum(each.dropped_after is not None for each in tried))
    diverged = sum(record.status == "diverged" for record in there.values())
    yield from _number("winners.json: runs.diverged", found.runs.diverged, diverged)
    without = len(unpruned - there.keys())
    if without > found.runs.failed:
        yield f"winners.json: runs.failed: {found.runs.failed} on disk, but {without} runs have no record"


def _ranked(tried: Sequence[_Tried]) -> list[_Tried]:
    """Points from the best down: those without a diverged run first, equal ones in the order of the plan."""
    finished = [each for each in tried if each.mean is not None]
    return sorted(finished, key=lambda each: (len(each.accuracies) < len(each.records), -(each.mean or 0.0)))


def _best_of_groups(tried: Sequence[_Tried]) -> list[_Tried]:
    """The best point of each group, the best first."""
    groups: dict[str, list[_Tried]] = {}
    for each in tried:
        groups.setdefault(each.point.group, []).append(each)
    best = [ranked[0] for group in groups.values() if (ranked := _ranked(group))]
    return sorted(best, key=lambda each: -(each.mean or 0.0))


def _recount_group(winner: Winner | SweepControl, tried: Sequence[_Tried]) -> Iterator[str]:
    """Differences of the number of tries of a group."""
    points = sum(each.point.group == winner.group for each in tried)
    yield from _number(f"winners.json: points of {winner.group[:60]}", winner.points, points)


def _recount_winner(winner: Winner | SweepControl, tried: _Tried) -> Iterator[str]:
    where = f"winners.json: winners[{winner.rank}]"
    yield from _number(f"{where}.val_accuracy", winner.val_accuracy, tried.mean)
    yield from _number(f"{where}.seeds_searched", winner.seeds_searched, len(tried.records))
    if winner.values != tried.point.values:
        yield f"{where}.values: differ from the plan"
    if not tried.is_of(winner.recipe):
        yield f"{where}.recipe: differs from its runs"


def _recount_history(
    results: Path, plan: _Plan, history: Mapping[str, _HistoryPoint], records: Mapping[str, Record]
) -> Iterator[str]:
    """Differences of history.json to the runs' metrics, or to their records where they ran to the end."""
    for point in plan.points:
        entry = history.get(point.first_run)
        if not history:
            return
        if entry is None:
            yield f"history.json: {point.name[:60]}: is missing"
        elif entry.val_accuracies is not None:
            epoch = entry.pruned_after_epoch
            values = [_accuracy(results, run_id, records.get(run_id), epoch) for run_id in point.runs]
            if len(entry.val_accuracies) == len(values) and not all(map(_is_close, entry.val_accuracies, values)):
                yield f"history.json: {point.name[:60]}: its accuracies differ from its runs"


def _accuracy(results: Path, run_id: str, record: Record | None, pruned_after: int | None) -> float | None:
    """Validation accuracy of a run at its end, or after the epoch at which it was pruned. None where it diverged."""
    if pruned_after is None:
        return record.val.accuracy if record is not None and record.val is not None else None
    epochs = RunFolder(results, run_id).read_metrics(record)
    return epochs[pruned_after - 1].val_accuracy if len(epochs) >= pruned_after else None


def _number(where: str, old: float | None, new: float | None) -> Iterator[str]:
    if not _is_close(old, new):
        yield f"{where}: {_word(old)} on disk, {_word(new)} from the records"


def _is_close(old: float | None, new: float | None) -> bool:
    """Whether two numbers are equal but for the rounding of a mean."""
    return old == new if old is None or new is None else isclose(old, new, rel_tol=1e-9)


def _word(number: float | None) -> str:
    return "none" if number is None else f"{number:.10g}"


def _unsplit(recipe: Mapping[str, Any]) -> str:
    """A run identity without its validation split, which a search adds."""
    data = recipe.get("data")
    kept = {key: value for key, value in data.items() if key != "val_size"} if isinstance(data, dict) else data
    return recipe_key({**recipe, "data": kept})


def _read(path: Path, kind: type[Kind]) -> Kind:
    """A document, parsed.

    Raises:
        DataError: it is missing, damaged, or of another shape.
    """
    try:
        return kind.model_validate(read_document(path).values)
    except FileNotFoundError as error:
        raise DataError(f"{path}: is missing, so the winners cannot be computed again") from error
    except ValidationError as error:
        raise DataError(f"{path}: is damaged (not what a sweep writes)") from error
