"""cifar-lab's own side: it makes the product's steps, and counts what they take."""

from __future__ import annotations

from itertools import islice

import torch

from benchmarks.own.limits import count_step
from benchmarks.own.runs import GRID, sample
from benchmarks.own.steps import endless, images_only, prepare
from cifar_lab.config.io.load import settings_from
from cifar_lab.studies.sweep import load_sweep

SIZE, IMAGES = 16, 40


def test_steps_are_those_of_a_run() -> None:
    workload = prepare([f"data.batch_size={SIZE}"], 1, IMAGES)
    before = workload.steps.cohort.parameters.values.clone()
    assert list(islice(endless(workload), 5)) == [16, 16, 8, 16, 16]
    assert not torch.equal(before, workload.steps.cohort.parameters.values)
    assert workload.how == {
        "stacked": False, "captured": False, "eager_reason": None, "kernels": "own", "kernels_reason": None,
    }  # fmt: skip
    assert list(islice(images_only(workload), 4)) == [16, 16, 8, 16]


def test_members_one_by_one_have_learning_rates_of_their_own() -> None:
    workload = prepare([f"data.batch_size={SIZE}"], 1, IMAGES, 3, stacked=False)
    rates = workload.steps.cohort.schedule.epoch_table(0)[0][0]
    assert rates.tolist() == [0.001, 0.0015, 0.002]
    assert list(islice(endless(workload), 3)) == [48, 48, 24]


def test_the_counted_flops_are_those_of_the_layers() -> None:
    """Multiply-adds are two each; backward is twice forward, but for the first layer, whose images need no gradient."""
    flops, moved = count_step(prepare([f"data.batch_size={SIZE}"], 1, IMAGES))
    first = 28 * 28 * 6 * 75
    others = 10 * 10 * 16 * 150 + 400 * 120 + 120 * 84 + 84 * 10
    assert flops == 2 * SIZE * (2 * first + 3 * others)
    activations = 4 * SIZE * (3 * 32 * 32 + 6 * 28 * 28 + 16 * 10 * 10)
    assert 2 * activations < moved < 20 * activations


def test_a_sample_of_the_grid_has_all_batch_sizes_equally_often() -> None:
    arms = load_sweep(GRID, ["data={dataset: synthetic, train_size: 1200, val_size: 100}"]).search_arms()
    chosen = sample(arms, 24)
    assert len(arms) == 320
    sizes = [arm.data.batch_size for arm in chosen]
    assert {size: sizes.count(size) for size in sizes} == dict.fromkeys((8, 16, 32, 64, 128, 256, 512, 1024), 3)
    assert chosen == sample(arms, 24)
    assert sample(arms, 320) == arms


def test_the_settings_are_the_baselines() -> None:
    from benchmarks.own.steps import MANY_EPOCHS, settings_of
    from benchmarks.processes import ROOT
    from cifar_lab.config.io.load import load_settings

    ours, baseline = settings_of([]), load_settings(ROOT / "configs" / "baseline.yaml")
    for part in ("model", "optimizer", "scheduler", "loss"):
        assert getattr(ours, part) == getattr(baseline, part)
    assert (ours.data.batch_size, ours.data.flip) == (baseline.data.batch_size, baseline.data.flip)
    assert settings_from({"epochs": MANY_EPOCHS}).epochs == MANY_EPOCHS
