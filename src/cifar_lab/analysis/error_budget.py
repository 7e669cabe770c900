"""Error budget of two arms: the level of the test at each look, so that all looks together keep the error rate.

Every look takes a part of what is left of α, so the levels of all looks add up to less than α, however many follow. The
first takes 3/5 of it (0.03), look k outside a plan 1/k of what is then left: 0.03, 0.01, 0.0033, 0.0017, … A plan of
interim analyses takes 9/10 of what is left and divides it evenly among its analyses to come. By the union bound the
probability that any look at two equal arms says otherwise is below α (Bonferroni; the levels are a spending function
of the number of looks, after Lan and DeMets 1983, without their normal theory).

The rule needs looks whose time does not depend on values seen without a look. Looks at exactly the same runs are one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cifar_lab.analysis.stats.significance import ALPHA, FIRST_LOOK_ALPHA
from cifar_lab.store.looks import PairLooks, PlannedLooks

PLAN_SHARE = 0.9
"""Part of the budget that is left which a plan takes. The rest is for looks outside of it."""

USUAL_ANALYSES = 3
"""Analyses of a plan that starts at five seeds and ends at 20, to foresee its levels."""


@dataclass(frozen=True)
class Look:
    """A look at two arms."""

    number: int = 1
    """Counted from 1, over all looks at the two arms on these images. 0 where the earlier ones cannot be read."""
    alpha: float = FIRST_LOOK_ALPHA
    """Level of each test at this look."""
    alpha_next: float = FIRST_LOOK_ALPHA
    """Level at an analysis to come, to foresee the seeds that it needs."""
    planned: int = 1
    """Analyses that plans have, 1 without a plan."""
    is_new: bool = False
    """Whether these runs were not judged together before."""

    def adjust(self, p: float | None) -> float | None:
        """p adjusted for the other looks: at most α where the test rejects at the level of this one."""
        if p is None:
            return None
        return min(1.0, p * ALPHA / self.alpha) if self.alpha > 0 else 1.0


def remaining(pair: PairLooks) -> float:
    """Part of α that no look was made at and no plan has set aside."""
    looks = sum(look.alpha for look in pair.looks if look.planned is None)
    plans = sum(plan.alpha * len(plan.seeds) for plan in pair.plans)
    return max(0.0, ALPHA - looks - plans)


def unplanned_alpha(pair: PairLooks) -> float:
    """Level of the next look outside a plan."""
    number = 1 + sum(look.planned is None for look in pair.looks)
    left = remaining(pair)
    return left * FIRST_LOOK_ALPHA / ALPHA if number == 1 else left / number


def alpha_of_lost_plan(pair: PairLooks, analyses: int) -> float:
    """Level of a look where a plan cannot be read that may have named the pair, with up to this number of analyses."""
    return PLAN_SHARE * remaining(pair) / analyses


def planned_alpha(pair: PairLooks, seeds: int, wanted: int | None = None) -> tuple[float, int] | None:
    """(level, number of seeds) of the planned analysis that a look at `seeds` runs is. None for no analysis.

    Args:
        wanted: number of seeds of the analysis that is under way. Fewer runs may have an accuracy.
    """
    open_ = {number: plan.alpha for plan in pair.plans for number in open_analyses(pair, plan)}
    number = next((each for each in (wanted, seeds) if each in open_), None)
    return None if number is None else (open_[number], number)


def open_analyses(pair: PairLooks, plan: PlannedLooks) -> list[int]:
    """Analyses of a plan that were not made yet, in seeds."""
    made = {look.planned for look in pair.looks}
    return [number for number in plan.seeds if number not in made]


def analyses_ahead(pair: PairLooks, plan: PlannedLooks) -> list[int]:
    """Analyses of a plan at more seeds than any look had."""
    seen = max((max(look.seeds, look.planned or 0) for look in pair.looks), default=0)
    return [number for number in plan.seeds if number > seen]


def with_plan(pair: PairLooks, name: str, seeds: Sequence[int]) -> PairLooks:
    """The pair with a part of its budget set aside for a plan. Analyses at numbers of seeds already seen need none."""
    if any(plan.name == name and plan.seeds[-1] == seeds[-1] for plan in pair.plans):
        return pair
    seen = max((look.seeds for look in pair.looks), default=0)
    ahead = tuple(number for number in seeds if number > seen)
    if not ahead:
        return pair
    alpha = PLAN_SHARE * remaining(pair) / len(ahead)
    return pair.model_copy(update={"plans": (*pair.plans, PlannedLooks(name=name, seeds=ahead, alpha=alpha))})


def alpha_to_come(pair: PairLooks) -> float:
    """Level of an analysis that `run --until-decided` would make next, as far as it is known."""
    ahead = [plan.alpha for plan in pair.plans if analyses_ahead(pair, plan)]
    return max(ahead, default=PLAN_SHARE * remaining(pair) / USUAL_ANALYSES)
