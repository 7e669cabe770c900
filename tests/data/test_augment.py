"""Augmentation of batches against the same change of each image alone."""

from collections import Counter

import pytest
import torch
import torch.nn.functional as F
from torchvision.transforms import (
    AutoAugment,
    AutoAugmentPolicy,
    InterpolationMode,
    RandAugment,
    TrivialAugmentWide,
    v2,
)
from torchvision.transforms.autoaugment import _apply_op

from cifar_lab.data import augment
from cifar_lab.data.augment import SPACE, add_noise, apply_policy, crop, draw_operations, flip

POLICIES = ("autoaugment", "randaugment", "trivialaugment")


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(batch: int, height: int = 24, width: int = 40) -> torch.Tensor:
    """uint8 images with structure: blocks of colour and noise on them, so that no operation is without effect."""
    blocks = torch.randint(30, 200, (batch, 3, 4, 5), generator=generator(1)).float()
    noise = torch.randint(0, 40, (batch, 3, height, width), generator=generator(2))
    return (F.interpolate(blocks, size=(height, width)) + noise).to(torch.uint8)


# --- flip, crop, noise ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_flip_mirrors_the_chosen_images_alone(dtype, layout):
    images = pictures(7).to(dtype).contiguous(memory_format=layout)
    original = images.clone()
    which = torch.tensor([True, False, False, True, True, False, True])
    flipped = flip(images, which)
    assert flipped.dtype == dtype
    assert flipped.is_contiguous(memory_format=layout)
    for before, after, chosen in zip(images, flipped, which, strict=True):
        columns = range(39, -1, -1) if chosen else range(40)
        assert torch.equal(after, torch.stack([before[:, :, column] for column in columns], dim=2))
    assert torch.equal(images, original)


def test_flip_of_none_and_of_all():
    images = pictures(3)
    assert torch.equal(flip(images, torch.zeros(3, dtype=torch.bool)), images)
    assert torch.equal(flip(images, torch.ones(3, dtype=torch.bool)), images.flip(3))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("padding", [1, 4])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("mode", ["zeros", "reflect"])
def test_crop_is_a_window_of_each_padded_image(dtype, padding, layout, mode):
    images = pictures(11).to(dtype).contiguous(memory_format=layout)
    offsets = torch.randint(0, 2 * padding + 1, (11, 2), generator=generator(3))
    offsets[0], offsets[1], offsets[2] = torch.tensor([[0, 2 * padding], [2 * padding, 0], [padding, padding]])
    cropped = crop(images, offsets, padding, mode)
    assert cropped.dtype == dtype
    assert cropped.is_contiguous(memory_format=layout)
    for image, (row, column), after in zip(images, offsets.tolist(), cropped, strict=True):
        how = {"mode": "reflect"} if mode == "reflect" else {}
        canvas = F.pad(image.float(), (padding,) * 4, **how).to(dtype)
        assert torch.equal(after, canvas[:, row : row + 24, column : column + 40])
    assert torch.equal(cropped[2], images[2])


def test_crop_refuses_a_window_beyond_the_padding():
    with pytest.raises(IndexError):
        crop(pictures(1), torch.tensor([[0, 9]]), 4)


def test_noise_has_the_given_spread_and_is_not_clamped():
    images = pictures(9).double() / 255
    noisy = add_noise(images, 0.2, generator(4))
    noise = noisy - images
    n = noise.numel()
    assert noisy.dtype == torch.float64
    assert abs(noise.mean()) < 5 * 0.2 / n**0.5
    assert abs(noise.std() / 0.2 - 1) < 5 / (2 * n) ** 0.5
    assert noisy.min() < 0
    assert noisy.max() > images.max()


def test_noise_is_that_of_the_generator():
    images = pictures(5).float() / 255
    expected = images + 0.1 * torch.randn(images.shape, generator=generator(4))
    torch.testing.assert_close(add_noise(images, 0.1, generator(4)), expected)
    assert not torch.equal(add_noise(images, 0.1, generator(5)), add_noise(images, 0.1, generator(4)))


# --- policies -------------------------------------------------------------------------------------------------------


def torchvision_alone(image: torch.Tensor, name: str, magnitude: float) -> torch.Tensor:
    """One operation on one image (3, H, W), as torchvision's own classes apply it."""
    if name == "Solarize":  # the older form takes the threshold in pixel values, the newer as a share of 255
        return _apply_op(image, name, magnitude, InterpolationMode.NEAREST, fill=None)
    return v2.RandAugment()._apply_image_or_video_transform(image, name, magnitude, InterpolationMode.NEAREST, fill={})


@pytest.mark.parametrize("policy", POLICIES)
def test_each_image_is_changed_as_torchvision_changes_it_alone(policy):
    images = pictures(301)
    original = images.clone()
    changed = apply_policy(images, policy, generator(6))
    rounds = draw_operations(policy, 301, 24, 40, generator(6))
    assert changed.shape == images.shape
    assert changed.dtype == torch.uint8
    assert torch.equal(images, original)
    for index, image in enumerate(images):
        for operations in rounds:
            image = torchvision_alone(image, *operations[index])
        assert torch.equal(changed[index], image), [operations[index] for operations in rounds]


