"""Answer to a question: its rows, each compared with the control, and the bias of a sweep's winner.

Charts, pages and answers.json show these numbers. `sentences` words them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from cifar_lab.analysis.scales import SHARES, Scale

if TYPE_CHECKING:
    from cifar_lab.analysis.selection_bias import TunedGroup, WinnersCurse
    from cifar_lab.analysis.summary import Row
    from cifar_lab.analysis.winners import Winners
    from cifar_lab.config.attack import AnyAttack
    from cifar_lab.config.sheets import Question
    from cifar_lab.store.attack_records import AttackRecord

Verdict = Literal["better", "worse", "equivalent", "undecided", "no verdict"]
Method = Literal["paired", "welch", "none"]

VERDICT_MARKS: dict[Verdict, str] = {
    "better": "▲",
    "worse": "▼",
    "equivalent": "≈",
    "undecided": "?",
    "no verdict": "–",
}
"""Sign beside the word, so that a table does not rely on colour."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A row against its control. Differences are row minus control, in `scale.difference_unit`: percentage points (pp)
    of an accuracy, or L2 of a distance."""

    arm: str
    """Label of the row."""
    control: str
    """Label of the control."""
    difference: float | None = None
    """Mean difference, over the shared seeds where `method` is paired. None where one has no tested run."""
    low: float | None = None
    """Lower end of the interval of the difference at `level`. None where no standard error is known."""
    high: float | None = None
    level: float
    """Confidence level of the interval, of this comparison alone: 1 - `alpha`, and 0.95 without a verdict."""
    method: Method = "none"
    """`paired`: t test of the differences of shared seeds. `welch`: t test of two groups without (enough) shared
    seeds. `none`: no standard deviation is known."""
    n: int
    """Runs of the row that are compared: pairs where the method is paired."""
    n_control: int
    """Runs of the control that are compared."""
    seeds: tuple[int, ...] = ()
    """Seeds that both have."""
    differences: tuple[float, ...] = ()
    """Difference of each shared seed, in the order of `seeds`."""
    is_whole: bool = True
    """Whether all tested runs of both are in the comparison."""
    std: float | None = None
    """Paired: sample standard deviation of the differences. Welch: root of the sum of both variances."""
    standard_error: float | None = None
    """Standard error of the mean difference."""
    dof: float | None = None
    """Degrees of freedom of the t distribution."""
    effect_size: float | None = None
    """Cohen's d_z of paired runs: the mean difference in units of `std`. None where that is zero."""
    win_rate: float | None = None
    """Share of the shared seeds in which the row is ahead, a tie counting half. Welch: of all pairs of runs."""
    ties: int = 0
    """Shared seeds with equal accuracy."""
    is_resolution_limited: bool = False
    """Whether `std` is below what the test images resolve, so that the tests take the resolution instead."""
    p: float | None = None
    """Two-sided p of no difference: t test, or the sign-flip test where every difference is the same."""
    p_holm: float | None = None
    """`p` adjusted for the other looks, then by Holm over all comparisons of the report. None below three runs, where
    there is no verdict."""
    p_sign_flip: float | None = None
    """Exact sign-flip p of up to 12 pairs: share of all sign patterns with a mean at least as far from 0."""
    p_equivalence: float | None = None
    """p of two one-sided t tests that the difference is beyond `min_effect`. A small one says equivalent."""
    p_equivalence_holm: float | None = None
    """The same adjusted by Holm."""
    interim_looks: int = 1
    """Interim analyses planned for it (`run --until-decided`), 1 without a plan."""
    look: int | None = None
    """Number of this look at the two arms, from 1. None where they can get no verdict, 0 where the earlier looks cannot
    be read."""
    alpha: float | None = None
    """Level of each test at this look. Adjusted p values and `level` are held to it."""
    look_remembered: bool = True
    """Whether later looks will be judged as later ones. False where the results folder cannot be written."""
    gone: tuple[str, ...] = ()
    """Ids of runs that an earlier look counted and that have no record any more."""
    removed: tuple[str, ...] = ()
    """Those of `gone` that `cifar-lab rm` removed."""
    to_decide: str = ""
    """Arguments of the command that adds seeds until it is decided. Empty where it is decided, or there is none."""
    family: int
    """Comparisons over which Holm adjusts."""
    min_effect: float
    """Smallest difference that matters: `min_effect` of the lab file in pp, and a hundredth of that number in L2."""
    smallest_shown: float | None = None
    """Smallest true difference that as many runs detect with a power of 0.8, given the standard deviation."""
    verdict: Verdict
    scale: Scale = SHARES
    """Units of the compared number."""
    seeds_more: int | None = None
    """Estimate of the further seeds that would decide an undecided comparison with a power of 0.8, if mean and standard
    deviation stay. None otherwise, and above 1,000."""

    @property
    def level_words(self) -> str:
        """`97 %`: confidence level of the interval."""
        return f"{100 * self.level:.4g} %"


