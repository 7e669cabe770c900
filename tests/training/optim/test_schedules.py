import json
import math
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler

from cifar_lab import config
from cifar_lab.config.io.load import settings_from
from cifar_lab.core.errors import SettingsError
from cifar_lab.training.optim.schedules import CohortSchedule, make_schedule

NONE = config.NoSchedule()
SGD = config.SGD(lr=0.04, momentum=0.7)
ADAM = config.Adam(name="adam", lr=0.003, betas=(0.8, 0.99))


def torch_sgd(lr: float) -> torch.optim.SGD:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr, momentum=0.7)


def tables(schedule: CohortSchedule, epochs: int) -> tuple[np.ndarray, np.ndarray | None]:
    """All epochs joined: (steps, K)."""
    parts = [schedule.epoch_table(epoch) for epoch in range(epochs)]
    moving = parts[0][1] is not None
    return np.concatenate([lr for lr, _ in parts]), np.concatenate([m for _, m in parts]) if moving else None


def stepped(optimizer: torch.optim.Optimizer, scheduler: Any, steps: int, read: Any) -> list[Any]:
    """What torch has at each step."""
    out = []
    for _ in range(steps):
        out.append(read(optimizer.param_groups[0]))
        optimizer.step()
        scheduler.step()
    return out


def test_constant() -> None:
    lr, momentum = make_schedule([NONE], [SGD], 3, 5).epoch_table(2)
    assert lr.shape == (5, 1)
    assert lr.dtype == np.float64
    assert (lr == 0.04).all()
    assert momentum is None


def test_step_is_torchs_step_lr() -> None:
    lr, _ = tables(make_schedule([config.Step(name="step", step_epochs=3, gamma=0.3)], [SGD], 11, 4), 11)
    optimizer = torch_sgd(0.04)
    expected = stepped(optimizer, lr_scheduler.StepLR(optimizer, 3, 0.3), 11, lambda group: group["lr"])
    np.testing.assert_allclose(lr[:, 0], np.repeat(expected, 4), rtol=1e-12)


LINES: dict[str, tuple[config.Scheduler, list[tuple[float, float]]]] = {
    "linear": (config.Linear(name="linear"), [(0, 1), (1, 0)]),
    "triangular": (config.Triangular(name="triangular", peak_at=0.3), [(0, 0), (0.3, 1), (1, 0)]),
    "trapezoid": (config.Trapezoid(name="trapezoid", decay_fraction=0.4), [(0, 1), (0.6, 1), (1, 0)]),
    "trapezoid, all of it": (config.Trapezoid(name="trapezoid", decay_fraction=1.0), [(0, 1), (1, 0)]),
    "piecewise": (
        config.Piecewise(name="piecewise", points=((0, 0.05), (0.2, 1), (0.7, 1.5), (1, 0.1))),
        [(0, 0.05), (0.2, 1), (0.7, 1.5), (1, 0.1)],
    ),
}


@pytest.mark.parametrize(("epochs", "steps"), [(7, 13), (1, 1), (1, 2)])
@pytest.mark.parametrize("name", LINES)
def test_lines_are_those_between_their_corners(name: str, epochs: int, steps: int) -> None:
    settings, corners = LINES[name]
    lr, momentum = tables(make_schedule([settings], [SGD], epochs, steps), epochs)
    total = epochs * steps
    expected = 0.04 * np.interp(np.arange(total) / total, *zip(*corners, strict=True))
    np.testing.assert_allclose(lr[:, 0], expected, rtol=1e-12, atol=1e-15)
    assert momentum is None


def test_linear_is_torchs_linear_lr() -> None:
    lr, _ = tables(make_schedule([config.Linear(name="linear")], [SGD], 5, 4), 5)
    optimizer = torch_sgd(0.04)
    scheduler = lr_scheduler.LinearLR(optimizer, 1.0, 0.0, 20)
    expected = stepped(optimizer, scheduler, 20, lambda group: group["lr"])
    np.testing.assert_allclose(lr[:, 0], expected, rtol=1e-9, atol=1e-12)


