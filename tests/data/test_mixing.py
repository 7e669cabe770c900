"""Mixed images against torchvision's MixUp and CutMix, and the shares that are drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from cifar_lab.config import DataOptions
from cifar_lab.data.batches import CohortBatches
from cifar_lab.data.mixing import Mix, draw_mix, larger_part
from cifar_lab.data.resident_split import Normalizer, ResidentSplit

N = 37
CPU = torch.device("cpu")


def split() -> ResidentSplit:
    pixels = np.random.default_rng(3).integers(0, 256, (N, 3, 32, 32), dtype=np.uint8)
    return ResidentSplit(pixels, np.arange(N), Normalizer.make("half", (), (), CPU))


def batches(seeds: tuple[int, ...] = (4,), **changes: Any) -> CohortBatches:
    return CohortBatches(split(), DataOptions(batch_size=8, **changes), seeds)


@pytest.mark.parametrize("changes", [{"mixup": 1.0}, {"cutmix": 1.0}], ids=["mixup", "cutmix"])
def test_images_are_those_of_torchvision(changes: dict[str, float]) -> None:
    mixed, plain = batches(**changes), batches()
    mix = mixed.mix(2)
    assert mix is not None
    for step, ((images, labels), (before, same)) in enumerate(zip(mixed.epoch(2), plain.epoch(2), strict=True)):
        assert torch.equal(labels, same)
        top, bottom, left, right = mix.box[step, 0].tolist()
        share = float(mix.share[step, 0])
        params = {"lam": share, "labels": labels[0], "batch_size": len(labels[0])}
        if "cutmix" in changes:
            params |= {"box": (left, top, right, bottom), "lam_adjusted": share}
            assert share == pytest.approx(1 - (bottom - top) * (right - left) / 32**2)
        transform = v2.MixUp(num_classes=N) if "mixup" in changes else v2.CutMix(num_classes=N)
        torch.testing.assert_close(images[0], transform.transform(before[0], params), rtol=0, atol=1e-6)


def test_both_use_one_of_them_in_a_step() -> None:
    share, blend, box = draw_mix(DataOptions(mixup=1.0, cutmix=1.0), 0, 0, 4000, 32)
    cuts = blend == 1.0
    assert 0.45 < cuts.mean() < 0.55
    assert not box[~cuts].any()
    np.testing.assert_array_equal(share[~cuts], blend[~cuts])
    alone = draw_mix(DataOptions(mixup=1.0), 0, 0, 4000, 32)[0]
    np.testing.assert_array_equal(share[~cuts], alone[~cuts])


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_shares_have_the_moments_of_their_distribution(alpha: float) -> None:
    share, _, _ = draw_mix(DataOptions(mixup=alpha), 5, 1, 20_000, 32)
    assert share.mean() == pytest.approx(0.5, abs=0.01)
    assert share.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.05)
    cut, _, box = draw_mix(DataOptions(cutmix=alpha), 5, 1, 20_000, 32)
    assert ((box >= 0) & (box <= 32)).all()
    assert cut.min() >= 0
    assert cut.mean() > 0.5  # boxes are cut at the border


def test_a_member_of_a_cohort_is_mixed_as_it_would_be_alone() -> None:
    together = list(batches((7, 0, 7), mixup=1.0, cutmix=0.5).epoch(1))
    for member, seed in enumerate((7, 0, 7)):
        for (images, labels), (own, own_labels) in zip(
            together, batches((seed,), mixup=1.0, cutmix=0.5).epoch(1), strict=True
        ):
            assert torch.equal(images[member], own[0])
            assert torch.equal(labels[member], own_labels[0])


def test_seed_and_epoch_decide_alone() -> None:
    options = DataOptions(mixup=1.0)
    first = draw_mix(options, 3, 1, 9, 32)[0]
    np.testing.assert_array_equal(draw_mix(options, 3, 1, 20, 32)[0][:9], first)
    for seed, epoch in ((3, 0), (3, 2), (2, 1)):
        assert (draw_mix(options, seed, epoch, 9, 32)[0] != first).all()


def test_the_larger_part_names_an_image() -> None:
    labels = torch.tensor([[1, 2, 3], [4, 5, 6]])
    assert larger_part(labels, torch.tensor([0.5, 0.4])).tolist() == [[1, 2, 3], [6, 4, 5]]
    assert larger_part(labels, None) is labels


def test_a_step_is_read_by_number_or_on_the_device() -> None:
    mix = batches((0, 1), mixup=1.0, cutmix=1.0).mix(0)
    assert isinstance(mix, Mix)
    for one, other in zip(mix.at(3).tensors(), mix.at(torch.tensor([3])).tensors(), strict=True):
        assert torch.equal(one, other)