@dataclass(frozen=True)
class Answer:
    """A question with its rows, comparisons and notes."""

    name: str
    question: Question
    rows: tuple[Row, ...]
    """Control first, then the arms in the lab file's order or the winners by rank."""
    notes: tuple[str, ...] = ()
    """Sentences that a reader needs beside the numbers."""
    sweep: Winners | None = None
    to_sweep: str = ""
    """Command of the sweep, where it has no winners on these images yet."""
    unswept: str = "not swept yet"
    """Words shown instead of the missing winners."""
    comparisons: tuple[Comparison, ...] = ()
    """One per row but the control, in the order of the rows."""
    selection_bias: WinnersCurse | None = None
    """Bias of the winner of a sweep."""
    tuned: tuple[TunedGroup, ...] = ()
    """Groups of a sweep, each at its best point, in the order of the rows. Empty without groups."""
    quantity: str = "Test accuracy"
    """Name of the number that is compared."""
    attacks: tuple[AttackRecord, ...] = ()
    """Attacks on the runs of a question of robustness. Empty for a question of test accuracy."""
    attack: AnyAttack | None = None
    """Attack that a question of robustness asks for."""
    pairs_of: str = ""
    """Name of the answer whose other groups it compares with each other. Empty for an answer with a control of its
    question. Pages show such pairs in the section of that answer."""
    to_attack: tuple[str, ...] = ()
    """Ids of the tested runs that it asks for, attacked or not. Empty for a question of test accuracy."""

    @property
    def is_robust(self) -> bool:
        """Whether the question compares robustness."""
        return self.question.robust is not None

    @property
    def control(self) -> Row:
        """Row that the others are compared with."""
        return self.rows[0]

    @property
    def is_answered(self) -> bool:
        """Whether the control and a row beside it have runs."""
        return not self.control.is_missing and any(not row.is_missing for row in self.rows[1:])

    @property
    def commands(self) -> tuple[str, ...]:
        """Commands for the missing runs and winners, each once."""
        wanted = [*(row.command for row in self.rows), self.to_sweep]
        return tuple(dict.fromkeys(command for command in wanted if command))

    def comparison(self, row: Row) -> Comparison | None:
        """Comparison of a row of this answer with its control. None for the control."""
        return dict(zip(map(id, self.rows[1:]), self.comparisons, strict=False)).get(id(row))


def pair_answers(answer: Answer) -> list[Answer]:
    """Answers that compare the groups beside the first one with each other. Empty below three groups."""
    made = []
    for index, control in enumerate(answer.rows[1:-1], start=1):
        title = f"{answer.question.title[:200]} Compared with {control.label[:80]}"
        question = answer.question.model_copy(update={"title": title})
        rows = (replace(control, is_control=True), *answer.rows[index + 1 :])
        notes = (f"{answer.name} has the tries and the other groups of this sweep.",)
        made.append(Answer(f"{answer.name}-{index + 1}", question, rows, notes, pairs_of=answer.name))
    return made
