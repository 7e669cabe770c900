"""Groups, clipping, Muon and averages beside the C kernels: an epoch ends where torch's kernels end it."""

from __future__ import annotations

import pytest
import torch

from .small_runs import drawn_split, own_steps, settings, steps_of

GROUPS = "optimizer.groups=[{match: fc3, lr_factor: 2}, {match: bias, weight_decay: 0}, {match: conv1, lr_factor: 0}]"

ARMS = {
    "groups and clipping": ["optimizer.lr=0.02", "optimizer.weight_decay=0.1", "optimizer.clip_norm=0.5", GROUPS],
    "adamw": ["optimizer.name=adamw", "optimizer.lr=0.002", "optimizer.clip_norm=0.5", GROUPS],
    "muon": ["optimizer.name=muon", "optimizer.lr=0.01", "scheduler.name=trapezoid", "average.name=ema"],
    "muon and adam": ["optimizer.name=muon", "optimizer.others.name=adam", "optimizer.others.lr=0.002", GROUPS],
}


@pytest.mark.parametrize("name", ARMS)
def test_an_epoch_ends_where_torchs_kernels_end_it(name: str) -> None:
    arm, split = settings(*ARMS[name]), drawn_split(48)
    torchs, own = steps_of(arm, split), own_steps(arm, split)
    before = torchs.cohort.parameters.values.clone()
    for steps in (torchs, own):
        assert list(steps.epoch(0)) == [1, 2, 3]
    one, other = torchs.cohort.parameters.values, own.cohort.parameters.values
    moved = (one - before).norm()
    assert moved > 0.01
    assert (one - other).norm() < 0.01 * moved
    if torchs.cohort.average is not None:
        averages = [steps.cohort.state(0)["average"]["average"] for steps in (torchs, own)]
        torch.testing.assert_close(*averages, rtol=1e-3, atol=1e-4)
