"""A data set with other images to test on: CIFAR-10.1, CIFAR-10-C, or a folder with the same classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from cifar_lab.config import ImageFolder
from cifar_lab.core.errors import DataError
from cifar_lab.data.imagefolder import ImageFolderSource
from cifar_lab.data.splits import DerivedSource, Images, Progress, Source, Split


class OtherTestSource(DerivedSource):
    """Training images of one source, test images of another."""

    def __init__(self, inner: Source, test_root: str, side: int) -> None:
        super().__init__(inner)
        self._test = ImageFolderSource(ImageFolder(dataset="imagefolder", root=test_root, image_size=side))

    def key(self) -> Mapping[str, Any]:
        """Keys of both."""
        return {**self._inner.key(), "test": self._test.key()}

    def state(self) -> dict[str, Any] | None:
        """States of both. None if one is missing."""
        inner, test = self._inner.state(), self._test.state()
        return None if inner is None or test is None else {"train": inner, "test": test}

    def read(self, progress: Progress) -> Images:
        """Images of the first source, with the other test split."""
        images = self._inner.read(progress)
        classes, split, notes = self._test.read_as_test(progress)
        labels = self._numbers(classes, images.classes)[split.labels]
        return replace(images, test=Split(split.images, labels), notes=(*images.notes, *notes))

    def _numbers(self, names: tuple[str, ...], classes: tuple[str, ...]) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Class numbers of the names. Names that are numbers are numbers of classes.

        Raises:
            DataError: a name is none of the classes.
        """
        known = {name: number for number, name in enumerate(classes)}
        if not known.keys() >= set(names) and all(name.isdecimal() for name in names):
            known = {str(number): number for number in range(len(classes))}
        if unknown := [name for name in names if name not in known]:
            raise DataError(
                f"{self._test.root}: {', '.join(unknown[:10])}: no classes of {self.name}; they are "
                f"{', '.join(list(known)[:10])}"
            )
        return np.array([known[name] for name in names], np.int64)
