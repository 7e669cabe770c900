"""Units of work of `pytest -n`: a test file, since its tests share fixtures, or the group that a test names."""

from __future__ import annotations

from collections import Counter

import pytest
from xdist.scheduler import LoadGroupScheduling

MOST_PROCESSES = 4
"""More gain little: the longest files bound the time, and each process takes half a gigabyte for torch."""


class LoadFilesAndGroups(LoadGroupScheduling):  # type: ignore[misc]
    """Send whole files to processes, except tests with `xdist_group`, which are sent with their group."""

    def _split_scope(self, nodeid: str) -> str:
        scope = str(super()._split_scope(nodeid))
        return nodeid.partition("::")[0] if scope == nodeid else scope


def unit(item: pytest.Item) -> str:
    """Name of the unit to which a test belongs."""
    group = item.get_closest_marker("xdist_group")
    return str(group.args[0]) if group else item.nodeid.partition("::")[0]


def longest_first(items: list[pytest.Item]) -> list[pytest.Item]:
    """The tests in their order, but units with more slow tests before others: no long one is left at the end."""
    slow = Counter(unit(item) for item in items if item.get_closest_marker("slow"))
    return sorted(items, key=lambda item: -slow[unit(item)])
