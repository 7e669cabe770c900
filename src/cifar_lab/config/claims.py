"""Types of claims.yaml: what the owner of a lab believes, to be held against the records. Without file access."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from cifar_lab.config import Section
from cifar_lab.config.sheets import FileName


class Claim(Section):
    """One claim about the test accuracy of an arm: against another arm, or against a number. It has exactly one of
    `better_than`, `worse_than`, `equal_to`, `accuracy_at_least` and `accuracy_at_most`."""

    claim: str = Field("", max_length=300)
    """The claim in plain words, for the reader. Empty: a sentence is made from the other keys."""
    arm: FileName
    """Settings file of the arm, relative to the claims file."""
    better_than: FileName | None = None
    """Settings file of the arm whose accuracy is lower."""
    worse_than: FileName | None = None
    """Settings file of the arm whose accuracy is higher."""
    by_at_least: float = Field(0.0, ge=0, le=100)
    """Smallest difference that the claim states, in percentage points, with `better_than` or `worse_than`."""
    equal_to: FileName | None = None
    """Settings file of the arm from which the difference is too small to matter."""
    within: float = Field(0.3, gt=0, le=100)
    """Largest difference of `equal_to`, in percentage points."""
    accuracy_at_least: float | None = Field(None, ge=0, le=1)
    """Lower bound of the mean test accuracy, from 0 to 1."""
    accuracy_at_most: float | None = Field(None, ge=0, le=1)
    """Upper bound of the mean test accuracy, from 0 to 1."""

    @property
    def other(self) -> str | None:
        """Settings file of the other arm. None for a claim against a number."""
        return self.better_than or self.worse_than or self.equal_to


class ClaimSheet(Section):
    """A claims file: claims that `cifar-lab claims` holds against the records."""

    claims: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$")], Claim] = Field(min_length=1)
    """Short names and their claims, in the order in which they are printed."""


KINDS = ("better_than", "worse_than", "equal_to", "accuracy_at_least", "accuracy_at_most")
"""Keys of which a claim has exactly one."""

IDLE_UNLESS = {"by_at_least": ("better_than", "worse_than"), "within": ("equal_to",)}
"""Keys that have a meaning beside some kinds only."""
