"""What a report says of a question: its rows, each compared with the control, and what a sweep's winner is worth.

Charts, pages and answers.json draw from these types; none of them works out a number of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cifar_lab.analysis.summary import Row
from cifar_lab.analysis.winners import Winners
from cifar_lab.config.sheets import Question

Verdict = Literal["better", "worse", "equivalent", "undecided", "no verdict"]
Method = Literal["paired", "welch", "none"]

VERDICT_MARKS: dict[Verdict, str] = {
    "better": "▲",
    "worse": "▼",
    "equivalent": "≈",
    "undecided": "?",
    "no verdict": "–",
}
"""A sign beside the word, so that a table does not rely on colour."""


@dataclass(frozen=True)
class Comparison:
    """A row against its control. Differences are row minus control, in percentage points (pp) of test accuracy."""

    arm: str
    """Label of the row."""
    control: str
    """Label of the control."""
    points: float | None
    """Mean difference, over the shared seeds where `method` is paired; None where one has no tested run."""
    low: float | None
    """Lower end of the interval of `points` at `level`; None where there is nothing to measure a spread with."""
    high: float | None
    level: float
    """Confidence level of the interval, of this comparison alone: 0.95, higher where looks were planned."""
    method: Method
    """`paired`: t over the differences of shared seeds; `welch`: t of two groups without (enough) shared seeds; `none`:
    no spread can be measured."""
    n: int
    """Runs of the row that are compared: pairs where the method is paired."""
    n_control: int
    """Runs of the control that are compared."""
    seeds: tuple[int, ...]
    """Seeds that both have."""
    differences: tuple[float, ...]
    """Difference of each shared seed, pp, in the order of `seeds`."""
    is_whole: bool
    """Whether all tested runs of both are in the comparison."""
    spread: float | None
    """Paired: sample standard deviation of the differences, pp. Welch: root of the sum of both variances, pp."""
    standard_error: float | None
    """Of `points`, pp."""
    degrees: float | None
    """Degrees of freedom of the t distribution."""
    effect_size: float | None
    """Paired only: d_z, `points` in units of `spread`; None where the spread is zero."""
    won: float | None
    """Share of the shared seeds in which the row is ahead, a tie counting half; Welch: of all pairs of runs."""
    ties: int
    """Shared seeds with equal accuracy."""
    p: float | None
    """Two-sided, of no difference: t test; the sign-flip test where every difference is the same."""
    p_holm: float | None
    """`p` adjusted by Holm over all comparisons of the report; None below three runs, where there is no verdict."""
    p_sign_flip: float | None
    """Exact, paired only and up to 12 pairs: share of all sign patterns with a mean at least as far from 0."""
    p_equivalence: float | None
    """Of two one-sided t tests that the difference is beyond `min_effect`; small says equivalent."""
    p_equivalence_holm: float | None
    """The same adjusted by Holm."""
    looks: int
    """Looks that were planned for it (`run --until-decided`); 1 without a plan. Adjusted p values and `level` are held
    to them."""
    family: int
    """Comparisons over which Holm adjusts."""
    min_effect: float
    """Differences smaller than this do not matter, pp; `min_effect` of the sheet."""
    smallest_shown: float | None
    """Smallest true difference that as many runs would show in 4 of 5 labs, given the spread, pp."""
    verdict: Verdict
    seeds_more: int | None
    """Undecided: about how many more seeds would tell, in 4 of 5 labs, if mean and spread stay; None otherwise, and
    where it is more than 1,000."""
    sentence: str
    """The answer in words, plain text of one line."""


@dataclass(frozen=True)
class WinnersCurse:
    """How much of the winner's lead in a search was luck. Accuracies are shares from 0 to 1."""

    winner: str
    """Label of the point that the search ranked first."""
    points: int
    """Points that were tried."""
    seeds_searched: int
    """Runs of each point in the search."""
    searched: float
    """Validation accuracy of the winner in the search."""
    control_searched: float | None
    """The control's in the search; None where the control was not a point of it."""
    fresh: float | None
    """Mean accuracy of the winner's fresh seeds; None before they have run."""
    control_fresh: float | None
    fresh_split: Literal["validation", "test"]
    """Which images `fresh` and `control_fresh` are measured on: validation where those runs have a split."""
    n_fresh: int
    """Fresh runs of the winner."""
    lead_searched: float | None
    """The winner's lead over the control in the search, pp."""
    lead_fresh: float | None
    """The same with fresh seeds, pp."""
    luck: float | None
    """lead_searched - lead_fresh, pp; positive is a lead that did not repeat."""
    run_spread: float | None
    """Standard deviation of a run over seeds, pooled over the rows' fresh runs, pp."""
    expected_maximum: float
    """Expected maximum of as many standard normal numbers as there are points."""
    expected_luck: float | None
    """By how much the best of as many equal points would seem ahead of their mean, pp."""
    sentence: str


@dataclass(frozen=True)
class Answer:
    """One question with what is known about it."""

    name: str
    question: Question
    rows: tuple[Row, ...]
    """Control first, then the arms in the sheet's order or the winners by rank."""
    notes: tuple[str, ...] = ()
    """Sentences that a reader needs beside the numbers."""
    sweep: Winners | None = None
    to_sweep: str = ""
    """What to type where the question asks for a sweep that has no winners on these images yet."""
    unswept: str = "not swept yet"
    """Said where `to_sweep` is."""
    comparisons: tuple[Comparison, ...] = ()
    """One for each row but the control, in the order of the rows."""
    luck: WinnersCurse | None = None
    """Of a sweep that has winners."""

    @property
    def control(self) -> Row:
        """The row that the others are compared with."""
        return self.rows[0]

    @property
    def sentences(self) -> tuple[str, ...]:
        """The answer in words: what a sweep's winner is worth, then a sentence a comparison."""
        return (*([self.luck.sentence] if self.luck else []), *(each.sentence for each in self.comparisons))

    @property
    def commands(self) -> tuple[str, ...]:
        """What to type to make all that is missing, each once."""
        wanted = [*(row.command for row in self.rows), self.to_sweep]
        return tuple(dict.fromkeys(command for command in wanted if command))

    def comparison(self, row: Row) -> Comparison | None:
        """Of a row of this answer with its control; None for the control."""
        return dict(zip(map(id, self.rows[1:]), self.comparisons, strict=False)).get(id(row))
