"""Points proposed by Optuna's tree-structured Parzen estimator, batch after batch (arXiv:2304.11127).

Optuna keeps nothing: each batch is asked of a study that is made anew from what the points before it came to, with a
sampler whose seed is the batch's. So the proposals hang on the sweep file and the records alone, not on when a search
was stopped or which of its runs ended first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cifar_lab.config import Settings
from cifar_lab.config.sheets import SweepSheet
from cifar_lab.core.errors import SettingsError
from cifar_lab.studies.space.axes import agrees
from cifar_lab.studies.space.labels import dotted
from cifar_lab.studies.space.optuna_study import distributions_of, params_of, quiet, values_of
from cifar_lab.studies.space.points import Point, PointResult, identity_of, make_points
from cifar_lab.studies.space.random_search import drawn_axes

STARTUP_TRIALS = 10
"""Proposals that are drawn at random before the first that is estimated; Optuna's own number."""

WORST = 0.0
"""Accuracy that a proposal is told to have which no run can have."""


@dataclass(frozen=True)
class Proposal:
    """What Optuna proposed."""

    values: Mapping[str, Any]
    point: Point | None
    """The first point that means this; None where it is excluded or its settings do not hold together."""


class Tpe:
    """See `methods.Method`. Holds the proposals that it has made, each of which it would make again."""

    def __init__(self, sheet: SweepSheet, base: Settings, arms: Sequence[Point], where: str) -> None:
        """`arms` are tried with the first batch; Optuna does not hear of those that no trial proposes."""
        self._sheet, self._base, self._arms, self._where = sheet, base, arms, where
        self._axes = drawn_axes(sheet)
        self._by_meaning = {identity_of(arm.settings): arm for arm in arms}
        self.proposals: list[Proposal] = []

    @property
    def to_come(self) -> int:
        """See `methods.Method`."""
        return (self._sheet.search.trials or 0) - len(self.proposals)

    def propose(self, tried: Mapping[str, PointResult]) -> Sequence[Point]:
        """See `methods.Method`: the next batch that holds a point which was not tried yet."""
        new = [arm for arm in self._arms if arm.name not in tried]
        arms = len(new)
        while len(new) == arms and self.to_come:
            for proposal in self._ask(tried):
                self.proposals.append(proposal)
                point = proposal.point
                if point is not None and point.name not in tried and point not in new:
                    new.append(point)
        return new

    def _ask(self, tried: Mapping[str, PointResult]) -> list[Proposal]:
        """The next batch of proposals."""
        search = self._sheet.search
        size = min(search.batch, self.to_come)
        with quiet() as optuna:
            sampler = optuna.samplers.TPESampler(
                seed=_batch_seed(search.seed, len(self.proposals)),
                n_startup_trials=STARTUP_TRIALS,
                multivariate=True,
                constant_liar=True,  # the members of a batch keep away from each other
            )
            study = optuna.create_study(direction="maximize", sampler=sampler)
            distributions = distributions_of(self._axes)
            for proposal in self.proposals:
                value = WORST if proposal.point is None else tried[proposal.point.name].value
                params = params_of(proposal.values, self._axes)
                study.add_trial(optuna.trial.create_trial(params=params, distributions=distributions, values=[value]))
            asked = [study.ask(distributions) for _ in range(size)]
        return [self._proposal(values_of(trial.params, self._axes)) for trial in asked]

    def _proposal(self, values: dict[str, Any]) -> Proposal:
        """The proposal with its point, which may have been proposed before."""
        if any(agrees(values, partial) for partial in self._sheet.exclude):
            return Proposal(values, None)
        try:
            ((point,), _) = make_points([values], {}, self._base, self._where)
        except SettingsError:
            return Proposal(values, None)
        known = self._by_meaning.get(identity_of(point.settings))
        if known is None:
            if any(point.name == other.name for other in self._by_meaning.values()):  # an arm is called so
                point = replace(point, name=dotted(values))
            known = self._by_meaning[identity_of(point.settings)] = point
        return Proposal(values, known)


def _batch_seed(seed: int, proposals_before: int) -> int:
    """Seed of the sampler that proposes a batch, 32 bits."""
    digest = hashlib.sha256(f"{seed} {proposals_before}".encode()).digest()
    return int.from_bytes(digest[:4], "big")
