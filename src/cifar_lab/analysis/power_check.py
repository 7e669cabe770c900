"""The check of a comparison before the spending: runs, hours, what its seeds can show, and whether it is a fair one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from cifar_lab.analysis.confounders import Facts, companions
from cifar_lab.analysis.factors import factors, outside, told
from cifar_lab.analysis.hours import Cost, cost
from cifar_lab.analysis.stats.levels import ALPHA, NO_SPREAD
from cifar_lab.analysis.stats.power import Design, runs_to_show, smallest_difference
from cifar_lab.analysis.stats.samples import pooled_spread
from cifar_lab.analysis.summary import by_recipe, recipe_key
from cifar_lab.config import Settings
from cifar_lab.config.run_id import recipe
from cifar_lab.core.errors import LabError
from cifar_lab.data import DatasetCatalog
from cifar_lab.execution.plan import PlannedRun
from cifar_lab.execution.speeds import Speeds
from cifar_lab.store.records import Record


@dataclass(frozen=True)
class ArmCheck:
    """An arm beside its control."""

    label: str
    factors: tuple[str, ...]
    """What it varies, each with the settings that make it up."""
    faults: tuple[str, ...]
    """Why the comparison does not answer the question, or not that question alone."""
    companions: tuple[str, ...]
    """What changes along with the factor."""


@dataclass(frozen=True)
class Spread:
    """How far a run is from its partner in the control, from runs that are there."""

    points: float
    """Standard deviation of the difference of two runs of one seed, pp."""
    degrees: int
    """Degrees of freedom that it rests on."""
    source: str


@dataclass(frozen=True)
class DesignCheck:
    """What is known of a comparison before it is made."""

    control: str
    arms: tuple[ArmCheck, ...]
    runs: int
    missing: int
    """Runs without a record."""
    cost: Cost
    seeds: int
    """Seeds that the control and every arm share by their settings."""
    family: int
    """Comparisons over which Holm will adjust; 0 where there are no arms."""
    spread: Spread | None
    """None before there are two runs to measure it by."""
    smallest: float | None
    """Smallest true difference that these seeds show in 4 of 5 labs, pp."""
    effect: float
    """The difference asked for, pp."""
    seeds_needed: int | None
    """Seeds of each arm that show `effect` in 4 of 5 labs; None where the spread is not known, or above 1,000."""


def check_design(
    control: Settings,
    arms: Sequence[Settings],
    planned: Sequence[PlannedRun] | None,
    records: Sequence[Record],
    *,
    images: DatasetCatalog,
    speeds: Speeds,
    stated: Sequence[str] = (),
    family: int,
    effect: float,
    workers: int | None,
) -> DesignCheck:
    """Look at a comparison.

    Args:
        planned: the runs of control and arms; None where the images have not been prepared, so that none can be there.
        records: of the results folder, on these images.
        images: what the command has found of its images.
        speeds: of the runs that were made here.
        stated: factors that the question says it varies.
        family: comparisons of the report that this one is part of.
        effect: the difference asked for, pp.
        workers: as in `Workplace`.
    """
    everyone, info = [control, *arms], images.known(control.data)
    train_size = info.train_size if info else None
    groups = by_recipe(records)
    runs = [groups.get(_key(settings), []) for settings in everyone]
    spread = _spread(runs) if arms else None
    shared = set(control.seeds).intersection(*(arm.seeds for arm in arms))
    design = Design(spread.points) if spread else None
    alpha = ALPHA / max(1, family)
    return DesignCheck(
        control=control.label,
        arms=tuple(_arm(control, arm, stated, Facts(train_size, _parameters(runs[0]), _parameters(found)))
                   for arm, found in zip(arms, runs[1:], strict=True)),
        runs=_count(everyone) if planned is None else len(planned),
        missing=_count(everyone) if planned is None else sum(run.state != "done" for run in planned),
        cost=cost(_to_make(everyone, planned), speeds, images, workers),
        seeds=len(shared),
        family=family if arms else 0,
        spread=spread,
        smallest=smallest_difference(len(shared), design, alpha) if design and len(shared) > 1 else None,
        effect=effect,
        seeds_needed=runs_to_show(effect, design, alpha) if design else None,
    )  # fmt: skip


def _key(settings: Settings) -> str:
    try:
        return recipe_key(recipe(settings))
    except LabError:  # a file of weights or source that is gone: no run of it is found
        return ""


def _parameters(runs: Sequence[Record]) -> int | None:
    return runs[0].parameters if runs else None


def _count(arms: Sequence[Settings]) -> int:
    return sum(len(arm.seeds) for arm in arms)


def _to_make(arms: Sequence[Settings], planned: Sequence[PlannedRun] | None) -> list[tuple[Settings, int]]:
    if planned is None:
        return [(arm, len(arm.seeds)) for arm in arms]
    return [(run.job.settings, 1) for run in planned if run.state != "done"]


def _arm(control: Settings, arm: Settings, stated: Sequence[str], facts: Facts) -> ArmCheck:
    found = factors(control, arm)
    faults = []
    if not found:
        faults.append("it has the settings of the control: there is nothing to compare")
    elif stated:
        others = outside(list(found), stated)
        faults += [f"{name} differs too, which is not what the question varies" for name in others]
    elif len(found) > 1:
        faults.append(f"it differs in {len(found)} things, so nothing says which of them did it: {', '.join(found)}")
    return ArmCheck(
        arm.label,
        tuple(told(changed, arm) for changed in found.values()),
        tuple(faults),
        tuple(companions(control, arm, facts)),
    )


def _spread(runs: Sequence[Sequence[Record]]) -> Spread | None:
    """Of the differences of shared seeds where there are any, else of the control's runs as if unrelated."""
    values = [{run.seed: 100 * run.test.accuracy for run in arm if run.test is not None} for arm in runs]
    control, *arms = values
    differences = [[arm[seed] - control[seed] for seed in sorted(arm.keys() & control.keys())] for arm in arms]
    moving = [each for each in differences if (alone := pooled_spread([each])) and alone[0] > 100 * NO_SPREAD]
    pooled = pooled_spread(moving)
    if pooled is not None:
        pairs = sum(map(len, moving))
        return Spread(*pooled, f"{pairs} pairs of runs of one seed")
    alone = pooled_spread([list(each.values()) for each in values])
    if alone is None or alone[0] <= 100 * NO_SPREAD:
        return None
    return Spread(sqrt(2) * alone[0], alone[1], "runs over their seeds, as if pairs of one seed had nothing in common")
