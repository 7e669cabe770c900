"""Which images a report is about: numbers of several data sets never share a chart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from cifar_lab.core.errors import SettingsError
from cifar_lab.store.records import Record

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


@dataclass(frozen=True)
class Named:
    """The images that a sheet's control means."""

    name: str
    """Value of `data.dataset`."""
    fingerprints: frozenset[str] = frozenset()
    """Of these images; of several only where the source changed between runs; none where they are not known."""
    asked: str = ""
    """The options of the command that name them; empty where only the settings file does."""


@dataclass(frozen=True)
class Choice:
    """The images of a report."""

    data: DataSet | None
    """None where there are no runs at all."""
    note: str = ""
    """Why these, where they are not those that were named."""


def choose_data(found: Sequence[DataSet], wanted: str | None, control: Named) -> Choice:
    """The data set to report on.

    The one wanted; else the one that the control means; else, unless an option asks for that one, another of its name;
    else the one with most runs.

    Args:
        found: most runs first.
        wanted: a name that only one has, or the first digits (8 or more) of a fingerprint.
        control: what the control means.

    Raises:
        SettingsError: there are no runs on the data set that is asked for, or several fit; names those that there are.
    """
    there = ", ".join(f"{each.name} ({each.fingerprint[:SHORT]}, {count_runs(each.runs)})" for each in found)
    meant = [each for each in found if each.fingerprint in control.fingerprints]
    if wanted is not None:
        named = [each for each in found if each.name == wanted]
        if len(named) > 1:
            named = [each for each in named if each in meant]
            if len(named) != 1:
                raise SettingsError(f"--data {wanted}: several have this name; give the digits of one: {there}")
        named += [each for each in found if len(wanted) >= SHORT and each.fingerprint.startswith(wanted)]
        if not named:
            raise SettingsError(f"--data {wanted}: no runs of these arms on it; there are: {there or 'no runs at all'}")
        return Choice(named[0])
    if meant:
        return Choice(meant[0])
    if control.asked:
        raise SettingsError(f"{control.asked}: no runs of these arms on it; there are: {there or 'no runs at all'}")
    if not found:
        return Choice(None)
    same_name = [each for each in found if each.name == control.name]
    taken = (same_name or found)[0]
    among = f"of the runs on {control.name}" if same_name else "of all runs"
    return Choice(taken, f"The control names images without runs here; these have the most {among}.")