@pytest.mark.parametrize("policy", POLICIES)
def test_draws_come_from_the_generator_alone(policy):
    images = pictures(33)
    torch.manual_seed(0)
    first = apply_policy(images, policy, generator(7))
    state = torch.random.get_rng_state()
    again = apply_policy(images, policy, generator(7))
    assert torch.equal(first, again)
    assert torch.equal(state, torch.random.get_rng_state())
    assert not torch.equal(first, apply_policy(images, policy, generator(8)))
    used = generator(7)
    apply_policy(images, policy, used)
    assert not torch.equal(first, apply_policy(images, policy, used)), "the generator did not move on"


def test_an_unknown_policy():
    message = "unknown policy 'augmix': autoaugment, randaugment or trivialaugment"
    with pytest.raises(ValueError, match=message):
        apply_policy(pictures(1), "augmix", generator(0))


def torchvision_operations(space, levels) -> set[tuple[str, float]]:
    """Every (name, signed magnitude) that torchvision's class can draw at these levels."""
    possible = set()
    for name, (magnitudes, signed) in space.items():
        for magnitude in magnitudes[levels].tolist() if magnitudes.ndim else [0.0]:
            if name in ("TranslateX", "TranslateY", "Posterize"):
                magnitude = float(int(magnitude))  # what _apply_op does to it
            possible |= {(name, magnitude), (name, -magnitude if signed else magnitude)}
    return possible


def assert_close_to_uniform(counts: Counter, cells: int) -> None:
    """Each of `cells` equally likely outcomes within 5 standard deviations of its expected count."""
    total, chance = sum(counts.values()), 1 / cells
    assert len(counts) == cells
    for outcome, count in counts.items():
        assert abs(count - total * chance) < 5 * (total * chance * (1 - chance)) ** 0.5, outcome


def test_randaugment_draws_torchvision_s_operations_at_magnitude_nine():
    rounds = draw_operations("randaugment", 6000, 24, 40, generator(9))
    assert len(rounds) == RandAugment().num_ops == 2
    drawn = [operation for operations in rounds for operation in operations]
    space = RandAugment()._augmentation_space(31, (24, 40))
    assert set(drawn) == torchvision_operations(space, slice(9, 10))
    assert tuple(space) == SPACE
    assert_close_to_uniform(Counter(name for name, _ in drawn), 14)
    assert_close_to_uniform(Counter(magnitude > 0 for name, magnitude in drawn if name == "Rotate"), 2)
    assert_close_to_uniform(Counter(zip(*[[name for name, _ in turn] for turn in rounds], strict=True)), 14 * 14)


def test_trivialaugment_draws_torchvision_s_operations_at_any_magnitude():
    (drawn,) = draw_operations("trivialaugment", 40_000, 24, 40, generator(9))
    space = TrivialAugmentWide()._augmentation_space(31)
    assert set(drawn) == torchvision_operations(space, slice(None))
    assert_close_to_uniform(Counter(name for name, _ in drawn), 14)
    assert_close_to_uniform(Counter(magnitude for name, magnitude in drawn if name == "Solarize"), 31)
    turns = Counter(abs(magnitude) for name, magnitude in drawn if name == "Rotate")
    assert_close_to_uniform(turns, 31)


def test_autoaugment_draws_the_pairs_of_the_cifar10_policy():
    batch = 40_000
    first, second = draw_operations("autoaugment", batch, 24, 40, generator(9))
    reference = AutoAugment(AutoAugmentPolicy.CIFAR10)
    space = reference._augmentation_space(10, (24, 40))
    expected: tuple[Counter, Counter] = Counter(), Counter()
    for pair in reference.policies:
        for (name, probability, level), share in zip(pair, expected, strict=True):
            magnitudes, signed = space[name]
            magnitude = 0.0 if level is None else magnitudes[level].item()
            if name in ("TranslateX", "TranslateY", "Posterize"):
                magnitude = float(int(magnitude))
            for value in (magnitude, -magnitude if signed else magnitude):
                share[name, value] += probability / 50
            share["Identity", 0.0] += (1 - probability) / 25
    for drawn, shares in ((first, expected[0]), (second, expected[1])):
        counts = Counter(drawn)
        assert set(counts) == {operation for operation, share in shares.items() if share > 0}
        for operation, share in shares.items():
            assert abs(counts[operation] - batch * share) <= 5 * (batch * share * (1 - share)) ** 0.5, operation


@pytest.mark.parametrize("policy", POLICIES)
def test_images_that_drew_the_same_operation_are_changed_together(policy, monkeypatch):
    calls = Counter()
    apply = augment._apply

    def counted(images, name, magnitude):
        calls[name, magnitude] += 1
        return apply(images, name, magnitude)

    monkeypatch.setattr(augment, "_apply", counted)
    apply_policy(pictures(400), policy, generator(2))
    rounds = draw_operations(policy, 400, 24, 40, generator(2))
    assert calls == sum((Counter(set(operations) - {augment.IDENTITY}) for operations in rounds), Counter())
