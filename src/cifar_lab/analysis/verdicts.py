"""Verdicts: every row of a report against its control, all comparisons together.

The rules, in docs/statistics.md with their reasons: paired by seed, else Welch. Holm over all comparisons of the
report, once for *different* and once for *equivalent*. No verdict below three runs. Each p is first adjusted for the
other looks at its two arms (`error_budget`), then by Holm. The smallest of a pair's p values so adjusted, over all its
looks, is a valid p, and Holm's procedure rejects at no look more than it does with those. So a report keeps its error
rate over all looks together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil, log2

from cifar_lab.analysis.answers import Answer, Comparison, Verdict
from cifar_lab.analysis.differences import difference_design, equivalence_design, row_difference
from cifar_lab.analysis.error_budget import Look
from cifar_lab.analysis.stats.power import Design, runs_to_tell, smallest_difference
from cifar_lab.analysis.stats.significance import ALPHA, FEWEST_SEEDS, LEVEL, AdjustedP, holm
from cifar_lab.analysis.stats.t_tests import Difference
from cifar_lab.analysis.summary import Row

LookAt = Callable[[Row, Row, Difference], Look]
"""Look of a row, its control and their difference, which could give a verdict."""


@dataclass(frozen=True)
class Pair:
    """A row and its control, with the difference of their accuracies (shares). None where one has no accuracy."""

    row: Row
    control: Row
    difference: Difference | None
    look: Look | None = None
    """Look at them. None where they can get no verdict."""

    @property
    def tested(self) -> Difference | None:
        """The difference where it may get a verdict: enough runs, and not the same ones."""
        gap = self.difference
        is_open = not self.row.withheld and not self.row.is_same_runs(self.control)
        return gap if gap is not None and gap.runs >= FEWEST_SEEDS and is_open else None

    def seen(self, look_at: LookAt) -> Pair:
        """The pair with the look at it."""
        return self if self.tested is None else replace(self, look=look_at(self.row, self.control, self.tested))

    def p_value(self) -> float | None:
        """p of no difference, adjusted for the other looks."""
        return None if self.tested is None or self.look is None else self.look.adjust(self.tested.p_value())

    def equivalence_p(self, margin: float) -> float | None:
        """p of a difference beyond `margin` (a share), adjusted for the other looks."""
        return None if self.tested is None or self.look is None else self.look.adjust(self.tested.equivalence_p(margin))


@dataclass(frozen=True)
class Decision:
    """Verdict on a pair."""

    verdict: Verdict
    different: AdjustedP | None
    """p of no difference, adjusted for the other looks and by Holm."""
    equal: AdjustedP | None
    """The same of a difference that matters."""


def first_look(row: Row, control: Row, gap: Difference) -> Look:
    """Look at two arms that no look was made at."""
    return Look()


def pairs_of(answers: Sequence[Answer]) -> list[Pair]:
    """Pairs of a row and its control, in the order of the answers."""
    return [
        Pair(row, answer.control, row_difference(row, answer.control)) for answer in answers for row in answer.rows[1:]
    ]


def decide(pairs: Sequence[Pair], min_effect: float) -> list[Decision]:
    """Verdicts on all pairs of a report together.

    Args:
        min_effect: smallest difference that matters, in percentage points, or hundredths of an L2 distance.
    """
    p_holm = holm([pair.p_value() for pair in pairs])
    p_equal = holm([pair.equivalence_p(min_effect / 100) for pair in pairs])
    return [
        Decision(_verdict(pair, different, equal), different, equal)
        for pair, different, equal in zip(pairs, p_holm, p_equal, strict=True)
    ]


def judge(answers: Sequence[Answer], min_effect: float, look_at: LookAt = first_look) -> tuple[list[Answer], int]:
    """(answers with a comparison per row but the control, number of comparisons over which Holm adjusts).

    Args:
        min_effect: smallest difference that matters, in percentage points, or hundredths of an L2 distance.
    """
    pairs = [pair.seen(look_at) for pair in pairs_of(answers)]
    decisions = decide(pairs, min_effect)
    family = sum(decision.different is not None for decision in decisions)
    judged = iter([_judge(pair, min_effect, decision, family) for pair, decision in zip(pairs, decisions, strict=True)])
    return [replace(answer, comparisons=tuple(next(judged) for _ in answer.rows[1:])) for answer in answers], family


def _judge(pair: Pair, min_effect: float, decision: Decision, family: int) -> Comparison:
    different, equal, look = decision.different, decision.equal, pair.look
    comparison = Comparison(
        arm=pair.row.label,
        control=pair.control.label,
        level=1 - look.alpha if look is not None and look.alpha > 0 else LEVEL,
        n=pair.row.n,
        n_control=pair.control.n,
        p_holm=different.p if different else None,
        p_equivalence_holm=equal.p if equal else None,
        interim_looks=look.planned if look else 1,
        look=look.number if look else None,
        alpha=look.alpha if look else None,
        look_remembered=not (look and look.is_new),
        family=family,
        min_effect=pair.row.scale.from_hundredths(min_effect),
        scale=pair.row.scale,
        verdict=decision.verdict,
    )
    if pair.difference is None:
        return comparison
    return _measured(comparison, pair.difference, min_effect, look, different.divisor if different else 1)


def _measured(
    comparison: Comparison, gap: Difference, min_effect: float, look: Look | None, divisor: int
) -> Comparison:
    """The comparison with the numbers of its difference.

    Args:
        look: look at it, None where it can get no verdict.
        divisor: of the level of the look, by Holm.
    """
    interval = gap.confidence_interval(comparison.level)
    design = difference_design(gap)
    scale, factor = comparison.scale, comparison.scale.factor
    undecided, usable = comparison.verdict == "undecided", look if look is not None and look.alpha > 0 else None
    return replace(
        comparison,
        difference=factor * gap.mean,
        low=factor * interval[0] if interval else None,
        high=factor * interval[1] if interval else None,
        method=gap.method,
        n=gap.n,
        n_control=gap.n_other,
        seeds=gap.seeds,
        differences=tuple(factor * each for each in gap.differences),
        is_whole=gap.n == comparison.n and gap.n_other == comparison.n_control,
        std=_shown(gap.std, factor),
        standard_error=_shown(gap.standard_error, factor),
        dof=gap.dof,
        effect_size=gap.effect_size,
        win_rate=gap.win_rate,
        ties=gap.ties,
        is_resolution_limited=gap.is_resolution_limited,
        p=gap.p_value(),
        p_sign_flip=gap.sign_flip_p(),
        p_equivalence=gap.equivalence_p(min_effect / 100),
        smallest_shown=scale.from_hundredths(smallest_difference(gap.runs, design, usable.alpha / divisor))
        if design and usable
        else None,
        seeds_more=_seeds_more(gap, design, min_effect, usable.alpha_next / divisor) if undecided and usable else None,
    )


def _verdict(pair: Pair, different: AdjustedP | None, equal: AdjustedP | None) -> Verdict:
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


def _shown(value: float | None, factor: float) -> float | None:
    return None if value is None else factor * value
