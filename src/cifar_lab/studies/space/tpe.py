"""Batches of points from Optuna's tree-structured Parzen estimator (arXiv:2304.11127).

Each batch is asked of a new study that holds the results of the points before, with a sampler seeded per batch. The
trials therefore depend on the sweep file and the records alone, not on when a search was interrupted or which of its
runs ended first.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import TYPE_CHECKING, Any

from cifar_lab.config import Settings
from cifar_lab.config.io.point_labels import dotted
from cifar_lab.config.sheets import SweepSheet
from cifar_lab.core.errors import SettingsError
from cifar_lab.core.extras import missing_extra
from cifar_lab.studies.space.agreement import agrees
from cifar_lab.studies.space.axes import Axis, Choices, Interval
from cifar_lab.studies.space.conditions import Space
from cifar_lab.studies.space.points import Point, PointResult, identity_of, make_points

if TYPE_CHECKING:
    import optuna.trial as optuna_trial
    from optuna import Study
    from optuna.distributions import BaseDistribution

STARTUP_TRIALS = 10
"""Random trials before the first estimated one, as by Optuna's default."""

WORST = 0.0
"""Accuracy that the study gets for a trial without a valid point."""


@dataclass(frozen=True)
class Trial:
    """A trial of the study."""

    values: Mapping[str, Any]
    point: Point | None
    """First point of this meaning. None where it is excluded or its settings are not valid."""


class Tpe:
    """Search method `tpe`. See `methods.Method`."""

    def __init__(self, sheet: SweepSheet, space: Space, base: Settings, arms: Sequence[Point], where: str) -> None:
        """`arms` join the first batch. The study does not contain those that no trial proposes."""
        self._sheet, self._base, self._arms, self._where = sheet, base, list(arms), where
        self._space = space
        self._by_meaning = {identity_of(arm.settings): arm for arm in arms}
        self.trials: list[Trial] = []

    def add_arms(self, arms: Sequence[Point]) -> None:
        """Add arms to the first batch."""
        self._arms += arms
        self._by_meaning |= {identity_of(arm.settings): arm for arm in arms}

    @property
    def trials_left(self) -> int:
        """See `methods.Method`."""
        return (self._sheet.search.trials or 0) - len(self.trials)

    def propose(self, results: Mapping[str, PointResult]) -> Sequence[Point]:
        """See `methods.Method`. Batches that hold no new point are skipped."""
        new = [arm for arm in self._arms if arm.name not in results]
        arms = len(new)
        while len(new) == arms and self.trials_left:
            for trial in self._ask(results):
                self.trials.append(trial)
                point = trial.point
                if point is not None and point.name not in results and point not in new:
                    new.append(point)
        return new

    def _ask(self, results: Mapping[str, PointResult]) -> list[Trial]:
        """Ask a new study for the next batch."""
        search = self._sheet.search
        size = min(search.batch, self.trials_left)
        with quiet_optuna() as optuna:
            sampler = optuna.samplers.TPESampler(
                seed=_batch_seed(search.seed, len(self.trials)),
                n_startup_trials=STARTUP_TRIALS,
                multivariate=True,
                constant_liar=True,  # the members of a batch keep away from each other
                group=self._space.is_conditional,  # trials with the same keys are modelled together
            )
            study = optuna.create_study(direction="maximize", sampler=sampler)
            for trial in self.trials:
                value = WORST if trial.point is None else results[trial.point.name].value
                axes = present_axes(self._space, trial.values)
                params, distributions = params_of(trial.values, axes), distributions_of(axes)
                study.add_trial(optuna.trial.create_trial(params=params, distributions=distributions, values=[value]))
            asked = [self._ask_one(study) for _ in range(size)]
        return [self._trial(values) for values in asked]

    def _ask_one(self, study: Study) -> dict[str, Any]:
        """Values of the next trial of a study."""
        axes = self._space.axes
        if not self._space.is_conditional:
            return values_of(study.ask(distributions_of(axes)).params, axes)
        trial, values = study.ask(), dict[str, Any]()
        for axis in self._space.order:
            if self._space.holds(axis, values):
                values |= values_of({axis.name: _suggest(trial, axis)}, [axis])
        return self._space.in_order(values)

    def _trial(self, values: dict[str, Any]) -> Trial:
        """Trial of these values, with the first point of the same meaning."""
        if any(agrees(values, partial) for partial in self._sheet.exclude):
            return Trial(values, None)
        try:
            ((point,), _) = make_points([values], {}, self._base, self._where)
        except SettingsError:
            return Trial(values, None)
        known = self._by_meaning.get(identity_of(point.settings))
        if known is None:
            if any(point.name == other.name for other in self._by_meaning.values()):  # an arm has this name
                point = replace(point, name=dotted(values))
            known = self._by_meaning[identity_of(point.settings)] = point
        return Trial(values, known)