def test_a_piecewise_schedule_may_jump() -> None:
    points = ((0.0, 1.0), (0.5, 1.0), (0.5, 0.1), (1.0, 0.1), (1.0, 0.0))
    lr, _ = tables(make_schedule([config.Piecewise(name="piecewise", points=points)], [SGD], 1, 8), 1)
    np.testing.assert_allclose(lr[:, 0], 0.04 * np.repeat([1, 0.1], 4), rtol=1e-12)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([[0.1, 1], [1, 0]], "the first point has share 0.1 and the last 1; begin at 0 and end at 1"),
        ([[0, 1], [0.7, 1], [0.5, 1], [1, 0]], "the shares of the points do not rise; sort the points"),
        ([[0, 0], [1, 0]], "every point has the factor 0, so nothing is trained; set one above 0"),
        ([[0, 1], [1]], "expected"),
        ([0, 1], "expected"),
        ([[0, 1], [2, 0]], "2 is out of range; expected a number from 0 to 1"),
    ],
)
def test_points_that_are_no_schedule_are_refused(points: list[Any], message: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(message)):
        settings_from({"scheduler": {"name": "piecewise", "points": points}})


@pytest.mark.parametrize(("epochs", "steps"), [(7, 13), (1, 1), (1, 2)])
def test_cosine_is_torchs_cosine_annealing(epochs: int, steps: int) -> None:
    lr, _ = tables(make_schedule([config.Cosine(name="cosine", min_lr=0.002)], [SGD], epochs, steps), epochs)
    optimizer = torch_sgd(0.04)
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, epochs * steps, eta_min=0.002)
    expected = stepped(optimizer, scheduler, epochs * steps, lambda group: group["lr"])
    np.testing.assert_allclose(lr[:, 0], expected, rtol=1e-12)


@pytest.mark.parametrize("pct_start", [0.05, 0.3, 0.83])
@pytest.mark.parametrize(("epochs", "steps"), [(6, 17), (3, 1), (1, 2), (1, 1)])
def test_one_cycle_is_torchs(pct_start: float, epochs: int, steps: int) -> None:
    settings = config.OneCycle(
        name="one_cycle", max_lr=0.2, pct_start=pct_start, div_factor=11.0, final_div_factor=90.0,
        base_momentum=0.81, max_momentum=0.97,
    )  # fmt: skip
    lr, momentum = tables(make_schedule([settings], [SGD], epochs, steps), epochs)
    optimizer = torch_sgd(0.04)
    scheduler = lr_scheduler.OneCycleLR(
        optimizer, 0.2, total_steps=epochs * steps, pct_start=pct_start, div_factor=11.0, final_div_factor=90.0,
        base_momentum=0.81, max_momentum=0.97,
    )  # fmt: skip
    expected = stepped(optimizer, scheduler, epochs * steps, lambda group: (group["lr"], group["momentum"]))
    assert momentum is not None
    np.testing.assert_allclose(np.stack([lr[:, 0], momentum[:, 0]], axis=1), expected, rtol=1e-12)


def test_one_cycle_peaks_at_the_optimizers_lr_unless_told() -> None:
    lr, _ = tables(make_schedule([config.OneCycle(name="one_cycle", pct_start=0.5)], [SGD], 1, 10), 1)
    assert lr.max() == 0.04 == lr[4, 0]


def test_one_cycle_whose_way_up_has_no_length_begins_at_the_peak() -> None:
    optimizer = torch_sgd(0.04)
    with pytest.raises(ZeroDivisionError):
        lr_scheduler.OneCycleLR(optimizer, 0.04, total_steps=2, pct_start=0.5)
    lr, momentum = make_schedule([config.OneCycle(name="one_cycle", pct_start=0.5)], [SGD], 1, 2).epoch_table(0)
    assert momentum is not None
    np.testing.assert_allclose(lr[:, 0], [0.04, 0.04 / 25 / 1e4], rtol=1e-12)
    np.testing.assert_allclose(momentum[:, 0], [0.85, 0.95], rtol=1e-12)


