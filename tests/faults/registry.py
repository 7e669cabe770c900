"""What every fault comes to: the cases that `docs/reliability.md` is made of, each with the test that shows it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

Test = TypeVar("Test", bound=Callable[..., Any])

ROWS = {
    1: "The command is killed (kill -9)",
    2: "A crash at any act on the disk",
    3: "Power loss",
    4: "A worker is killed",
    5: "The kernel or the allocator has no memory for a run",
    6: "The GPU has no memory for a run",
    7: "No GPU",
    8: "The disk is full",
    9: "The results cannot be written",
    10: "The results are deleted while a run is under way",
    11: "A damaged checkpoint",
    12: "A damaged record",
    13: "Damaged images",
    14: "A download that is cut short, or two at once",
    15: "No network",
    16: "Missing or wrong weights",
    17: "Numbers that are not finite",
    18: "A run that is stuck",
    19: "A data-loading process dies",
    20: "Two commands on one results folder",
    21: "Ctrl-C and SIGTERM",
    22: "Nobody reads the output",
    23: "The clock changes",
    24: "Hostile names and places",
    25: "A settings file that is not YAML",
    26: "An unknown key",
    27: "A value of the wrong type",
    28: "A value out of range",
    29: "Settings that contradict each other",
    30: "A sweep that is too large, empty or says a point twice",
    31: "Settings, code, images or libraries change between stop and resume",
    32: "Many machines: a worker, a node or the driver dies",
    33: "A run that is completed twice",
    34: "Ten thousand runs",
    35: "Results of an earlier version",
    36: "Hostile values in the report",
    37: "Files that are none, and archives that lie",
    38: "Code and libraries of others",
    39: "Other programs use the cores",
}
"""The faults, by the numbers under which they are known here."""


@dataclass(frozen=True)
class Case:
    """One way in which a fault happens, and what comes of it."""

    row: int
    fault: str
    """What happens."""
    remains: str
    """What is on the disk afterwards."""
    says: str = ""
    """The line that a person reads; `{name}` stands for what differs from case to case."""
    code: int | None = None
    """Exit code of the command; None where the command goes on, or where there is none."""
    test: str = ""
    """Node id of the test."""

    def pattern(self, **known: object) -> re.Pattern[str]:
        """The line as a regular expression; what is not `known` may be anything."""
        parts = re.split(r"\{(\w+)\}", self.says)
        text = "".join(
            re.escape(part) if place % 2 == 0 else re.escape(str(known[part])) if part in known else ".+?"
            for place, part in enumerate(parts)
        )
        return re.compile(text)

    def pattern_words(self) -> str:
        """The line as a person reads it, with … for what differs."""
        return re.sub(r"\{\w+\}", "…", self.says)

    def check(self, told: str, code: int | None = None, **known: object) -> None:
        """Assert that this was told, on one line, and that the command ended as it should; no traceback."""
        assert code == self.code, told
        assert "Traceback" not in told
        pattern = self.pattern(**known)
        assert any(map(pattern.search, told.splitlines())), f"{self.says!r} was not said: {told}"


def case(row: int, fault: str, *, remains: str, says: str = "", code: int | None = None) -> Callable[[Test], Test]:
    """Mark a test as the one that shows a case; it has the case as its fixture `case`."""

    def mark(test: Test) -> Test:
        where = test.__module__.rpartition(".")[2]
        test.case = Case(row, fault, remains, says, code, f"tests/faults/{where}.py::{test.__name__}")  # type: ignore[attr-defined]
        return test

    return mark


def elsewhere(row: int, fault: str, test: str, *, remains: str, says: str = "", code: int | None = None) -> Case:
    """A case that a test of the suite shows already."""
    return replace(Case(row, fault, remains, says, code), test=f"tests/{test}")