def present_axes(space: Space, values: Mapping[str, Any]) -> list[Axis]:
    """Axes that belong to a point with these values."""
    return [axis for axis in space.axes if set(axis.keys) <= values.keys() and space.holds(axis, values)]


def _suggest(trial: optuna_trial.Trial, axis: Axis) -> Any:
    if isinstance(axis, Choices):
        return trial.suggest_categorical(axis.name, _categories(axis))
    if axis.whole:
        return trial.suggest_int(axis.name, int(axis.low), int(axis.high), log=axis.log)
    return trial.suggest_float(axis.name, axis.low, axis.high, log=axis.log)


def _batch_seed(seed: int, trials_before: int) -> int:
    """Seed of the sampler of a batch, 32 bits."""
    digest = hashlib.sha256(f"{seed} {trials_before}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def import_optuna(needed_by: str = "search.method: tpe") -> ModuleType:
    """Import Optuna.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise missing_extra("optuna", needed_by) from error
    return optuna


@contextlib.contextmanager
def quiet_optuna() -> Iterator[ModuleType]:
    """Optuna without its log line per study and its warnings of experimental options."""
    optuna = import_optuna()
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield optuna
    finally:
        optuna.logging.set_verbosity(before)


def distributions_of(axes: list[Axis]) -> dict[str, BaseDistribution]:
    """Distribution by name of the axis. A list of options is categorical."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    found: dict[str, BaseDistribution] = {}
    for axis in axes:
        if isinstance(axis, Choices):
            found[axis.name] = CategoricalDistribution(tuple(_categories(axis)))
        elif axis.whole:
            found[axis.name] = IntDistribution(int(axis.low), int(axis.high), log=axis.log)
        else:
            found[axis.name] = FloatDistribution(axis.low, axis.high, log=axis.log)
    return found


def values_of(params: Mapping[str, Any], axes: list[Axis]) -> dict[str, Any]:
    """Values of a point by dotted key, from the parameters of a trial."""
    values: dict[str, Any] = {}
    for axis in axes:
        if isinstance(axis, Interval):
            values[axis.key] = axis.rounded(params[axis.name])
        else:
            values |= axis.options[_categories(axis).index(params[axis.name])]
    return values


def params_of(values: Mapping[str, Any], axes: list[Axis]) -> dict[str, Any]:
    """Parameters of a trial by name of the axis, from the values of a point.

    Raises:
        ValueError: the point is not of this space.
    """
    params: dict[str, Any] = {}
    for axis in axes:
        if isinstance(axis, Interval):
            params[axis.name] = values[axis.key]
        else:
            own = {key: values[key] for key in axis.options[0]}
            params[axis.name] = _categories(axis)[axis.options.index(own)]
    return params


def _categories(axis: Choices) -> list[Any]:
    """Options as Optuna stores them: their values if plain and distinct, else text."""
    if any(len(option) != 1 for option in axis.options):
        return [dotted(option) for option in axis.options]
    values = [value for option in axis.options for value in option.values()]
    is_plain = all(value is None or isinstance(value, bool | int | float | str) for value in values)
    return values if is_plain and len(set(values)) == len(values) else [json.dumps(value) for value in values]
