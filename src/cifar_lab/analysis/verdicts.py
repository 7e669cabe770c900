"""From rows to verdicts: every row of a report against its control, all comparisons together.

The rules, in docs/statistics.md with their reasons: paired by seed, else Welch; Holm over all comparisons of the
report, once for *different* and once for *equivalent*; no verdict below three runs; a comparison whose seeds were added
until it was decided is held to its plan of looks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil, log2

from cifar_lab.analysis.answers import Answer, Comparison, Verdict
from cifar_lab.analysis.sentences import sentence
from cifar_lab.analysis.stats.differences import Difference, compare
from cifar_lab.analysis.stats.holm import Adjusted, holm
from cifar_lab.analysis.stats.levels import ALPHA, FEWEST_SEEDS
from cifar_lab.analysis.stats.power import Design, runs_to_tell, smallest_difference
from cifar_lab.analysis.summary import Row

LooksOf = Callable[[Row, Row], int]
"""How many looks were planned for a row and its control; 1 where their seeds were not added until decided."""


@dataclass(frozen=True)
class _Pair:
    """A row and its control, with the difference of their accuracies (shares); None where one has none."""

    row: Row
    control: Row
    looks: int
    difference: Difference | None

    @property
    def tested(self) -> Difference | None:
        """The difference where it may get a verdict: enough runs, and not the same ones."""
        gap = self.difference
        return gap if gap is not None and gap.runs >= FEWEST_SEEDS and not self.same_runs else None

    @property
    def same_runs(self) -> bool:
        """Whether both rows are the same runs."""
        return bool(self.row.run_ids) and self.row.run_ids == self.control.run_ids

    def p_value(self) -> float | None:
        """Of no difference, adjusted for the looks."""
        return None if self.tested is None else _times(self.looks, self.tested.p_value())

    def equivalence_p(self, margin: float) -> float | None:
        """Of a difference beyond `margin` (a share), adjusted for the looks."""
        return None if self.tested is None else _times(self.looks, self.tested.equivalence_p(margin))


def judge(
    answers: Sequence[Answer], min_effect: float, looks_of: LooksOf = lambda row, control: 1
) -> tuple[list[Answer], int]:
    """(the answers with a comparison for each row but the control, the number of comparisons that Holm adjusts over).

    Args:
        min_effect: differences smaller than this do not matter, pp.
    """
    pairs = [
        _Pair(row, answer.control, looks_of(row, answer.control), _difference(row, answer.control))
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
    pair: _Pair, min_effect: float, different: Adjusted | None, equal: Adjusted | None, family: int
) -> Comparison:
    row, control, gap, looks = pair.row, pair.control, pair.difference, pair.looks
    level = 1 - ALPHA / looks
    interval = gap.interval(level) if gap else None
    verdict = _verdict(pair, different, equal)
    alpha = ALPHA / looks / (different.divisor if different else 1)
    design = Design(100 * gap.spread, gap.method == "paired") if gap and gap.spread and gap.has_spread else None
    comparison = Comparison(
        arm=row.label,
        control=control.label,
        points=100 * gap.mean if gap else None,
        low=100 * interval[0] if interval else None,
        high=100 * interval[1] if interval else None,
        level=level,
        method=gap.method if gap else "none",
        n=gap.n if gap else row.n,
        n_control=gap.n_other if gap else control.n,
        seeds=gap.seeds if gap else (),
        differences=tuple(100 * each for each in gap.each) if gap else (),
        is_whole=gap is None or (gap.n == row.n and gap.n_other == control.n),
        spread=100 * gap.spread if gap and gap.spread is not None else None,
        standard_error=100 * gap.standard_error if gap and gap.standard_error is not None else None,
        degrees=gap.degrees if gap else None,
        effect_size=gap.effect_size if gap else None,
        won=gap.won if gap else None,
        ties=gap.ties if gap else 0,
        p=gap.p_value() if gap else None,
        p_holm=different.p if different else None,
        p_sign_flip=gap.sign_flip_p() if gap else None,
        p_equivalence=gap.equivalence_p(min_effect / 100) if gap else None,
        p_equivalence_holm=equal.p if equal else None,
        looks=looks,
        family=family,
        min_effect=min_effect,
        smallest_shown=smallest_difference(gap.runs, design, alpha) if gap and design and pair.tested else None,
        verdict=verdict,
        seeds_more=_seeds_more(gap, design, min_effect, alpha) if gap and verdict == "undecided" else None,
        sentence="",
    )
    return replace(comparison, sentence=sentence(comparison, row, control, same_runs=pair.same_runs))


def _difference(row: Row, control: Row) -> Difference | None:
    return compare(dict(row.values), dict(control.values))


def _verdict(pair: _Pair, different: Adjusted | None, equal: Adjusted | None) -> Verdict:
    if pair.tested is None:
        return "no verdict"
    if equal is not None and equal.p <= ALPHA:
        return "equivalent"
    if different is not None and different.p <= ALPHA:
        return "better" if pair.tested.mean > 0 else "worse"
    return "undecided"


def _seeds_more(gap: Difference, design: Design | None, min_effect: float, alpha: float) -> int | None:
    """Runs to add on each side until an answer is likely, if mean and spread stay as they are."""
    if design is not None:
        wanted = runs_to_tell(100 * gap.mean, min_effect, design, alpha)
        return None if wanted is None else max(1, wanted - gap.runs)
    if gap.method != "paired":
        return None
    return max(1, ceil(1 - log2(alpha)) - gap.runs)  # the sign-flip p of n equal differences is 2^(1 - n)


def _times(looks: int, p: float | None) -> float | None:
    return None if p is None else min(1.0, looks * p)
