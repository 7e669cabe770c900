"""Verdicts: every row of a report against its control, all comparisons together.

The rules, in docs/statistics.md with their reasons: paired by seed, else Welch. Holm over all comparisons of the
report, once for *different* and once for *equivalent*. No verdict below three runs. A comparison whose seeds were added
until it was decided is held to its planned interim analyses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil, log2

from cifar_lab.analysis.answers import Answer, Comparison, Verdict
from cifar_lab.analysis.differences import difference_design, equivalence_design, row_difference
from cifar_lab.analysis.stats.power import Design, runs_to_tell, smallest_difference
from cifar_lab.analysis.stats.significance import ALPHA, FEWEST_SEEDS, AdjustedP, holm
from cifar_lab.analysis.stats.t_tests import Difference
from cifar_lab.analysis.summary import Row

InterimLooks = Callable[[Row, Row], int]
"""Number of interim analyses planned for a row and its control, 1 without a plan."""


@dataclass(frozen=True)
class _Pair:
    """A row and its control, with the difference of their accuracies (shares). None where one has no accuracy."""

    row: Row
    control: Row
    looks: int
    difference: Difference | None

    @property
    def tested(self) -> Difference | None:
        """The difference where it may get a verdict: enough runs, and not the same ones."""
        gap = self.difference
        same_runs = self.row.is_same_runs(self.control)
        return gap if gap is not None and gap.runs >= FEWEST_SEEDS and not same_runs else None

    def p_value(self) -> float | None:
        """p of no difference, adjusted for the interim analyses."""
        return None if self.tested is None else _times(self.looks, self.tested.p_value())

    def equivalence_p(self, margin: float) -> float | None:
        """p of a difference beyond `margin` (a share), adjusted for the interim analyses."""
        return None if self.tested is None else _times(self.looks, self.tested.equivalence_p(margin))


def judge(
    answers: Sequence[Answer], min_effect: float, looks_of: InterimLooks = lambda row, control: 1
) -> tuple[list[Answer], int]:
    """(answers with a comparison per row but the control, number of comparisons over which Holm adjusts).

    Args:
        min_effect: smallest difference that matters, in percentage points.
    """
    pairs = [
        _Pair(row, answer.control, looks_of(row, answer.control), row_difference(row, answer.control))
        for answer in answers
        for row in answer.rows[1:]
    ]
    p_holm = holm([pair.p_value() for pair in pairs])
    p_equal = holm([pair.equivalence_p(min_effect / 100) for pair in pairs])
    family = sum(each is not None for each in p_holm)
    judged = iter(
        [
            _judge(pair, min_effect, different, equal, family)
            for pair, different, equal in zip(pairs, p_holm, p_equal, strict=True)
        ]
    )
    return [replace(answer, comparisons=tuple(next(judged) for _ in answer.rows[1:])) for answer in answers], family


def _judge(
    pair: _Pair, min_effect: float, different: AdjustedP | None, equal: AdjustedP | None, family: int
) -> Comparison:
    comparison = Comparison(
        arm=pair.row.label,
        control=pair.control.label,
        level=1 - ALPHA / pair.looks,
        n=pair.row.n,
        n_control=pair.control.n,
        p_holm=different.p if different else None,
        p_equivalence_holm=equal.p if equal else None,
        interim_looks=pair.looks,
        family=family,
        min_effect_pp=min_effect,
        verdict=_verdict(pair, different, equal),
    )
    if pair.difference is None:
        return comparison
    alpha = ALPHA / pair.looks / (different.divisor if different else 1)
    return _measured(comparison, pair.difference, alpha, is_tested=pair.tested is not None)


def _measured(comparison: Comparison, gap: Difference, alpha: float, *, is_tested: bool) -> Comparison:
    """The comparison with the numbers of its difference.

    Args:
        alpha: level of the test of this comparison, after Holm and the interim analyses.
    """
    interval = gap.confidence_interval(comparison.level)
    design = difference_design(gap)
    min_effect = comparison.min_effect_pp
    undecided = comparison.verdict == "undecided"
    return replace(
        comparison,
        difference_pp=100 * gap.mean,
        low_pp=100 * interval[0] if interval else None,
        high_pp=100 * interval[1] if interval else None,
        method=gap.method,
        n=gap.n,
        n_control=gap.n_other,
        seeds=gap.seeds,
        differences_pp=tuple(100 * each for each in gap.differences),
        is_whole=gap.n == comparison.n and gap.n_other == comparison.n_control,
        std_pp=_percent(gap.std),
        standard_error_pp=_percent(gap.standard_error),
        dof=gap.dof,
        effect_size=gap.effect_size,
        win_rate=gap.win_rate,
        ties=gap.ties,
        is_resolution_limited=gap.is_resolution_limited,
        p=gap.p_value(),
        p_sign_flip=gap.sign_flip_p(),
        p_equivalence=gap.equivalence_p(min_effect / 100),
        smallest_shown_pp=smallest_difference(gap.runs, design, alpha) if design and is_tested else None,
        seeds_more=_seeds_more(gap, design, min_effect, alpha) if undecided else None,
    )


def _verdict(pair: _Pair, different: AdjustedP | None, equal: AdjustedP | None) -> Verdict:
    if pair.tested is None:
        return "no verdict"
    # Equivalence first: a difference can be shown to exist and to be too small to matter.
    if equal is not None and equal.p <= ALPHA:
        return "equivalent"
    if different is not None and different.p <= ALPHA:
        return "better" if pair.tested.mean > 0 else "worse"
    return "undecided"


def _seeds_more(gap: Difference, design: Design | None, min_effect: float, alpha: float) -> int | None:
    """Further runs in each group that make a verdict likely, if mean and standard deviation stay."""
    if design is not None:
        within = equivalence_design(gap, min_effect)
        wanted = runs_to_tell(100 * gap.mean, min_effect, design, alpha, within=within)
        return None if wanted is None else max(1, wanted - gap.runs)
    if gap.method != "paired":
        return None
    return max(1, ceil(1 - log2(alpha)) - gap.runs)  # the sign-flip p of n equal differences is 2^(1 - n)


def _times(looks: int, p: float | None) -> float | None:
    """Bonferroni over the interim analyses: each test at each of them is made at α / looks."""
    return None if p is None else min(1.0, looks * p)


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share
