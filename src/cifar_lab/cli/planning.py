"""What `cifar-lab plan` prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from cifar_lab.analysis.power_check import DesignCheck, check_design
from cifar_lab.config import Settings
from cifar_lab.core.text import count, plain
from cifar_lab.execution.context import RunContext
from cifar_lab.execution.estimate import NOT_PREPARED, measured_runs
from cifar_lab.execution.runner import preview_runs
from cifar_lab.execution.speeds import Speeds
from cifar_lab.store.results import find_records


def looked_at(
    control: Settings,
    arms: Sequence[Settings],
    results: Path,
    *,
    stated: Sequence[str],
    family: int,
    effect: float,
    workers: int | None,
) -> DesignCheck:
    """The check of a comparison, from its settings and what is in the results folder."""
    context = RunContext(results)
    info, planned = context.images.known(control.data), preview_runs([control, *arms], context)
    everything = find_records(results).records if info else []
    there = [run.record for run in planned or () if run.record is not None]
    return check_design(
        control,
        arms,
        planned,
        [record for record in everything if info and record.data.fingerprint == info.fingerprint],
        images=context.images,
        speeds=Speeds(measured_runs(there, results)),
        stated=stated,
        family=family,
        effect=effect,
        workers=workers,
    )


def lines(title: str, check: DesignCheck) -> Iterator[str]:
    """The check in words."""
    yield plain(title)
    yield f"  runs: {_runs(check)}"
    if check.arms:
        yield from (f"  {line}" for line in _power(check))
    for arm in check.arms:
        varied = "; ".join(arm.factors) or "nothing"
        proof = "" if arm.faults else f" and in nothing else from {plain(check.control)}"
        yield f"  {plain(arm.label)} differs in {plain(varied)}{proof}"
        yield from (f"    fault: {plain(fault)}" for fault in arm.faults)
        yield from (f"    comes with it: {plain(each)}" for each in arm.companions)


def _runs(check: DesignCheck) -> str:
    there = check.runs - check.missing
    if not check.missing:
        return f"{count(check.runs, 'run')}, all there already"
    told = f"{count(check.runs, 'run')}, {there} there already, {check.missing} to train"
    cost = check.cost
    if cost.hours is None and cost.guess == NOT_PREPARED:
        return f"{told}; hours not known: {NOT_PREPARED}"
    if cost.hours is None:
        named = ", ".join(dict.fromkeys(map(plain, cost.unknown)))
        return f"{told}; hours not known: no run like those of {named} was made on this machine yet"
    size = f"{cost.hours:.1f} hours" if cost.hours >= 1 else f"{60 * cost.hours:.0f} minutes"
    by = cost.guess or f"by {count(cost.measured, 'run')} that took their time here"
    return f"{told}: about {size} on this machine, {cost.workers} side by side, {by}"


def _power(check: DesignCheck) -> Iterator[str]:
    spread = check.spread
    if spread is None:
        yield "seeds: how far runs are apart is not known yet; train the control and an arm over three seeds, ask again"
        return
    yield (
        f"spread: {spread.points:.2f} pp between an arm's run and the control's, one standard deviation, from "
        f"{spread.source}"
    )
    held = f", held to the {check.family} comparisons of the report" if check.family > 1 else ""
    if check.smallest is not None:
        yield (
            f"seeds: the {check.seeds} that the arms share show a difference of {check.smallest:.2f} pp or more in 4 "
            f"of 5 labs{held}"
        )
    else:
        yield f"seeds: the arms share {count(check.seeds, 'seed')}, too few to show anything"
    needed = "more than 1,000 seeds" if check.seeds_needed is None else count(check.seeds_needed, "seed")
    yield f"to show {check.effect:g} pp in 4 of 5 labs takes {needed}"
