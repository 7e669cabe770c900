"""Recount of looks from the records: the runs and levels of each look, and the runs of every plan of looks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from math import isclose
from pathlib import Path

from cifar_lab.analysis.error_budget import alpha_of_lost_plan, unplanned_alpha
from cifar_lab.analysis.interim_looks import LOOKS_OF_LOST_PLAN, StoppingPlan, read_stopping_plans
from cifar_lab.analysis.robust_questions import RobustMeasure, measure_of, plain_key
from cifar_lab.analysis.stats.significance import ALPHA
from cifar_lab.analysis.summary import recipe_key
from cifar_lab.store.attack_records import find_attacks
from cifar_lab.store.looks import PairLooks, PastLook, find_looks, looks_files
from cifar_lab.store.records import Record
from cifar_lab.store.results import stopping_file


def recount_looks(results: Path, records: Sequence[Record]) -> Iterator[str]:
    """A line per difference of looks.json and the plans of looks to the records and to the rule of their levels."""
    plans, faults = read_stopping_plans(results, records)
    yield from faults
    for plan in plans.plans:
        yield from _recount_plan(results, plan, records)
    by_id = {record.run_id: record for record in records}
    name = looks_files(results)[0].name
    for pair in find_looks(results).book.pairs:
        keys = set(map(plain_key, pair.arms))
        labels = sorted({record.label for record in records if recipe_key(record.recipe) in keys})
        where = f"{name}: {' and '.join(labels) or 'two arms without runs'}"
        yield from (f"{where}: {line}" for line in _recount_pair(pair, by_id, results))


def _recount_pair(pair: PairLooks, records: Mapping[str, Record], results: Path) -> Iterator[str]:
    """Differences of the looks at two arms to the records, and to the level that each look has by the rule."""
    measure, arms = measure_of(pair.arms[0]), tuple(map(plain_key, pair.arms))
    for index, look in enumerate(pair.looks):
        where = f"look {index + 1}"
        there = [records[run] for run in look.runs if run in records]
        if any(each.data.fingerprint != pair.fingerprint or recipe_key(each.recipe) not in arms for each in there):
            yield f"{where}: has runs of other arms or images"
        yield from (f"{where}: {line}" for line in _recount_numbers(look, there, measure, results))
        if len(there) == len(look.runs) and look.seeds != min(_runs_of(arm, there) for arm in arms):
            yield f"{where}: has {look.seeds} seeds on disk, which is not the number of its runs"
        if not _is_by_rule(pair, index):
            yield f"{where}: its level {look.alpha:.3g} is not that of look {index + 1}"
    spent = sum(look.alpha for look in pair.looks if look.planned is None)
    spent += sum(plan.alpha * len(plan.seeds) for plan in pair.plans)
    if spent > ALPHA + 1e-9:
        yield f"its levels add up to {spent:.3g}, which is above {ALPHA:g}"


def _recount_numbers(
    look: PastLook, there: Sequence[Record], measure: RobustMeasure | None, results: Path
) -> Iterator[str]:
    """Numbers of a look that are not those of its runs, or of the attacks on them."""
    for each in there:
        stated = f"{look.runs[each.run_id]:.10g}"
        if measure is None and _differs(look, each):
            yield f"{stated} is not the test accuracy of run {each.run_id}"
        if measure is not None and _differs_from_attack(look, each, measure, results):
            yield f"{stated} is not what the attack on run {each.run_id} gives"


def _differs(look: PastLook, record: Record) -> bool:
    """Whether a run that ended before the look has another test accuracy. A run may be made again after it."""
    if record.test is None:
        return True
    try:
        is_older = datetime.fromisoformat(record.finished) <= datetime.fromisoformat(look.made)
    except (TypeError, ValueError):
        return False
    return is_older and not isclose(look.runs[record.run_id], record.test.accuracy, abs_tol=1e-9)


def _differs_from_attack(look: PastLook, record: Record, measure: RobustMeasure, results: Path) -> bool:
    """Whether an attack that ended before the look gives another number. One that is gone tells nothing."""
    for attack in find_attacks(results, record):
        if attack.attack_id == measure.attack_id and attack.finished <= look.made:
            value = measure.value(attack)
            return value is None or not isclose(look.runs[record.run_id], value, abs_tol=1e-9)
    return False


def _runs_of(arm: str, records: Sequence[Record]) -> int:
    return sum(recipe_key(record.recipe) == arm for record in records)


def _is_by_rule(pair: PairLooks, index: int) -> bool:
    """Whether a look has its level by the rule. With plans, which may be younger than the look, at most that level."""
    look, before = pair.looks[index], pair.model_copy(update={"looks": pair.looks[:index]})
    if look.planned is not None:
        return any(isclose(look.alpha, plan.alpha) for plan in pair.plans if look.planned in plan.seeds)
    unbound = before.model_copy(update={"plans": ()})
    levels = (unplanned_alpha(unbound), alpha_of_lost_plan(unbound, LOOKS_OF_LOST_PLAN))
    if pair.plans:
        return look.alpha <= max(levels) * (1 + 1e-9)
    return any(isclose(look.alpha, level, abs_tol=1e-12) for level in levels)


def _recount_plan(results: Path, plan: StoppingPlan, records: Sequence[Record]) -> Iterator[str]:
    """Differences of a plan of looks to the runs that were made under it."""
    path = stopping_file(results, plan.question).relative_to(results).as_posix()
    under = [record for record in records if record.plan == path]
    keys = {plan.control, *plan.arms}
    others = [
        record
        for record in under
        if record.data.fingerprint != plan.fingerprint or recipe_key(record.recipe) not in keys
    ]
    if others:
        yield f"{path}: does not bind run {others[0].run_id}, which was made under it"
    seeds = max((sum(recipe_key(record.recipe) == key for record in under) for key in keys), default=0)
    if seeds > plan.looks[-1] or list(plan.looks) != sorted(set(plan.looks)):
        looks = ", ".join(map(str, plan.looks))
        yield f"{path}: looks at {looks} seeds, but {seeds} runs of one arm were made under it"
