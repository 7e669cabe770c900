"""Claims with what the records say of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cifar_lab.analysis.answers import Comparison
from cifar_lab.analysis.stats.significance import ALPHA
from cifar_lab.analysis.summary import Row
from cifar_lab.config.claims import Claim

State = Literal["holds", "does not hold", "undecided"]


@dataclass(frozen=True)
class HeldClaim:
    """A claim with what the records say of it."""

    name: str
    claim: Claim
    row: Row
    other: Row | None = None
    """Row of the other arm. None for a claim against a number."""
    comparison: Comparison | None = None
    """Of the two rows, as the report has it."""
    p: float | None = None
    """p of the limit that the claim states, adjusted for the other looks. None where there is no test."""
    is_toward: bool = False
    """Whether the numbers lie on the side of the claim."""
    p_holm: float | None = None
    """`p` adjusted by Holm over all claims of the file."""
    to_run: str = ""
    """Command that trains the seeds that an undecided claim lacks. Empty where it is decided, or none would decide."""

    @property
    def state(self) -> State:
        """State of the claim."""
        if self.p_holm is None or self.p_holm > ALPHA:
            return "undecided"
        return "holds" if self.is_toward else "does not hold"


@dataclass(frozen=True)
class HeldClaims:
    """All claims of a file, held against one results folder."""

    claims: tuple[HeldClaim, ...]
    family: int
    """Claims over which Holm adjusts."""
    faults: tuple[str, ...] = ()
    """Copies of the looks, and plans of looks, that are missing or damaged."""
    options: tuple[str, ...] = ()
    """`--set` options with which the runs were made."""
