from __future__ import annotations

from typing import Any

import pytest

from cifar_lab.analysis.confounders import Facts, confounders, steps
from cifar_lab.config import Settings
from cifar_lab.config.io.load import with_values

BASE = Settings()


def told(values: dict[str, Any], base: dict[str, Any] | None = None, **facts: int) -> list[str]:
    control = with_values(BASE, base or {}, where="test")
    return confounders(control, with_values(control, values, where="test"), Facts(**facts))


def test_a_larger_batch_makes_fewer_updates_at_the_rate_of_the_smaller() -> None:
    fewer, rate = told({"data.batch_size": 512}, train_size=50_000)
    assert fewer == "batch 512 makes 980 updates, batch 64 makes 7,820, in the same epochs"
    assert rate == "the learning rate stays 0.001; 0.008 would suit batch 512 (linear scaling, arXiv:1706.02677)"
    unknown, _ = told({"data.batch_size": 16})
    assert unknown == "batch 16 makes 4 times the updates of batch 64, in the same epochs"
    _, adam = told({"data.batch_size": 256}, {"optimizer.name": "adam"})
    assert adam.startswith("the learning rate stays 0.001; 0.002 would suit batch 256 (square-root scaling")
    assert len(told({"data.batch_size": 128, "optimizer.lr": 0.002}, train_size=50_000)) == 1


def test_updates_are_counted_after_the_validation_split() -> None:
    assert steps(with_values(BASE, {"data.val_size": 5_000}, where="test"), 50_000) == 704 * 10


def test_another_optimizer_at_the_same_rate_and_with_a_decay_of_its_own() -> None:
    shared, decay = told({"optimizer.name": "adamw"})
    assert shared.startswith("adamw and sgd share the learning rate 0.001")
    assert decay == "adamw has weight decay 0.01, its default, where sgd has 0"
    assert told({"optimizer.name": "adamw"}, {"optimizer.name": "adam"}) == [
        "adamw has weight decay 0.01, its default, where adam has 0"
    ]
    assert told({"optimizer.name": "adam", "optimizer.lr": 0.01}) == []


def test_width_changes_parameters_and_normalisation_wants_another_rate() -> None:
    assert told({"model.name": "Net3"}) == ["Net3 has 244,962 parameters where Net has 62,006: 3.95 times"]
    (norm,) = told({"model.name": "Net1"})
    assert norm.startswith("BatchNorm allows larger learning rates (arXiv:1806.02375), but the rate stays 0.001")
    assert told({"model.name": "Net2"}) == []
    assert told({"model.name": "Net1", "optimizer.lr": 0.01}) == []
    measured = told({"model.name": "Net3"}, control_parameters=100, arm_parameters=500)
    assert measured == ["Net3 has 500 parameters where Net has 100: 5 times"]


def test_pretrained_weights_have_seen_other_images() -> None:
    found = told({"model.name": "ResNet18", "model.pretrained": True})
    assert found[0] == "the weights were pretrained on the 1.28 million images of ImageNet"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"scheduler.name": "plateau", "scheduler.patience": 8}, "this schedule has no effect: with patience 8 the"),
        ({"scheduler.name": "plateau", "scheduler.patience": 5}, "the schedule cuts after epoch 7 at the earliest"),
        ({"scheduler.name": "step", "scheduler.step_epochs": 10}, "this schedule has no effect: a cut every 10 epochs"),
        ({"scheduler.name": "step", "scheduler.step_epochs": 5}, "the mean learning rate over the run is 0.55 times"),
        ({"scheduler.name": "cosine"}, "the mean learning rate over the run is 0.5 times optimizer.lr"),
    ],
)  # fmt: skip
def test_schedules_say_what_they_do_in_these_epochs(values: dict[str, Any], expected: str) -> None:
    assert told(values)[0].startswith(expected)


def test_a_plateau_can_fire_for_the_last_epoch_and_not_after_it() -> None:
    """The first epoch is the best, then come patience + 1 bad ones; a cut after the last epoch trains nothing."""
    for patience, never in ((7, False), (8, True), (9, True)):
        (found,) = told({"scheduler.name": "plateau", "scheduler.patience": patience})
        assert found.startswith("this schedule has no effect") == never


def test_one_cycle_moves_momentum_too() -> None:
    rate, momentum = told({"scheduler.name": "one_cycle"})
    assert rate.startswith("the mean learning rate over the run is 0.51 times")
    assert momentum == "one-cycle also changes momentum, from 0.95 to 0.85 and back"
    assert len(told({"scheduler.name": "one_cycle", "scheduler.cycle_momentum": False})) == 1


def test_other_images_other_inputs_more_epochs_and_other_seeds() -> None:
    assert told({"data.val_size": 5_000})[0].startswith(
        "5,000 images are set aside for validation, but the control sets aside 0"
    )
    assert told({"data.normalize": "none"})[0].startswith("inputs of another scale (none) need another learning rate")
    assert told({"epochs": 30}) == ["30 epochs are 3 times the training of the control"]
    assert told({"seeds": [7, 8]})[0].startswith("the arm and its control share no seed")
    assert told({"seeds": [0, 1, 9]}) == ["seeds 9 of the arm are not among the seeds of the control"]


def test_a_fair_arm_has_no_companion() -> None:
    assert told({"data.flip": True}) == []
    assert told({"loss.label_smoothing": 0.1}) == []


def test_weights_of_an_arm_alone_are_a_confounder() -> None:
    trained = "its first weights were trained before, by epochs and on images that are not counted here"
    assert told({"model.weights": "run:0123456789abcdef"}) == [trained]
    assert told({"model.weights": "run:0123456789abcdef"}, {"model.weights": "run:aaaaaaaaaaaaaaaa"}) == []


def test_other_trained_layers_at_the_same_rate_are_a_confounder() -> None:
    (found,) = told({"model.freeze": "all_but_head"})
    assert found == "other layers train, which may need another learning rate, but it stays 0.001"
    assert told({"fine_tune.layer_decay": 0.5}) == [found]
    assert told({"model.freeze": ["conv1"], "optimizer.lr": 0.01}) == []
