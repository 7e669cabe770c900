"""A data set with some of its classes only, such as one half to train a network on and the other to fine-tune it on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

import numpy as np

from cifar_lab.core.errors import SettingsError
from cifar_lab.data.splits import DerivedSource, Images, ListedCounts, Progress, Source, Split

KEY = "data.classes"

SHOWN = 10
"""Classes that a message lists."""


class ChosenClassesSource(DerivedSource):
    """Images of some classes of another source, with new numbers in its order."""

    def __init__(self, inner: Source, classes: Sequence[str], read: Callable[[Progress], Images]) -> None:
        """`read`: reads the other source, perhaps from its cache."""
        super().__init__(inner)
        self._chosen, self._read = tuple(classes), read

    def key(self) -> Mapping[str, Any]:
        """That of the source, with the classes."""
        return {**self._inner.key(), "classes": list(self._chosen)}

    def read(self, progress: Progress) -> Images:
        """The images of the chosen classes.

        Raises:
            SettingsError: a class that the source does not have.
        """
        images = self._read(progress)
        numbers = chosen_numbers(self._chosen, images.classes)
        own_val = images.train.labels[len(images.train.labels) - images.own_val :]
        return replace(
            images,
            classes=tuple(images.classes[number] for number in numbers),
            train=_part(images.train, numbers),
            test=_part(images.test, numbers),
            own_val=int(np.isin(own_val, numbers).sum()),
        )


def chosen_numbers(chosen: Sequence[str], classes: Sequence[str]) -> list[int]:
    """Numbers of the chosen classes, in the order of the data set.

    Raises:
        SettingsError: a class that is not there.
    """
    for name in chosen:
        if name not in classes:
            near = get_close_matches(name, classes, 1, cutoff=0.5)
            listed = f"the classes are {', '.join(classes[:SHOWN])}{', …' if len(classes) > SHOWN else ''}"
            advice = f"did you mean {near[0]}?" if near else listed
            raise SettingsError(f"{KEY}: there is no class {name}; {advice}")
    return [number for number, name in enumerate(classes) if name in chosen]


def chosen_counts(counts: ListedCounts, chosen: Sequence[str]) -> ListedCounts | None:
    """Counts of the chosen classes. None for a folder val/ among them, which is not counted by class."""
    if counts.own_val:
        return None
    numbers = chosen_numbers(chosen, counts.classes)
    classes = tuple(counts.classes[number] for number in numbers)
    return ListedCounts(classes, tuple(counts.class_sizes[number] for number in numbers))


def _part(split: Split, numbers: Sequence[int]) -> Split:
    """Images of some classes, which are numbered from 0."""
    kept = np.isin(split.labels, numbers)
    return Split(
        np.ascontiguousarray(split.images[kept]), np.searchsorted(numbers, split.labels[kept]).astype(np.int64)
    )
