"""Records to rows: one row an arm, with its runs counted, averaged and listed. No drawing, no files, no torch."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from cifar_lab.analysis.stats.samples import t_interval
from cifar_lab.store.records import Record


@dataclass(frozen=True)
class Row:
    """One arm on one data set. Accuracies are shares from 0 to 1, on the test split."""

    label: str
    values: tuple[tuple[int, float], ...] = ()
    """(seed, accuracy) of each run that was tested, by seed."""
    mean: float | None = None
    std: float | None = None
    """Sample standard deviation over seeds (ddof = 1); None below two runs."""
    run_ids: tuple[str, ...] = ()
    """Of the runs in `values`, in their order."""
    diverged: tuple[tuple[int, str], ...] = ()
    """(seed, reason) of each run whose loss stopped to be finite; they have no accuracy and are in no mean."""
    without_score: tuple[int, ...] = ()
    """Seeds of runs that finished and read the test split, where a logit was not finite."""
    unfinished: tuple[int, ...] = ()
    """Seeds whose run folder is there without a record: running, interrupted or failed."""
    key: str = ""
    """The recipe of its runs (`recipe_key`); empty without runs."""
    untested: int = 0
    """Runs of a search, which are judged by validation only."""
    val_mean: float | None = None
    """Mean validation accuracy of the finished runs that have one."""
    seconds: float | None = None
    """Mean training time of a finished run, seconds."""
    epochs: int | None = None
    """Epochs that a finished run was trained; the highest where they differ."""
    parameters: int | None = None
    """Trainable parameters."""
    data: str = ""
    """Name of the data set, an image folder's own name; empty without runs."""
    fingerprint: str = ""
    missing_seeds: tuple[int, ...] = ()
    """Seeds that the settings ask for and no record has."""
    command: str = ""
    """What to type to make the missing runs; empty where nothing is missing."""
    is_control: bool = False

    @property
    def n(self) -> int:
        """Runs that were tested."""
        return len(self.values)

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % t interval of the mean; None below two runs."""
        return t_interval([accuracy for _, accuracy in self.values])

    @property
    def attempts(self) -> int:
        """Runs that were tested or diverged."""
        return self.n + len(self.diverged)

    @property
    def is_missing(self) -> bool:
        """Whether there is nothing at all to show."""
        return self.attempts == 0


def recipe_key(recipe: Mapping[str, Any]) -> str:
    """The recipe as one string: equal recipes give equal keys, whatever the order of their parts."""
    return json.dumps(recipe, sort_keys=True, separators=(",", ":"))


def reads_test(record: Record) -> bool:
    """Whether the run read the test split, whatever came of it."""
    return record.test is not None or record.test_reason not in ("search", "diverged")


def by_recipe(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Records of each recipe, in their order."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(recipe_key(record.recipe), []).append(record)
    return groups


def arm_row(
    label: str,
    records: Sequence[Record],
    *,
    seeds: Sequence[int] = (),
    command: str = "",
    is_control: bool = False,
) -> Row:
    """The row of an arm from its records, all of one recipe on one data set.

    `seeds` are those asked for; `command` makes what is missing of them.

    Raises:
        ValueError: records of several data sets, which no mean may join, or two of one seed.
    """
    if len({record.data.fingerprint for record in records}) > 1:
        raise ValueError(f"{label}: runs on several data sets cannot share a row")
    seen = [record.seed for record in records]
    if len(set(seen)) < len(seen):
        twice = next(seed for seed in seen if seen.count(seed) > 1)
        raise ValueError(f"{label}: two records of seed {twice}; a run counts once")
    finished = [record for record in records if record.status == "done"]
    tested = sorted((record for record in finished if record.test is not None), key=lambda record: record.seed)
    values = tuple((record.seed, record.test.accuracy) for record in tested if record.test is not None)
    accuracies = [accuracy for _, accuracy in values]
    lost = [record for record in finished if record.test is None and reads_test(record)]
    validated = [record.val.accuracy for record in finished if record.val is not None]
    counted = tested or finished
    missing = tuple(sorted(set(seeds) - {record.seed for record in records}))
    return Row(
        label=label,
        values=values,
        mean=fmean(accuracies) if accuracies else None,
        std=stdev(accuracies) if len(accuracies) > 1 else None,
        run_ids=tuple(record.run_id for record in tested),
        diverged=tuple(sorted((r.seed, r.reason or "no reason given") for r in records if r.status == "diverged")),
        without_score=tuple(sorted(record.seed for record in lost)),
        untested=len(finished) - len(tested),
        val_mean=fmean(validated) if validated else None,
        seconds=fmean(record.train_seconds for record in counted) if counted else None,
        epochs=max((record.epochs_trained for record in counted), default=None),
        parameters=records[0].parameters if records else None,
        data=records[0].data.title if records else "",
        fingerprint=records[0].data.fingerprint if records else "",
        missing_seeds=missing,
        key=recipe_key(records[0].recipe) if records else "",
        command=command if missing or not records else "",
        is_control=is_control,
    )


def summarize(records: Iterable[Record]) -> list[Row]:
    """A row for each recipe on each data set, in the order in which the records come.

    Where an arm was renamed between its runs, the label of the last finished one stands.
    """
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        groups.setdefault((recipe_key(record.recipe), record.data.fingerprint), []).append(record)
    return [arm_row(max(group, key=lambda record: record.finished).label, group) for group in groups.values()]
