"""Check of a comparison before its runs: cost, power of its seeds, factors and confounders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from cifar_lab.analysis.arms import settings_key
from cifar_lab.analysis.confounders import Facts, confounders
from cifar_lab.analysis.factors import factor_words, factors, unstated_factors
from cifar_lab.analysis.stats.power import Design, runs_to_show, smallest_difference
from cifar_lab.analysis.stats.significance import FIRST_LOOK_ALPHA, ZERO_STD, pooled_std
from cifar_lab.analysis.summary import by_recipe
from cifar_lab.config import Settings
from cifar_lab.data import DatasetCatalog
from cifar_lab.execution.cost import MachineSpeeds
from cifar_lab.execution.plan import PlannedRun
from cifar_lab.execution.wall_time import Cost, cost_of
from cifar_lab.store.records import Record


@dataclass(frozen=True)
class ArmCheck:
    """Check of an arm against its control."""

    label: str
    factors: tuple[str, ...]
    """Factors that it varies, each in words."""
    faults: tuple[str, ...]
    """Reasons why the comparison does not answer the question, or not that question alone."""
    confounders: tuple[str, ...]
    """Confounders: settings and facts that change along with the factor."""


@dataclass(frozen=True)
class DifferenceStd:
    """Standard deviation of the difference of two runs of one seed, estimated from finished runs."""

    std_pp: float
    dof: float
    """Degrees of freedom of the estimate."""
    source: str
    """Runs that it is estimated from, in words."""


@dataclass(frozen=True)
class DesignCheck:
    """Facts of a comparison that are known before its runs."""

    control: str
    arms: tuple[ArmCheck, ...]
    runs: int
    missing: int
    """Runs without a record."""
    cost: Cost
    seeds: int
    """Number of seeds that the control and every arm share by their settings."""
    family: int
    """Comparisons over which Holm will adjust, 0 without arms."""
    std: DifferenceStd | None
    """None before two runs are finished."""
    smallest_pp: float | None
    """Smallest true difference that these seeds detect with an assurance of 0.8: power averaged over the uncertainty of
    `std`."""
    effect_pp: float
    """True difference to detect."""
    seeds_needed: int | None
    """Seeds per arm that detect `effect_pp` with an assurance of 0.8. None where `std` is unknown, and above 1,000."""


def check_design(
    control: Settings,
    arms: Sequence[Settings],
    planned: Sequence[PlannedRun] | None,
    records: Sequence[Record],
    *,
    images: DatasetCatalog,
    speeds: MachineSpeeds,
    stated: Sequence[str] = (),
    family: int,
    effect: float,
    workers: int | None,
) -> DesignCheck:
    """Check a comparison.

    Args:
        planned: runs of control and arms. None where the images have not been prepared, so that no run can exist.
        records: of the results folder, on these images.
        images: data sets that the command has prepared.
        speeds: of the runs that were made on this machine.
        stated: factors that the question names.
        family: number of comparisons of the report that it belongs to.
        effect: difference that is asked for, pp.
        workers: as in `RunContext`.
    """
    everyone, info = [control, *arms], images.known(control.data)
    train_size = info.train_size if info else None
    groups = by_recipe(records)
    runs = [groups.get(settings_key(settings), []) for settings in everyone]
    std = _difference_std(runs) if arms else None
    shared = set(control.seeds).intersection(*(arm.seeds for arm in arms))
    design = Design(std.std_pp, std_dof=std.dof, grain=_grain(runs)) if std else None
    alpha = FIRST_LOOK_ALPHA / max(1, family)
    return DesignCheck(
        control=control.label,
        arms=tuple(_arm(control, arm, stated, Facts(train_size, _parameters(runs[0]), _parameters(found)))
                   for arm, found in zip(arms, runs[1:], strict=True)),
        runs=_count(everyone) if planned is None else len(planned),
        missing=_count(everyone) if planned is None else sum(run.state != "done" for run in planned),
        cost=cost_of(_to_make(everyone, planned), speeds, images, workers),
        seeds=len(shared),
        family=family if arms else 0,
        std=std,
        smallest_pp=smallest_difference(len(shared), design, alpha) if design and len(shared) > 1 else None,
        effect_pp=effect,
        seeds_needed=runs_to_show(effect, design, alpha) if design else None,
    )  # fmt: skip


def _grain(runs: Sequence[Sequence[Record]]) -> float:
    """`Design.grain` of the test images, in percentage points."""
    return 100 / next(record.data.test_size for arm in runs for record in arm)


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
        faults.append("it has the same settings as the control, so there is nothing to compare")
    elif stated:
        others = unstated_factors(list(found), stated)
        faults += [f"{name} differs too, but the question does not vary it" for name in others]
    elif len(found) > 1:
        faults.append(f"it differs in {len(found)} things, so the cause of a difference is unclear: {', '.join(found)}")
    return ArmCheck(
        arm.label,
        tuple(factor_words(changed, arm) for changed in found.values()),
        tuple(faults),
        tuple(confounders(control, arm, facts)),
    )


def _difference_std(runs: Sequence[Sequence[Record]]) -> DifferenceStd | None:
    """Estimate from the differences of shared seeds, else from the runs of each arm as if they were independent."""
    values = [{run.seed: 100 * run.test.accuracy for run in arm if run.test is not None} for arm in runs]
    control, *arms = values
    differences = [[arm[seed] - control[seed] for seed in sorted(arm.keys() & control.keys())] for arm in arms]
    moving = [each for each in differences if (alone := pooled_std([each])) and alone[0] > 100 * ZERO_STD]
    pooled = pooled_std(moving)
    if pooled is not None:
        pairs, shared = sum(map(len, moving)), 1 + (len(moving) - 1) / 4
        # differences from one control correlate by 1/2, so k arms tell less than k times as much (Satterthwaite 1946)
        return DifferenceStd(pooled[0], pooled[1] / shared, f"{pairs} pairs of runs with a common seed")
    alone = pooled_std([list(each.values()) for each in values])
    if alone is None:
        return None
    return DifferenceStd(sqrt(2) * alone[0], alone[1], "runs, without correlation between runs of one seed")
