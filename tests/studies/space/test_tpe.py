"""Proposals of Optuna hang on the sweep file and on what the points came to, and on nothing else."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import pytest

from cifar_lab.config import Settings
from cifar_lab.config.io.load import settings_from
from cifar_lab.config.sheets import SweepSheet
from cifar_lab.core.errors import MissingExtraError, SettingsError
from cifar_lab.core.extras import install_words
from cifar_lab.studies.space.agreement import drawn_axes
from cifar_lab.studies.space.methods import expand, start_method
from cifar_lab.studies.space.points import Point, PointResult
from cifar_lab.studies.space.tpe import Tpe, params_of, values_of

SPACE: dict[str, Any] = {
    "optimizer.lr": {"min": 1e-4, "max": 1.0, "log": True},
    "data.batch_size": {"min": 8, "max": 64},
    "data.flip": [False, True],
}


def tpe(base: Settings, trials: int = 18, batch: int = 4, **parts: Any) -> Tpe:
    search = {"method": "tpe", "trials": trials, "batch": batch, **parts.pop("search", {})}
    sheet = SweepSheet.model_validate({"base": "b.yaml", "space": SPACE, "search": search, **parts})
    method = start_method(sheet, base, expand(sheet, base, "b.yaml"), "b.yaml")
    assert isinstance(method, Tpe)
    return method


def score(point: Point) -> PointResult:
    """Best at a learning rate of 0.01, with flips; large ones diverge."""
    rate = point.settings.optimizer.lr
    if rate > 0.5:
        return PointResult(point, (None,))
    return PointResult(point, (1 - 0.2 * abs(math.log10(rate) + 2) - 0.1 * (not point.settings.data.flip),))


def batches(method: Tpe, tried: dict[str, PointResult] | None = None) -> list[list[str]]:
    """The names of the points of each batch, all of them tried."""
    known, found = dict(tried or {}), []
    while new := method.propose(known):
        known |= {point.name: score(point) for point in new}
        found.append([point.name for point in new])
    return found


def test_a_search_that_is_begun_again_proposes_the_same(base: Settings) -> None:
    whole = batches(tpe(base))
    assert [len(batch) for batch in whole] == [4, 4, 4, 4, 2]
    for stopped in range(5):
        first, known = tpe(base), {}
        for _ in range(stopped):
            # The runs of a batch end in any order.
            known = {point.name: score(point) for point in reversed(first.propose(known))} | known
        again, met, seen = tpe(base), [], {}
        while new := again.propose(seen):
            met.append([point.name for point in new])
            seen |= {point.name: known.get(point.name) or score(point) for point in new}
        assert met == whole


@pytest.mark.slow
def test_another_process_proposes_the_same(base: Settings) -> None:
    code = (
        "import test_tpe as t; from cifar_lab.config.io.load import settings_from; "
        "base = settings_from({'label': 'base', 'epochs': 9, 'data': {'dataset': 'synthetic', 'val_size': 100}}); "
        "print(t.batches(t.tpe(base))); import sys; print('torch' in sys.modules)"
    )
    environment = {"PYTHONPATH": ":".join([*sys.path, __file__.rpartition("/")[0]]), "PYTHONHASHSEED": "99"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert (done.stdout, done.stderr) == (f"{batches(tpe(base))}\nFalse\n", "")


def test_proposals_learn_from_what_the_points_came_to(base: Settings) -> None:
    names = [name for batch in batches(tpe(base, trials=60, batch=6)) for name in batch]
    near = ["no flip" not in name and abs(math.log10(float(name.split()[1])) + 2) < 0.5 for name in names]
    assert sum(near[30:]) > 15  # by chance an eighth of 30


def test_a_proposal_that_was_made_before_costs_nothing_and_counts(base: Settings) -> None:
    method = tpe(base, trials=30, batch=5, space={"data.flip": [False, True], "epochs": [2, 3, 2]})
    found = [name for batch in batches(method) for name in batch]
    assert sorted(found) == ["flip · epochs 2", "flip · epochs 3", "no flip · epochs 2", "no flip · epochs 3"]
    assert len(method.trials) == 30


def test_a_diverged_or_failed_point_is_told_as_bad_and_not_dropped(base: Settings) -> None:
    point = tpe(base).propose({})[0]
    assert PointResult(point, (0.5, None)).value == 0.25
    assert PointResult(point, (None, None)).value == PointResult(point, ()).value == 0.0
    good, lost = tpe(base, trials=40, batch=5), tpe(base, trials=40, batch=5)
    known: dict[str, PointResult] = {}
    while new := lost.propose(known):
        # Everything with flips fails.
        known |= {each.name: PointResult(each, ()) if each.settings.data.flip else score(each) for each in new}
    assert sum("no flip" in name for name in known) > 25
    assert sum("no flip" in name for batch in batches(good) for name in batch) < 15


def test_arms_are_tried_with_the_first_batch(base: Settings) -> None:
    method = tpe(base, trials=4, batch=2, arms={"as it is": {}, "long": {"epochs": 12}})
    first, *others = batches(method)
    assert first[:2] == ["as it is", "long"]
    assert [len(first), *map(len, others)] == [4, 2]


def test_what_is_excluded_is_never_tried(base: Settings) -> None:
    method = tpe(base, trials=20, batch=5, exclude=[{"data.flip": True}])
    assert all("no flip" in name for batch in batches(method) for name in batch)
    assert any(trial.point is None for trial in method.trials)
    assert len(method.trials) == 20


def test_points_that_do_not_hold_together_are_found_before_the_start(base: Settings) -> None:
    space = {"optimizer.momentum": [0.0, 0.9], "optimizer.nesterov": [False, True]}
    with pytest.raises(SettingsError, match=r"b.yaml: optimizer.nesterov: nesterov needs momentum above 0"):
        tpe(base, space=space)


def test_a_trial_says_what_its_point_does() -> None:
    sheet = SweepSheet.model_validate(
        {
            "base": "b.yaml",
            "space": {**SPACE, "optimizer.betas": [[0.8, 0.9], [0.9, 0.99]], "model.weights": [None, "a.pt"]},
            "paired": [{"optimizer.eps": [1e-8, 1e-6], "epochs": [2, 3]}],
            "search": {"method": "tpe", "trials": 3},
        }
    )
    axes = drawn_axes(sheet)
    values = {
        "optimizer.lr": 0.01, "data.batch_size": 9, "data.flip": True, "optimizer.betas": [0.9, 0.99],
        "model.weights": None, "optimizer.eps": 1e-6, "epochs": 3,
    }  # fmt: skip
    params = params_of(values, axes)
    assert params == {
        "optimizer.lr": 0.01, "data.batch_size": 9, "data.flip": True, "optimizer.betas": "[0.9, 0.99]",
        "model.weights": None, "paired[0]": "optimizer.eps: 1e-06, epochs: 3",
    }  # fmt: skip
    assert values_of(params, axes) == values


def test_without_optuna_the_message_says_how_to_install_it(base: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError) as refused:
        tpe(settings_from({"data": {"dataset": "synthetic"}}))
    assert str(refused.value) == f"search.method: tpe: Optuna is not installed; {install_words('optuna')}"
