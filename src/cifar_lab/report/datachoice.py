"""Which images a report is about: numbers of several data sets never share a chart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from cifar_lab.errors import SettingsError
from cifar_lab.records import Record

SHORT = 8
"""Digits of a fingerprint that are shown, and the least that choose a data set."""

_TITLES = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "synthetic": "synthetic data"}


@dataclass(frozen=True)
class DataSet:
    """A data set that some records were made on."""

    name: str
    """Value of `data.dataset`."""
    fingerprint: str
    train_size: int
    """Training images, those of a validation split included."""
    test_size: int
    classes: int
    runs: int
    """Records on it."""
    folder: str = ""
    """Name of an image folder; empty for the other data sets."""

    @property
    def title(self) -> str:
        """Name for a person; an image folder's is its own and begins its fingerprint."""
        if self.folder:
            return f"{self.folder} ({self.fingerprint[:SHORT]})"
        return _TITLES.get(self.name, f"{self.name} {self.fingerprint[:SHORT]}")

    @property
    def chance(self) -> float:
        """Accuracy of guessing, 0 to 1, for classes of equal size."""
        return 1 / self.classes

    @property
    def is_synthetic(self) -> bool:
        """Whether the images are made up."""
        return self.name == "synthetic"


def count_runs(count: int) -> str:
    """`1 run`, `2 runs`."""
    return "1 run" if count == 1 else f"{count:,} runs"


def data_sets(records: Sequence[Record]) -> list[DataSet]:
    """The data sets of the records, most runs first."""
    counts = Counter(record.data.fingerprint for record in records)
    first = {record.data.fingerprint: record.data for record in reversed(records)}
    sets = [
        DataSet(
            name=data.name,
            fingerprint=fingerprint,
            train_size=data.train_size + data.val_size,
            test_size=data.test_size,
            classes=len(data.classes),
            runs=counts[fingerprint],
            folder=data.folder,
        )
        for fingerprint, data in first.items()
    ]
    return sorted(sets, key=lambda each: (-each.runs, each.name, each.fingerprint))


def choose_data(found: Sequence[DataSet], wanted: str | None, named_by_control: str = "") -> DataSet | None:
    """The data set to report on: the one wanted, else the one the control names, else the one with most runs.

    `wanted` is a name or the first digits (8 or more) of a fingerprint. None where there are no runs at all.

    Raises:
        SettingsError: there are no runs on the data set that is wanted; names those that there are.
    """
    if wanted is not None:
        for each in found:
            if each.name == wanted or (len(wanted) >= SHORT and each.fingerprint.startswith(wanted)):
                return each
        there = ", ".join(f"{each.name} ({each.fingerprint[:SHORT]}, {count_runs(each.runs)})" for each in found)
        raise SettingsError(f"--data {wanted}: no runs of these arms on it; there are: {there or 'no runs at all'}")
    return next((each for each in found if each.name == named_by_control), found[0] if found else None)
