"""Equal parts of many records kept once: ten thousand runs have few settings, images and machines between them."""

from __future__ import annotations

from typing import Any

from cifar_lab.store.records import DataIdentity, Environment, Record


class SharedParts:
    """What records read so far have in common; for records that nobody changes."""

    def __init__(self) -> None:
        self._sections: dict[tuple[str, str], Any] = {}
        self._images: dict[DataIdentity, DataIdentity] = {}
        self._machines: dict[Environment, Environment] = {}

    def of(self, record: Record) -> Record:
        """The same record, which takes less than half of the memory beside others like it."""
        return record.model_copy(
            update={
                "recipe": self.sections(record.recipe),
                "settings": self.sections(record.settings),
                "data": self._images.setdefault(record.data, record.data),
                "environment": self._machines.setdefault(record.environment, record.environment),
            }
        )

    def sections(self, values: dict[str, Any]) -> dict[str, Any]:
        """The same settings or recipe, of sections that others have too."""
        return {
            key: value
            if isinstance(value, int | float | str)  # small: to look for an equal one costs more
            else self._sections.setdefault((key, repr(value)), value)
            for key, value in values.items()
        }