@pytest.mark.parametrize("epochs", range(1, 6))
@pytest.mark.parametrize("steps", range(1, 4))
@pytest.mark.parametrize("pct_start", [0.001, 0.25, 0.5, 0.999])
def test_one_cycle_of_tiny_runs_stays_between_its_ends(epochs: int, steps: int, pct_start: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lr, momentum = tables(
            make_schedule([config.OneCycle(name="one_cycle", pct_start=pct_start)], [ADAM], epochs, steps), epochs
        )
    assert momentum is not None
    low, high = 0.003 / 25 / 1e4, 0.003
    assert lr.min() >= low * (1 - 1e-9)
    assert lr.max() <= high * (1 + 1e-12)
    assert momentum.min() >= 0.85 - 1e-12
    assert momentum.max() <= 0.95 + 1e-12
    np.testing.assert_allclose(lr[-1], low, rtol=1e-9)


def test_momentum_of_members_that_do_not_cycle_is_left_alone() -> None:
    cycle = config.OneCycle(name="one_cycle", cycle_momentum=False)
    assert make_schedule([cycle, NONE], [SGD, SGD], 2, 3).epoch_table(1)[1] is None
    cycling = config.OneCycle(name="one_cycle")
    _, momentum = make_schedule([NONE, cycling, cycle], [ADAM, ADAM, ADAM], 2, 3).epoch_table(1)
    assert momentum is not None
    assert np.isnan(momentum[:, [0, 2]]).all()
    assert np.isfinite(momentum[:, 1]).all()


def test_warm_up_is_torchs_linear_lr() -> None:
    lr, _ = tables(make_schedule([config.NoSchedule(warmup_epochs=2.5)], [SGD], 5, 4), 5)
    optimizer = torch_sgd(0.04)
    scheduler = lr_scheduler.LinearLR(optimizer, start_factor=1 / 10, total_iters=9)
    expected = stepped(optimizer, scheduler, 20, lambda group: group["lr"])
    np.testing.assert_allclose(lr[:, 0], expected, rtol=1e-12)


def test_warm_up_multiplies_every_schedule() -> None:
    plain: Sequence[config.Scheduler] = [
        config.Cosine(name="cosine"), config.Step(name="step", step_epochs=1), config.Plateau(name="plateau"),
    ]  # fmt: skip
    warm = [s.model_copy(update={"warmup_epochs": 1.5}) for s in plain]
    bare, _ = tables(make_schedule(plain, [SGD] * 3, 4, 5), 4)
    lr, _ = tables(make_schedule(warm, [SGD] * 3, 4, 5), 4)
    factor = np.minimum(np.arange(1, 21) / 7.5, 1)[:, None]
    np.testing.assert_allclose(lr, bare * factor, rtol=1e-12)
    assert factor[0] < 0.2


LOSSES = [2.3, 2.1, 2.1, 2.0999, 2.2, 2.0, 1.999, 1.9985, 2.4, 2.4, 2.4, 1.0, 1.1, 1.1, 1.1, 1.1, 1.1, 1.1, 1.1, 1.1]


@pytest.mark.parametrize(
    "options",
    [
        {"patience": 0},
        {"patience": 1, "factor": 0.5, "cooldown": 2},
        {"patience": 2, "threshold": 0.05, "min_lr": 0.003},
        {"patience": 0, "factor": 0.001},
        {"monitor": "val_accuracy", "patience": 1, "factor": 0.3, "threshold": 0.02},
        {"monitor": "val_loss", "patience": 1, "threshold": 0.0},
    ],
)
def test_plateau_is_torchs_reduce_lr_on_plateau(options: dict[str, Any]) -> None:
    settings = config.Plateau(name="plateau", **options)
    schedule = make_schedule([settings], [SGD], len(LOSSES), 3)
    mode = "max" if settings.monitor == "val_accuracy" else "min"
    optimizer = torch_sgd(0.04)
    scheduler = lr_scheduler.ReduceLROnPlateau(
        optimizer, mode, factor=settings.factor, patience=settings.patience, threshold=settings.threshold,
        cooldown=settings.cooldown, min_lr=settings.min_lr,
    )  # fmt: skip
    seen = set()
    for epoch, loss in enumerate(LOSSES):
        number = 1 / loss if mode == "max" else loss
        others = dict.fromkeys(("train_loss", "val_loss", "val_accuracy"), 0.5)
        lr, _ = schedule.epoch_table(epoch)
        np.testing.assert_allclose(lr, optimizer.param_groups[0]["lr"], rtol=1e-12)
        seen.add(float(lr[0, 0]))
        schedule.end_epoch([{**others, settings.monitor: number}])
        scheduler.step(number)
    assert len(seen) > 1


def test_a_plateau_counts_a_loss_that_is_not_finite_as_no_improvement() -> None:
    schedule = make_schedule([config.Plateau(name="plateau", patience=1)], [SGD], 9, 1)
    lrs = []
    for epoch, loss in enumerate([None, None, 3.0, None, 2.0, None, None]):
        lrs.append(float(schedule.epoch_table(epoch)[0][0, 0]))
        schedule.end_epoch([{"train_loss": loss}])
    lrs.append(float(schedule.epoch_table(7)[0][0, 0]))
    np.testing.assert_allclose(lrs, [0.04, 0.04, 0.004, 0.004, 0.004, 0.004, 0.004, 0.0004], rtol=1e-12)


def test_members_decide_each_for_itself() -> None:
    plateau = config.Plateau(name="plateau", patience=0, monitor="val_accuracy")
    schedule = make_schedule([plateau, NONE, plateau], [SGD, ADAM, ADAM], 3, 2)
    schedule.end_epoch([{"val_accuracy": 0.5}, {}, {"val_accuracy": 0.5}])
    schedule.end_epoch([{"val_accuracy": 0.4}, {}, {"val_accuracy": 0.6}])
    np.testing.assert_allclose(schedule.epoch_table(2)[0], [[0.004, 0.003, 0.003]] * 2, rtol=1e-12)


def feed(schedule: CohortSchedule, losses: Sequence[float]) -> list[float]:
    out = []
    for loss in losses:
        schedule.end_epoch([{"train_loss": loss}, {"train_loss": loss}])
        out.append(float(schedule.epoch_table(0)[0][0, 0]))
    return out


@pytest.mark.parametrize("cut", range(0, len(LOSSES), 3))
def test_resumes_exactly_through_json(cut: int) -> None:
    def build() -> CohortSchedule:
        return make_schedule([config.Plateau(name="plateau", patience=1, cooldown=1), NONE], [SGD, SGD], 99, 2)

    whole, first, second = build(), build(), build()
    expected = feed(whole, LOSSES)
    feed(first, LOSSES[:cut])
    for member in range(2):
        second.load_state(member, json.loads(json.dumps(first.state(member), allow_nan=False)))
    assert feed(second, LOSSES[cut:]) == expected[cut:]


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"plateaus": []},
        {"plateaus": [None]},
        {"plateaus": [{"lr": 0.1, "best": 1.0, "bad_epochs": 0, "cooldown_left": 0}, None]},
        {"plateaus": [{"lr": 0.1}]},
        {"plateaus": [{"lr": 0.1, "best": 1.0, "bad_epochs": 0, "cooldown_left": 0}], "more": 1},
        {"plateaus": "none"},
    ],
)
def test_state_of_another_member_is_refused(state: Mapping[str, Any]) -> None:
    schedule = make_schedule([config.Plateau(name="plateau"), NONE], [SGD, SGD], 9, 2)
    with pytest.raises(ValueError, match=r"^schedule state does not fit this member's scheduler$"):
        schedule.load_state(0, state)


