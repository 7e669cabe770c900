"""Summary of records: a row per arm, with its runs counted, averaged and listed. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev
from typing import Any

from cifar_lab.analysis.scales import SHARES, Scale
from cifar_lab.analysis.stats.significance import FEWEST_SEEDS, t_interval
from cifar_lab.core.html_table import html_table
from cifar_lab.store.records import Record
from cifar_lab.store.run_paths import PREDICTIONS


@dataclass(frozen=True)
class Row:
    """Summary of an arm on one data set. Accuracies are shares from 0 to 1, on the test split."""

    label: str
    values: tuple[tuple[int, float], ...] = ()
    """(seed, accuracy) of each run that was tested, by seed."""
    mean: float | None = None
    std: float | None = None
    """Sample standard deviation over seeds (ddof = 1). None below two runs."""
    run_ids: tuple[str, ...] = ()
    """Ids of the runs in `values`, in their order."""
    diverged: tuple[tuple[int, str], ...] = ()
    """(seed, reason) of each run whose loss became non-finite. They have no accuracy and are in no mean."""
    without_score: tuple[int, ...] = ()
    """Seeds of finished runs whose test logits were not finite."""
    unfinished: tuple[int, ...] = ()
    """Seeds whose run folder has no record: running, interrupted or failed."""
    key: str = ""
    """Identity of its runs without the seed (`recipe_key`). Empty where it is not known."""
    untested: int = 0
    """Number of runs of a search, which are judged by validation only."""
    val_mean: float | None = None
    """Mean validation accuracy of the finished runs that have one."""
    tta_mean: float | None = None
    """Mean test accuracy with mirror images, over the runs that recorded it. For information only."""
    seconds: float | None = None
    """Mean training time of a finished run, seconds."""
    epochs: int | None = None
    """Epochs of a finished run, the highest where they differ."""
    parameters: int | None = None
    """Trainable parameters."""
    frozen_parameters: int = 0
    """Parameters that kept their first weights."""
    data: str = ""
    """Title of the data set. Empty without runs."""
    fingerprint: str = ""
    missing_seeds: tuple[int, ...] = ()
    """Seeds that the settings ask for and that no record has."""
    command: str = ""
    """Command that makes the missing runs. Empty where nothing is missing."""
    is_control: bool = False
    test_size: int = 0
    """Test images of a run. 0 without runs."""
    withheld: str = ""
    """Reason for which it gets no verdict, as a thing that it has. Empty where it may get one."""
    scale: Scale = SHARES
    """Units of `values`."""
    not_attacked: int = 0
    """Finished runs that miss the attack which the values come from."""
    predictions: tuple[str, ...] = ()
    """SHA-256 of the saved predictions of the runs in `values`, in their order. Empty where a run has none."""

    @property
    def is_attacked(self) -> bool:
        """Whether the values come from attacks. The last line of the key then names their measure."""
        return "\n" in self.key

    @property
    def missing_words(self) -> str:
        """Words in the place of its mean where it is missing."""
        return "not attacked yet" if self.is_attacked else "no runs yet"

    @property
    def highest(self) -> float:
        """Bound of its values: 1 for a share, infinite for a distance."""
        return self.scale.highest

    @property
    def n(self) -> int:
        """Number of tested runs."""
        return len(self.values)

    @property
    def minimum(self) -> float | None:
        """Lowest accuracy. None without tested runs."""
        return min((accuracy for _, accuracy in self.values), default=None)

    @property
    def maximum(self) -> float | None:
        """Highest accuracy. None without tested runs."""
        return max((accuracy for _, accuracy in self.values), default=None)

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % t interval of the mean. None below two runs."""
        return t_interval([accuracy for _, accuracy in self.values], step=1 / self.test_size if self.test_size else 0.0)

    @property
    def attempts(self) -> int:
        """Number of runs that were tested or diverged."""
        return self.n + len(self.diverged)

    @property
    def is_missing(self) -> bool:
        """Whether no run was tested or diverged."""
        return self.attempts == 0

    def _repr_html_(self) -> str:
        """Table of a notebook."""
        low, high = self.interval or (None, None)
        values = (self.label, self.n, self.mean, self.std, low, high, len(self.diverged) or None)
        return html_table(("arm", "n", "mean", "std", "95 % from", "to", "diverged"), [values])

    def is_same_runs(self, other: Row) -> bool:
        """Whether both rows are the same tested runs, or equal bit for bit in every shared seed."""
        return (bool(self.run_ids) and self.run_ids == other.run_ids) or self.has_predictions_of(other)

    def has_predictions_of(self, other: Row) -> bool:
        """Whether the runs of all shared seeds, enough for pairs, made the same predictions bit for bit."""
        mine, others = self._predictions_by_seed(), other._predictions_by_seed()
        shared = mine.keys() & others.keys()
        is_paired = bool(shared) and len(shared) >= min(FEWEST_SEEDS, self.n, other.n)
        return is_paired and all(mine[seed] == others[seed] for seed in shared)

    def _predictions_by_seed(self) -> dict[int, str]:
        return dict(zip((seed for seed, _ in self.values), self.predictions, strict=False))


