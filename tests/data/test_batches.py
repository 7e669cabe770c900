"""Batches against the same images taken one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import pytest
import torch

from cifar_lab.config import DataOptions
from cifar_lab.data.augment import crop, flip
from cifar_lab.data.batches import CohortBatches

from .numbered_images import N, by_torchvision, every_layout, plain_images, split


def epoch_of(
    options: DataOptions, seeds: Sequence[int] = (0,), epoch: int = 0, layout: torch.memory_format = torch.channels_last
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return list(CohortBatches(split("none", layout), options, seeds).epoch(epoch))


def by_image(options: DataOptions, seed: int = 0, epoch: int = 0) -> torch.Tensor:
    """(N, 3, 32, 32): each image as the epoch showed it, in data-set order."""
    shown = torch.empty(N, 3, 32, 32)
    for images, labels in epoch_of(options, [seed], epoch):
        shown[labels[0]] = images[0]
    return shown


def order(options: DataOptions, seed: int = 0, epoch: int = 0) -> list[int]:
    return [index for _, labels in epoch_of(options, [seed], epoch) for index in labels[0].tolist()]


def test_each_epoch_shows_each_image_once() -> None:
    for epoch in range(3):
        assert sorted(order(DataOptions(batch_size=8), epoch=epoch)) == list(range(N))


def test_order_depends_on_seed_and_epoch_alone() -> None:
    first = order(DataOptions(batch_size=8), seed=5, epoch=2)
    others = [
        DataOptions(batch_size=1),
        DataOptions(batch_size=N),
        DataOptions(batch_size=11, flip=True, crop_padding=4, noise_std=0.1, policy="trivialaugment"),
    ]
    assert all(order(options, seed=5, epoch=2) == first for options in others)
    different = [order(DataOptions(), seed, epoch) for seed, epoch in ((5, 0), (5, 1), (5, 3), (6, 2), (0, 2))]
    assert len({tuple(ids) for ids in [first, *different]}) == 6


@pytest.mark.parametrize("changes", [{"flip": True}, {"crop_padding": 3}, {"flip": True, "crop_padding": 3}])
def test_flips_and_crops_belong_to_the_image_whatever_the_batch_size(changes: dict[str, int]) -> None:
    first = by_image(DataOptions(batch_size=8, **changes), seed=2, epoch=1)
    for size in (1, 5, N):
        assert torch.equal(by_image(DataOptions(batch_size=size, **changes), seed=2, epoch=1), first)
    for seed, epoch in ((2, 0), (2, 2), (3, 1)):
        assert not torch.equal(by_image(DataOptions(batch_size=8, **changes), seed, epoch), first)


def test_flip_alone_mirrors_about_half_and_leaves_the_rest() -> None:
    images, shown = plain_images(), by_image(DataOptions(flip=True))
    mirrored = images.flip(-1)
    kinds = [
        "mirrored"
        if torch.allclose(seen, mirror, atol=1e-6)
        else "same"
        if torch.allclose(seen, same, atol=1e-6)
        else "?"
        for seen, mirror, same in zip(shown, mirrored, images, strict=True)
    ]
    assert "?" not in kinds
    assert 8 < kinds.count("mirrored") < N - 8


def mirrored_by_epoch(flip: object, seed: int = 3, epochs: int = 4) -> list[list[bool]]:
    """Whether each image is mirrored, by epoch."""
    options, images = DataOptions.model_validate({"flip": flip}), plain_images()
    shown = (by_image(options, seed, epoch) for epoch in range(epochs))
    return [
        [not torch.allclose(seen, same, atol=1e-6) for seen, same in zip(each, images, strict=True)] for each in shown
    ]


def test_alternating_flips_begin_as_random_ones_and_mirror_the_others_every_other_epoch() -> None:
    """arXiv:2404.00498, section 3.6: in each pair of epochs an image is seen once as it is and once mirrored."""
    found = mirrored_by_epoch("alternating")
    assert found[0] == mirrored_by_epoch("random")[0] == mirrored_by_epoch(True)[0]
    others = [not each for each in found[0]]
    assert found == [found[0], others, found[0], others]
    assert found[0] != mirrored_by_epoch("alternating", seed=4, epochs=1)[0]


def test_members_flip_each_in_its_own_way() -> None:
    ways = (False, True, "alternating")
    together = CohortBatches(split(), DataOptions(batch_size=9), (5, 5, 5), ways).randomness(1).flips
    assert together is not None
    for member, way in enumerate(ways):
        alone = CohortBatches(split(), DataOptions(batch_size=4), (5,), (way,)).randomness(1).flips
        assert (alone is None) is (way is False)
        assert torch.equal(together[member], torch.zeros(N, dtype=torch.bool) if alone is None else alone[0])


def test_a_flip_is_the_same_with_and_without_a_crop() -> None:
    """Streams apart: another augmentation beside it must not change which images are mirrored."""
    both = by_image(DataOptions(flip=True, crop_padding=3), seed=4)
    cropped = by_image(DataOptions(crop_padding=3), seed=4)
    flips = by_image(DataOptions(flip=True), seed=4)
    for index, image in enumerate(plain_images()):
        which = torch.tensor([not torch.allclose(flips[index], image, atol=1e-6)])
        assert torch.equal(both[index], flip(cropped[index : index + 1], which)[0])


@pytest.mark.parametrize("mode", ["zeros", "reflect"])
def test_a_crop_is_a_window_of_the_padded_image(mode: Literal["zeros", "reflect"]) -> None:
    padding = 2
    shown = by_image(DataOptions(crop_padding=padding, crop_padding_mode=mode), seed=1)
    offsets = torch.cartesian_prod(torch.arange(2 * padding + 1), torch.arange(2 * padding + 1))
    used = set()
    for image, seen in zip(plain_images(), shown, strict=True):
        windows = crop(image.expand(len(offsets), 3, 32, 32), offsets, padding, mode)
        found = [k for k, window in enumerate(windows) if torch.allclose(window, seen, atol=1e-6)]
        assert len(found) == 1
        used.update(found)
    assert len(used) > 12  # of 25 windows, for 37 images


@pytest.mark.parametrize(("size", "sizes"), [(10, [10, 10, 10, 7]), (N, [N]), (36, [36, 1]), (1, [1] * N)])
def test_the_last_batch_takes_what_is_left(size: int, sizes: list[int]) -> None:
    batches = CohortBatches(split(), DataOptions(batch_size=size), [0, 1])
    shapes = [(tuple(images.shape), tuple(labels.shape)) for images, labels in batches.epoch(0)]
    assert shapes == [((2, count, 3, 32, 32), (2, count)) for count in sizes]
    assert batches.steps_per_epoch == len(sizes)


@every_layout
@pytest.mark.parametrize("how", ["half", "channel", "none"])
def test_batches_are_normalised_as_by_torchvision(how: str, layout: torch.memory_format) -> None:
    expected = by_torchvision(how)
    for batch, chosen in CohortBatches(split(how, layout), DataOptions(batch_size=9), [3]).epoch(1):
        assert batch[0].is_contiguous(memory_format=layout)
        torch.testing.assert_close(batch[0], expected[chosen[0]], rtol=0, atol=1e-6)


@every_layout
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"flip": True},
        {"flip": "alternating"},
        {"crop_padding": 4},
        {"crop_padding": 4, "crop_padding_mode": "reflect"},
        {"noise_std": 0.1},
        {"policy": "autoaugment"},
        {"policy": "randaugment"},
        {"policy": "trivialaugment"},
        {"flip": True, "crop_padding": 4, "noise_std": 0.1, "policy": "trivialaugment"},
    ],
    ids=lambda changes: " ".join(str(changes[key]) for key in changes) or "plain",
)
def test_a_member_of_a_cohort_sees_what_it_would_see_alone(
    changes: dict[str, object], layout: torch.memory_format
) -> None:
    options = DataOptions(batch_size=10, **changes)  # type: ignore[arg-type]
    seeds = (7, 0, 3)
    together = epoch_of(options, seeds, epoch=2, layout=layout)
    for member, seed in enumerate(seeds):
        alone = epoch_of(options, [seed], epoch=2, layout=layout)
        for (images, labels), (own_images, own_labels) in zip(together, alone, strict=True):
            assert torch.equal(labels[member], own_labels[0])
            assert torch.equal(images[member], own_images[0])


def test_noise_has_the_asked_spread_and_is_drawn_anew_each_epoch() -> None:
    options = DataOptions(batch_size=8, noise_std=0.1)
    first, second = (by_image(options, epoch=epoch) - plain_images() for epoch in (0, 1))
    assert float(first.std()) == pytest.approx(0.1, rel=0.02)
    assert abs(float(first.mean())) < 0.002
    assert abs(float(torch.corrcoef(torch.stack([first.ravel(), second.ravel()]))[0, 1])) < 0.02


def test_batches_leave_the_images_as_they_were() -> None:
    prepared = split("half")
    before = prepared.normalized(0, N)[0].clone()
    options = DataOptions(batch_size=8, flip=True, crop_padding=2, noise_std=0.2, policy="randaugment")
    for images, _ in CohortBatches(prepared, options, [0]).epoch(0):
        images.zero_()
    assert torch.equal(prepared.normalized(0, N)[0], before)
