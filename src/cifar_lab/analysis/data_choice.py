"""Choice of the data set of a report: numbers of several data sets never share a chart."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cifar_lab.config import Settings
from cifar_lab.config.registry import SECTION_CHOICES
from cifar_lab.config.roles import places, source_fields
from cifar_lab.core.errors import LabError, SettingsError
from cifar_lab.core.text import count
from cifar_lab.store.records import Record

SHORT = 8
"""Digits of a fingerprint that are shown, and the fewest that choose a data set."""

_TITLES = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "synthetic": "synthetic data"}


@dataclass(frozen=True)
class DataSet:
    """Data set of some records."""

    name: str
    """Value of `data.dataset`."""
    fingerprint: str
    train_size: int
    """Training images, those of a validation split included."""
    test_size: int
    classes: int
    runs: int
    """Number of records on it."""
    folder: str = ""
    """Name of an image folder. Empty for the other data sets."""

    @property
    def title(self) -> str:
        """Displayed name. That of an image folder has the first digits of its fingerprint."""
        if self.folder:
            return f"{self.folder} ({self.fingerprint[:SHORT]})"
        return _TITLES.get(self.name, f"{self.name} {self.fingerprint[:SHORT]}")

    @property
    def chance(self) -> float:
        """Accuracy of guessing, 0 to 1, with classes of equal size."""
        return 1 / self.classes

    @property
    def is_synthetic(self) -> bool:
        """Whether the images are generated."""
        return self.name == "synthetic"


def data_sets(records: Sequence[Record]) -> list[DataSet]:
    """Data sets of the records, most runs first."""
    counts = Counter(record.data.fingerprint for record in records)
    first = {record.data.fingerprint: record.data for record in reversed(records)}
    sets = [
        DataSet(
            name=each.name,
            fingerprint=fingerprint,
            train_size=each.train_size + each.val_size,
            test_size=each.test_size,
            classes=len(each.classes),
            runs=counts[fingerprint],
            folder=each.folder,
        )
        for fingerprint, each in first.items()
    ]
    return sorted(sets, key=lambda each: (-each.runs, each.name, each.fingerprint))


# --- the source of the images -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class NamedData:
    """Images that the control of a lab file means."""

    name: str
    """Value of `data.dataset`."""
    fingerprints: frozenset[str] = frozenset()
    """Fingerprints of these images. Several only where the source changed between runs, none where unknown."""
    asked: str = ""
    """Options of the command that name them. Empty where only the settings file does."""


def named_data(control: Settings, records: Sequence[Record], overrides: Sequence[str]) -> NamedData:
    """Images that the control's settings mean.

    They are known by their fingerprint where the cache is ready, else by the records whose settings name the same
    source: those have the fingerprint that the source had when they were made.
    """
    from cifar_lab.data import known  # the charts, which need the rest of this module, read no images

    try:
        info = known(control.data)
    except LabError:
        info = None
    fingerprints = {info.fingerprint} if info else {r.data.fingerprint for r in records if _same_source(r, control)}
    asked = [word for word in overrides if _is_source(word)]
    return NamedData(control.data.dataset, frozenset(fingerprints), " ".join(f"--set {word}" for word in asked))


def source_overrides(record: Record, control: Settings) -> list[str]:
    """Overrides that lead from the control's data set to the one that the record was made on."""
    used: dict[str, Any] = record.settings.get("data", {})
    named = control.data.model_dump(mode="json")
    cls = SECTION_CHOICES["data"][1].get(used.get("dataset", ""))
    words = []
    for key in sorted(_source_keys(used.get("dataset", "")) & used.keys()):
        is_default = cls is not None and key not in named and used[key] == cls.model_fields[key].default
        if used[key] != named.get(key) and not is_default:
            value = os.path.relpath(used[key]) if key == "root" and used[key] else used[key]
            words.append(f"data.{key}={value}")
    return words


def _is_source(override: str) -> bool:
    """Whether `key=value` sets the source of the images."""
    section, _, key = override.partition("=")[0].strip().partition(".")
    return section == "data" and (not key or key in _source_keys())


def _same_source(record: Record, settings: Settings) -> bool:
    """Whether the record's settings and these take their images from the same source.

    The archives of CIFAR are the same in every folder. A record without a setting is older than the setting and had
    its default.
    """
    used: dict[str, Any] = record.settings.get("data", {})
    cls, named = type(settings.data), settings.data.model_dump(mode="json")
    return record.data.name == named["dataset"] and all(
        used.get(key, cls.model_fields[key].default) == named[key] for key in source_fields(cls) - places(cls)
    )


def _source_keys(dataset: str = "") -> frozenset[str]:
    """Keys of the data section that select the images: of one data set, or of all where the name is unknown."""
    _, classes = SECTION_CHOICES["data"]
    return frozenset[str]().union(*map(source_fields, [classes[dataset]] if dataset in classes else classes.values()))


# --- the choice -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DataChoice:
    """Images of a report."""

    data: DataSet | None
    """None where no run exists at all."""
    note: str = ""
    """Reason for these, where they are not those that were named."""


def choose_data(found: Sequence[DataSet], wanted: str | None, control: NamedData) -> DataChoice:
    """Choose the data set to report on.

    The order of preference: the one wanted, the one that the control means, another of its name unless an option asks
    for the control's, the one with the most runs.

    Args:
        found: most runs first.
        wanted: a name that only one has, or the first digits (8 or more) of a fingerprint.
        control: images that the control means.

    Raises:
        SettingsError: no runs on the data set that is asked for, or several fit. The message names those that exist.
    """
    meant = [each for each in found if each.fingerprint in control.fingerprints]
    if wanted is not None:
        return DataChoice(_wanted(wanted, found, meant))
    if meant:
        return DataChoice(meant[0])
    if not found:
        return DataChoice(None)
    if control.asked:
        raise SettingsError(
            f"{control.asked}: no runs of these arms on these images; there are runs on: {_names(found)}"
        )
    same_name = [each for each in found if each.name == control.name]
    taken = (same_name or found)[0]
    among = f"of the runs on {control.name}" if same_name else "of all runs"
    return DataChoice(taken, f"The control names images without runs here; these have the most {among}.")


def choose_found_data(found: Sequence[DataSet], wanted: str | None) -> DataChoice:
    """Choose the data set of a report without a lab file: the one wanted, else the one with the most runs.

    Raises:
        SettingsError: as `choose_data`.
    """
    if wanted is not None:
        return DataChoice(_wanted(wanted, found, ()))
    return DataChoice(found[0] if found else None)


def _wanted(wanted: str, found: Sequence[DataSet], meant: Sequence[DataSet]) -> DataSet:
    named = [each for each in found if each.name == wanted]
    if len(named) > 1:
        named = [each for each in named if each in meant]
        if len(named) != 1:
            raise SettingsError(
                f"--data {wanted}: several data sets have this name; give the first digits of a fingerprint: "
                f"{_names(found)}"
            )
    named += [each for each in found if len(wanted) >= SHORT and each.fingerprint.startswith(wanted)]
    if not named:
        there = f"there are runs on: {_names(found)}" if found else "these arms have no runs yet"
        raise SettingsError(f"--data {wanted}: no runs of these arms on these images; {there}")
    return named[0]


def _names(found: Sequence[DataSet]) -> str:
    return ", ".join(f"{each.name} ({each.fingerprint[:SHORT]}, {count(each.runs, 'run')})" for each in found)
