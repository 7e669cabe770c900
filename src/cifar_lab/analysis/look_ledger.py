"""Ledger of the looks at a results folder: the level of each comparison, and what is to be remembered of it."""

from __future__ import annotations

from collections.abc import Collection

from cifar_lab.analysis.error_budget import (
    Look,
    alpha_of_lost_plan,
    alpha_to_come,
    analyses_ahead,
    planned_alpha,
    unplanned_alpha,
    with_plan,
)
from cifar_lab.analysis.interim_looks import LOOKS_OF_LOST_PLAN, StoppingPlans
from cifar_lab.analysis.stats.t_tests import Difference
from cifar_lab.analysis.summary import Row
from cifar_lab.core.host import utc_now
from cifar_lab.store.looks import FoundLooks, LookBook, PairLooks, PastLook


class LookLedger:
    """Looks of a results folder, with those of this command added as they are made."""

    def __init__(self, found: FoundLooks, plans: StoppingPlans, analysis: int | None = None) -> None:
        """`analysis` is the number of seeds of the planned analysis that is under way."""
        self.book: LookBook = found.book
        self.has_new = False
        self._is_lost = found.is_lost
        self._plans = plans
        self._analysis = analysis
        self._new: set[tuple[str, ...]] = set()
        """Run ids of the looks that were added."""

    def look(self, row: Row, control: Row, gap: Difference) -> Look:
        """The look at these rows. A new one is added to the book."""
        if self._is_lost:
            return Look(number=0, alpha=0.0)
        pair = self.pair(row, control)
        runs = runs_seen(row, control, gap)
        index = pair.at(runs)
        slot = planned_alpha(pair, gap.runs, self._analysis)
        if index is None or (slot is not None and slot[0] > pair.looks[index].alpha):
            alpha, planned = slot or (self._unplanned(pair, row, control), None)
            made = PastLook(runs=runs, seeds=gap.runs, alpha=alpha, planned=planned, made=utc_now())
            index = len(pair.looks) if index is None else index
            pair = pair.model_copy(update={"looks": (*pair.looks[:index], made, *pair.looks[index + 1 :])})
            self.book = self.book.with_pair(pair)
            self._new.add(tuple(sorted(runs)))
            self.has_new = True
        return Look(
            index + 1,
            pair.looks[index].alpha,
            alpha_to_come(pair),
            sum(len(plan.seeds) for plan in pair.plans) or 1,
            is_new=tuple(sorted(runs)) in self._new,
        )

    def _unplanned(self, pair: PairLooks, row: Row, control: Row) -> float:
        """Level of a new look outside a plan. A plan that cannot be read is one unless the looks name it."""
        lost = self._plans.may_have_lost(row, control) - {plan.name.rpartition("-")[2] for plan in pair.plans}
        return alpha_of_lost_plan(pair, LOOKS_OF_LOST_PLAN) if lost else unplanned_alpha(pair)

    def pair(self, row: Row, control: Row) -> PairLooks:
        """Looks at two rows so far, with the plans that bind them."""
        pair = self.book.pair(control.fingerprint or row.fingerprint, row.key, control.key)
        for plan in self._plans.of(row, control):
            pair = with_plan(pair, plan.question, plan.looks)
        return pair

    def last_planned(self, row: Row, control: Row) -> int | None:
        """Seeds at the last analysis of a plan that has analyses to come. None without one."""
        pair = self.pair(row, control)
        return max((plan.seeds[-1] for plan in pair.plans if analyses_ahead(pair, plan)), default=None)

    def gone(self, row: Row, control: Row, there: Collection[str]) -> list[str]:
        """Ids of runs that an earlier look counted and that are not `there` any more."""
        pair = self.pair(row, control)
        return sorted({run for look in pair.looks for run in look.runs} - set(there))


def runs_seen(row: Row, control: Row, gap: Difference) -> dict[str, float]:
    """Test accuracy by run id, of the runs that the difference is made of."""
    paired = set(gap.seeds) if gap.method == "paired" else None
    return {
        run: accuracy
        for each in (row, control)
        for run, (seed, accuracy) in zip(each.run_ids, each.values, strict=True)
        if paired is None or seed in paired
    }
