"""Teams of blocks that train one network each: the bits of one block, and who gets how many."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from cifar_lab.config import Settings
from cifar_lab.training.backends.block import backend, teams
from cifar_lab.training.backends.block.backend import BlockKernel
from cifar_lab.training.backends.block.concurrent_members import members_training
from cifar_lab.training.backends.block.jobs import PARTS, part_of
from cifar_lab.training.backends.block.shapes import NET, NET3, Shape
from cifar_lab.training.backends.block.teams import (
    blocks_of,
    images_of,
    part_among,
    parts_for,
    share_of,
    shares_of,
    teams_of,
)

from .block_runs import arms, block, eager, state_of
from .host_kernel import HostKernel
from .kernels import kernel_for, needs_gpu, of_every_width
from .test_steps import check_epochs

NAMES = ("sgd, plateau", "adamw, cosine")


def states(kernel: BlockKernel, some: Sequence[Settings], images: int, epochs: int = 1) -> list[torch.Tensor]:
    """Weights, optimizer state, losses and hits after some epochs."""
    steps = block(eager(list(some), images), kernel, list(some))
    metrics = []
    for epoch in range(epochs):
        list(steps.epoch(epoch))
        metrics += [steps.metrics.loss.clone(), steps.metrics.right.clone()]
    return [*state_of(steps), *metrics]


def equal(one: Sequence[torch.Tensor], other: Sequence[torch.Tensor]) -> bool:
    return all(torch.equal(*pair) for pair in zip(one, other, strict=True))


@pytest.mark.parametrize(("batch", "images"), [(16, 25), (64, 90), (100, 131), (128, 150), (300, 310)])
@of_every_width
def test_a_team_has_the_bits_of_one_block(batch: int, images: int, model: str, shape: Shape) -> None:
    """Of any size, with a last batch that some of its blocks have no share of."""
    some = arms(f"model.name={model}", f"data.batch_size={batch}", "data.crop_padding=2", names=NAMES)
    alone = states(HostKernel(shape, 10), some, images)
    for each in (2, 3, 8):
        assert equal(states(HostKernel(shape, 10, seed=each, blocks=2 * each), some, images), alone), each


def test_late_updates_of_a_team_have_the_bits_of_one_block() -> None:
    some = arms("data.batch_size=32", names=("muon", "muon, groups", "adam, groups", "sgd, layers"))
    alone = states(HostKernel(NET, 10), some, 50)
    for each in (2, 4):
        assert equal(states(HostKernel(NET, 10, seed=each, blocks=4 * each), some, 50), alone), each


def test_epochs_of_teams_are_those_of_torch() -> None:
    some = arms("data.batch_size=100", "data.crop_padding=3", "loss.label_smoothing=0.1")
    check_epochs(some, 104, HostKernel(NET, 10, blocks=3 * len(some)))


def test_launches_of_teams_continue_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    some = arms("data.batch_size=16", names=NAMES)
    whole = states(HostKernel(NET, 10, blocks=4), some, 70, epochs=2)
    monkeypatch.setattr(backend, "LAUNCH_IMAGES", 20)
    monkeypatch.setattr(backend, "LAUNCH_SEGMENTS", 2)
    assert equal(states(HostKernel(NET, 10, blocks=4), some, 70, epochs=2), whole)


def test_a_size_of_parts_has_no_effect() -> None:
    """A cohort that shares its GPU with another keeps the code that it has."""
    some = arms("data.batch_size=100", names=NAMES)
    alone = states(HostKernel(NET, 10), some, 110)
    for parts, blocks in (((16,), 1), ((32,), 1), ((64,), 8)):
        kernel = HostKernel(NET, 10, blocks=blocks)
        kernel.parts = parts
        assert equal(states(kernel, some, 110), alone)


@pytest.mark.parametrize(("name", "meetings"), [("sgd, plateau", 2), ("muon", 3)])
def test_each_meeting_of_a_step_is_needed(name: str, meetings: int) -> None:
    some = arms("data.batch_size=16", names=(name,))
    alone = states(HostKernel(NET, 10), some, 48)
    for missed in range(meetings):
        found = []
        for seed in (0, 1):
            kernel = HostKernel(NET, 10, seed, blocks=2)
            with kernel.without_meeting(missed, meetings):
                found.append(equal(states(kernel, some, 48), alone))
        assert not all(found), missed


def test_batches_of_one_cohort_have_teams_of_their_own() -> None:
    some = [arms(f"data.batch_size={size}", names=NAMES[:1])[0] for size in (16, 64)]
    assert teams_of([16, 64], 3) == [2, 3]
    assert teams_of([8, 64], 3) == [1, 1], "that of batch 8 takes longest"
    alone = states(HostKernel(NET, 10), some, 70)
    assert equal(states(HostKernel(NET, 10, blocks=6), some, 70), alone)


@pytest.mark.parametrize("batch", [1, 8, 9, 32, 64, 65, 100, 128, 512, 513, 1024, 1025, 5000])
def test_shares_depend_on_the_batch_alone_and_teams_divide_them(batch: int) -> None:
    share = share_of(batch)
    assert share in PARTS
    assert shares_of(batch) <= teams.SHARES or share == PARTS[-1]
    assert blocks_of(batch, 0) == blocks_of(batch, 1) == 1
    assert images_of(batch, 1) >= batch
    assert part_among(PARTS, images_of(batch, 1)) == part_of(batch)
    for most in range(2, 140):
        blocks = blocks_of(batch, most)
        images = images_of(batch, blocks)
        assert 1 <= blocks <= most
        assert blocks == 1 or shares_of(batch) <= teams.MOST_SHARES
        assert images * blocks >= batch
        assert images * (blocks - 1) < batch or blocks == 1, "each block has a share of a whole batch"
        assert part_among(PARTS, images) >= share, "a part has whole shares"


def test_the_teams_of_known_cohorts() -> None:
    cases = {(320, 64): 1, (67, 64): 1, (66, 64): 2, (40, 64): 3, (40, 512): 3, (40, 8): 1, (10, 64): 8, (1, 1024): 16}
    assert {(k, batch): blocks_of(batch, 132 // k) for k, batch in cases} == cases
    assert parts_for([64] * 40) == {32, 64}
    assert parts_for([64] * 320) == parts_for([64] * 40, divided=False) == {64}
    assert parts_for([8] * 40) == {8}
    assert parts_for([8, 8, 30, 100]) == {8, 32, 64}
    assert parts_for([64] * 16) == {8, 64}


def test_cohorts_that_train_at_the_same_time_share_the_blocks() -> None:
    device = torch.device("cpu")
    with members_training(device, 40) as alone, members_training(device, 30) as both:
        assert (alone, both) == (40, 70)
    with members_training(device, 5) as later:
        assert later == 5


@needs_gpu
@pytest.mark.parametrize(("batch", "shape", "model"), [(64, NET, "Net"), (512, NET, "Net"), (64, NET3, "Net3")])
def test_cuda_teams_have_the_bits_of_one_block(batch: int, shape: Shape, model: str) -> None:
    some = arms(f"model.name={model}", f"data.batch_size={batch}", names=NAMES, device="cuda")
    kernel = kernel_for("cuda", shape)
    by_teams = states(kernel, some, 5 * batch + 13)
    kernel.blocks = len(some)  # type: ignore[misc]
    assert equal(states(kernel, some, 5 * batch + 13), by_teams)
