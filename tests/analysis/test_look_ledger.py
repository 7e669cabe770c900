from __future__ import annotations

from dataclasses import replace

import pytest

from cifar_lab.analysis.error_budget import Look
from cifar_lab.analysis.interim_looks import StoppingPlan, StoppingPlans
from cifar_lab.analysis.look_ledger import LookLedger
from cifar_lab.analysis.stats.t_tests import compare
from cifar_lab.analysis.summary import Row
from cifar_lab.store.looks import FoundLooks, LookBook

IMAGES = "f" * 64


def row(key: str, n: int, *, first: int = 0, shift: float = 0.0, **more: object) -> Row:
    values = tuple((seed, 0.5 + 0.01 * (seed % 3) + shift) for seed in range(first, first + n))
    ids = tuple(f"{key}-{seed}" for seed, _ in values)
    return Row(key, values=values, run_ids=ids, key=key, fingerprint=IMAGES, **more)  # type: ignore[arg-type]


class Reader:
    """Reports on one results folder in memory."""

    def __init__(self, *plans: StoppingPlan) -> None:
        self.found = FoundLooks(LookBook())
        self.plans = StoppingPlans(plans)

    def look(self, arm: Row, control: Row, analysis: int | None = None) -> Look:
        ledger = LookLedger(self.found, self.plans, analysis)
        gap = compare(dict(arm.values), dict(control.values))
        assert gap is not None
        look = ledger.look(arm, control, gap)
        self.found = FoundLooks(ledger.book)
        return look


def test_the_same_runs_are_the_same_look() -> None:
    reader = Reader()
    first = reader.look(row("adam", 3), row("sgd", 3))
    again = reader.look(row("adam", 3), row("sgd", 3))
    assert (first.number, first.alpha, first.is_new) == (1, 0.03, True)
    assert (again.number, again.alpha, again.is_new) == (1, 0.03, False)


def test_other_runs_are_another_look_be_they_more_or_fewer() -> None:
    reader = Reader()
    sizes = [5, 4, 6, 3]
    numbers = [reader.look(row("adam", n), row("sgd", n)).number for n in sizes]
    assert numbers == [1, 2, 3, 4]
    assert [reader.look(row("adam", n), row("sgd", n)).number for n in sizes] == numbers


def test_which_arm_is_the_control_and_what_they_are_called_makes_no_difference() -> None:
    reader = Reader()
    reader.look(row("adam", 3), row("sgd", 3))
    reader.look(row("adam", 4), row("sgd", 4))
    assert reader.look(row("sgd", 4), row("adam", 4)).number == 2
    renamed = replace(row("adam", 4), label="another name")
    assert reader.look(renamed, row("sgd", 4)).number == 2


def test_other_arms_and_other_images_have_looks_of_their_own() -> None:
    reader = Reader()
    reader.look(row("adam", 3), row("sgd", 3))
    assert reader.look(row("adamw", 4), row("sgd", 4)).number == 1
    others = [replace(row(key, 4), fingerprint="0" * 64) for key in ("adam", "sgd")]
    assert reader.look(others[0], others[1]).number == 1


def test_a_run_that_was_made_again_with_another_accuracy_is_another_look() -> None:
    reader = Reader()
    reader.look(row("adam", 3), row("sgd", 3))
    assert reader.look(row("adam", 3, shift=0.01), row("sgd", 3)).number == 2


def test_runs_without_a_partner_are_in_no_difference_and_in_no_look() -> None:
    reader = Reader()
    reader.look(row("adam", 4), row("sgd", 4))
    assert reader.look(row("adam", 4), row("sgd", 9)).number == 1
    apart = row("adam", 4), row("sgd", 4, first=50)
    assert reader.look(*apart).number == 2
    assert reader.look(apart[0], row("sgd", 5, first=50)).number == 3  # Welch uses all runs


def plan(*looks: int, question: str = "q1", control: str = "sgd") -> StoppingPlan:
    return StoppingPlan(question=question, fingerprint=IMAGES, control=control, arms=("adam",), looks=looks)


def test_a_report_at_a_planned_number_of_seeds_is_that_analysis() -> None:
    reader = Reader(plan(3, 5, 8))
    report = reader.look(row("adam", 5), row("sgd", 5))
    assert (report.alpha, report.planned) == (pytest.approx(0.015), 3)
    assert reader.look(row("adam", 5), row("sgd", 5), analysis=5) == replace(report, is_new=False)
    assert reader.look(row("adam", 6), row("sgd", 6)).alpha < 0.01


def test_an_analysis_of_runs_that_were_seen_before_has_the_larger_of_both_levels() -> None:
    reader = Reader()
    for n in (3, 4, 5):
        seen = reader.look(row("adam", n), row("sgd", n))
    reader.plans = StoppingPlans([plan(5, 8)])
    assert reader.look(row("adam", 5), row("sgd", 5), analysis=5).alpha == seen.alpha
    reader.look(row("adam", 8), row("sgd", 8))
    reader = Reader(plan(3, 6))
    late = reader.look(row("adam", 5), row("sgd", 5))
    raised = reader.look(row("adam", 5), row("sgd", 5), analysis=6)  # a run of the sixth seed diverged
    assert (late.number, raised.number) == (1, 1)
    assert late.alpha < raised.alpha == pytest.approx(0.0225)


def test_a_plan_of_the_folder_stays_counted_when_its_file_is_gone() -> None:
    reader = Reader(plan(3, 5, 8))
    reader.look(row("adam", 3), row("sgd", 3))
    reader.plans = StoppingPlans()
    assert reader.look(row("adam", 4), row("sgd", 4)).alpha == pytest.approx(0.003)


def test_without_the_earlier_looks_nothing_is_judged() -> None:
    reader = Reader()
    reader.found = FoundLooks(LookBook(), is_lost=True)
    look = reader.look(row("adam", 3), row("sgd", 3))
    assert (look.number, look.alpha, look.adjust(1e-9)) == (0, 0.0, 1.0)


def test_runs_that_were_counted_and_are_gone_are_named() -> None:
    reader = Reader()
    arm, control = row("adam", 4), row("sgd", 4)
    reader.look(arm, control)
    ledger = LookLedger(reader.found, StoppingPlans())
    there = [*control.run_ids, *arm.run_ids[1:]]
    assert ledger.gone(arm, control, there) == ["adam-0"]
    assert ledger.gone(arm, control, [*there, "adam-0"]) == []
