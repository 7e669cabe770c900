"""The one promise of the budget, over any history: the levels of all looks add up to at most 5 %."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cifar_lab.analysis.error_budget import (
    Look,
    alpha_of_lost_plan,
    alpha_to_come,
    open_analyses,
    planned_alpha,
    remaining,
    unplanned_alpha,
    with_plan,
)
from cifar_lab.analysis.interim_looks import plan_looks
from cifar_lab.analysis.stats.significance import ALPHA, FIRST_LOOK_ALPHA
from cifar_lab.store.looks import PairLooks, PastLook

EMPTY = PairLooks(fingerprint="f" * 64, arms=("a", "b"))


@dataclass
class History:
    """Looks at one pair, as the ledger makes them, each at other runs."""

    pair: PairLooks = EMPTY
    levels: list[float] = field(default_factory=list)

    def look(self, seeds: int, wanted: int | None = None) -> float:
        alpha, planned = planned_alpha(self.pair, seeds, wanted) or (unplanned_alpha(self.pair), None)
        number = str(len(self.pair.looks))
        made = PastLook(runs={number: 0.5}, seeds=seeds, alpha=alpha, planned=planned, made="2026-11-27T12:00:00Z")
        self.pair = self.pair.model_copy(update={"looks": (*self.pair.looks, made)})
        self.levels.append(alpha)
        return alpha


def test_the_first_look_has_three_percent_and_each_that_follows_a_part_of_the_rest() -> None:
    history = History()
    levels = [history.look(seeds) for seeds in range(3, 9)]
    assert levels[0] == FIRST_LOOK_ALPHA == 0.03
    assert levels[1:4] == pytest.approx([0.01, 0.02 / 6, 0.02 / 12])
    assert levels == sorted(levels, reverse=True)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("look"), st.integers(3, 60)),
            st.tuples(st.just("plan"), st.integers(3, 60)),
            st.tuples(st.just("analysis"), st.integers(3, 60)),
        ),
        max_size=60,
    )
)
def test_no_history_of_looks_and_plans_spends_more_than_five_percent(acts: list[tuple[str, int]]) -> None:
    history = History()
    for number, (act, seeds) in enumerate(acts):
        if act == "look":
            assert history.look(seeds) >= 0
        elif act == "plan":
            history.pair = with_plan(history.pair, f"plan {number}", plan_looks(3, seeds))
        else:
            history.look(seeds, wanted=seeds)
        ahead = sum(plan.alpha * len(open_analyses(history.pair, plan)) for plan in history.pair.plans)
        assert sum(history.levels) + ahead <= ALPHA * (1 + 1e-12)
        assert remaining(history.pair) >= 0
        assert alpha_to_come(history.pair) >= 0


def test_a_thousand_looks_still_leave_something_for_the_next() -> None:
    history = History()
    assert all(history.look(seeds) > 0 for seeds in range(3, 1_000))
    assert sum(history.levels) < ALPHA


def test_a_plan_divides_nine_tenths_of_what_is_left_among_its_analyses_to_come() -> None:
    fresh = with_plan(EMPTY, "q1", (3, 5, 8, 12, 20))
    assert planned_alpha(fresh, 5) == (pytest.approx(0.045 / 5), 5)
    history = History()
    history.look(5)
    after = with_plan(history.pair, "q1", (5, 8, 12, 20))
    assert after.plans[0].seeds == (8, 12, 20)
    assert planned_alpha(after, 8) == (pytest.approx(0.018 / 3), 8)
    assert planned_alpha(after, 5) is None
    assert with_plan(after, "q1", (5, 8, 12, 20)) == after
    assert with_plan(after, "q1", (3, 5)) == after  # nothing to come


def test_an_analysis_is_made_once_and_the_one_under_way_counts_with_fewer_runs() -> None:
    history = History(with_plan(EMPTY, "q1", (3, 5)))
    planned = history.look(2, wanted=3)  # a run diverged
    assert history.pair.looks[0].planned == 3
    assert history.look(3, wanted=3) < planned
    assert history.look(5) == planned
    assert open_analyses(history.pair, history.pair.plans[0]) == []


def test_looks_between_the_analyses_share_what_the_plan_left() -> None:
    history = History(with_plan(EMPTY, "q1", (3, 5, 8)))
    assert history.look(4) == pytest.approx(0.6 * 0.005)
    assert history.look(3) == pytest.approx(0.015)
    assert history.look(6) == pytest.approx(0.4 * 0.005 / 2)


def test_a_plan_that_cannot_be_read_counts_as_the_longest() -> None:
    assert alpha_of_lost_plan(EMPTY, 40) == pytest.approx(0.045 / 40)


def test_p_is_at_most_five_percent_exactly_where_the_look_rejects() -> None:
    look = Look(2, 0.01)
    assert look.adjust(0.01) == pytest.approx(0.05)
    assert look.adjust(0.5) == 1
    assert look.adjust(None) is None
    assert Look(0, 0.0).adjust(0.0) == 1  # nothing is judged without the earlier looks