def test_members_with_unequal_steps_have_the_rates_of_their_own() -> None:
    cycle, cosine = config.OneCycle(name="one_cycle"), config.Cosine(name="cosine")
    together = make_schedule([cycle, cosine, NONE], [SGD, ADAM, SGD], 3, [4, 7, 2])
    for epoch in range(3):
        lr, momentum = together.epoch_table(epoch)
        assert lr.shape == (7, 3)
        assert momentum is not None
        for member, (scheduler, optimizer, steps) in enumerate(((cycle, SGD, 4), (cosine, ADAM, 7), (NONE, SGD, 2))):
            own, moved = make_schedule([scheduler], [optimizer], 3, steps).epoch_table(epoch)
            np.testing.assert_array_equal(lr[:, member], [*own[:, 0], *[math.nan] * (7 - steps)])
            expected = np.full(steps, math.nan) if moved is None else moved[:, 0]
            np.testing.assert_array_equal(momentum[:steps, member], expected)


def test_refusals() -> None:
    with pytest.raises(ValueError, match=r"^1 schedulers for 2 optimizers$"):
        make_schedule([NONE], [SGD, SGD], 1, 1)
    with pytest.raises(ValueError, match=r"^a schedule of 2 epochs of 0 steps; both must be at least 1$"):
        make_schedule([NONE], [SGD], 2, 0)
    schedule = make_schedule([config.Plateau(name="plateau")], [SGD], 2, 1)
    with pytest.raises(ValueError, match=r"^epoch 2 of a schedule of 2 epochs, which count from 0$"):
        schedule.epoch_table(2)
    with pytest.raises(ValueError, match=r"^metrics of 2 members for a cohort of 1$"):
        schedule.end_epoch([{}, {}])
    with pytest.raises(ValueError, match=r"^the plateau schedule monitors train_loss, which is not among the metrics$"):
        schedule.end_epoch([{"val_loss": 1.0}])


def test_many_epochs_cost_only_the_one_asked_for() -> None:
    schedule = make_schedule([config.Cosine(name="cosine")], [SGD], 100_000, 6_250)
    lr, _ = schedule.epoch_table(50_000)
    assert lr.shape == (6_250, 1)
    assert math.isclose(float(lr[0, 0]), 0.02, rel_tol=1e-12)