def recipe_key(recipe: Mapping[str, Any]) -> str:
    """A run identity without its seed, as one string that does not depend on the order of the parts."""
    return json.dumps(recipe, sort_keys=True, separators=(",", ":"))


def reads_test(record: Record) -> bool:
    """Whether the run read the test split, with or without a finite result."""
    return record.test is not None or record.test_reason not in ("search", "diverged")


def by_recipe(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Records by `recipe_key`, in their order."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(recipe_key(record.recipe), []).append(record)
    return groups


def _predictions(records: Sequence[Record], scores: Sequence[tuple[int, float, str]]) -> tuple[str, ...]:
    """SHA-256 of the predictions of each score. Empty where one is unknown."""
    digests = {record.seed: record.files.get(PREDICTIONS, "") for record in records}
    found = tuple(digests[seed] for seed, _, _ in scores)
    return found if all(found) else ()


def _val_mean(records: Sequence[Record]) -> float | None:
    return _mean([record.val.accuracy for record in records if record.val is not None])


def _tta(record: Record) -> float | None:
    return None if record.test is None else record.test.metrics.get("accuracy_tta")


def arm_row(
    label: str,
    records: Sequence[Record],
    *,
    seeds: Sequence[int] = (),
    command: str = "",
    is_control: bool = False,
) -> Row:
    """Row of an arm, from its records, all of one run identity on one data set.

    Args:
        seeds: those that the settings ask for.
        command: makes the missing ones.

    Raises:
        ValueError: records of several data sets, which no mean may join, or two of one seed.
    """
    _check_one_arm(label, records)
    finished = [record for record in records if record.status == "done"]
    scores = _scores(finished)
    predictions = _predictions(finished, scores)
    accuracies = [accuracy for _, accuracy, _ in scores]
    counted = [record for record in finished if record.test is not None] or finished
    missing = tuple(sorted(set(seeds) - {record.seed for record in records}))
    row = Row(
        label=label,
        values=tuple((seed, accuracy) for seed, accuracy, _ in scores),
        mean=_mean(accuracies),
        std=_std(accuracies),
        run_ids=tuple(run_id for _, _, run_id in scores),
        predictions=predictions,
        diverged=_diverged(records),
        without_score=tuple(sorted(r.seed for r in finished if r.test is None and reads_test(r))),
        untested=len(finished) - len(scores),
        val_mean=_val_mean(finished),
        tta_mean=_mean([each for each in map(_tta, finished) if each is not None]),
        seconds=_mean([record.train_seconds for record in counted]),
        epochs=max((record.epochs_trained for record in counted), default=None),
        missing_seeds=missing,
        command=command,
        is_control=is_control,
    )
    if not records:
        return row
    first = records[0]
    return replace(
        row,
        parameters=first.parameters,
        frozen_parameters=first.frozen_parameters,
        data=first.data.title,
        fingerprint=first.data.fingerprint,
        test_size=first.data.test_size,
        key=recipe_key(first.recipe),
        command=command if missing else "",
    )


def _check_one_arm(label: str, records: Sequence[Record]) -> None:
    if len({record.data.fingerprint for record in records}) > 1:
        raise ValueError(f"{label}: runs on several data sets cannot share a row")
    seen = [record.seed for record in records]
    if len(set(seen)) < len(seen):
        twice = next(seed for seed in seen if seen.count(seed) > 1)
        raise ValueError(f"{label}: two records of seed {twice}; a run counts once")


def _scores(finished: Sequence[Record]) -> list[tuple[int, float, str]]:
    """(seed, test accuracy, run id) of each tested run, by seed."""
    return sorted((record.seed, record.test.accuracy, record.run_id) for record in finished if record.test is not None)


def _diverged(records: Sequence[Record]) -> tuple[tuple[int, str], ...]:
    lost = [record for record in records if record.status == "diverged"]
    return tuple(sorted((record.seed, record.reason or "no reason given") for record in lost))


def _std(values: Sequence[float]) -> float | None:
    return stdev(values) if len(values) > 1 else None


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None


def summarize(records: Iterable[Record]) -> list[Row]:
    """A row per arm and data set, in the order of the records.

    Where an arm was renamed between its runs, the row has the label of the last finished one. Arms of one label that
    differ get labels that name the settings that differ.
    """
    from cifar_lab.analysis.labels import distinct_labels, labelled_record  # not needed to read one row

    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        groups.setdefault((recipe_key(record.recipe), record.data.fingerprint), []).append(record)
    last = [max(group, key=lambda record: record.finished) for group in groups.values()]
    labels = distinct_labels([labelled_record(record) for record in last])
    return [arm_row(label, group) for label, group in zip(labels, groups.values(), strict=True)]
