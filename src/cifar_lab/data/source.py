"""What a data set must offer to be prepared; each of `DATASETS` is one such class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from cifar_lab.data.splits import Images

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much is done and how much there is (0 where that is not known)."""


def silent(what: str, done: int, total: int) -> None:
    """The progress of nobody."""


class Source(Protocol):
    """Where the images of one data set come from."""

    name: str
    """`data.dataset`."""
    synthetic: bool

    def key(self) -> Mapping[str, Any]:
        """What tells this instance from others of its name, in JSON's types; names its folder in the cache."""
        ...

    def state(self) -> dict[str, Any] | None:
        """What changes when the images may have changed, in JSON's types, cheaply; None where the source is gone."""
        ...

    def read(self, progress: Progress) -> Images:
        """All images, from the source itself.

        Raises:
            DataError: the source is missing, broken or not what it says.
            EnvironmentFault: something to be fetched cannot be written.
        """
        ...
