"""Covariance of training patches against the patches cut one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cifar_lab.data import patches
from cifar_lab.data.patches import patch_covariance
from cifar_lab.data.resident_split import Normalizer, ResidentSplit

COUNT = 7
MEAN, STD = (0.49, 0.48, 0.44), (0.25, 0.24, 0.26)


def split(layout: torch.memory_format = torch.contiguous_format) -> ResidentSplit:
    pixels = np.random.default_rng(3).integers(0, 256, (COUNT, 3, 32, 32), dtype=np.uint8)
    return ResidentSplit(
        pixels, np.zeros(COUNT, np.int64), Normalizer.make("channel", MEAN, STD, torch.device("cpu"), layout)
    )


@pytest.mark.parametrize(("rows", "columns"), [(2, 2), (5, 3)])
def test_it_is_numpys_covariance_of_all_patches(rows: int, columns: int) -> None:
    images = split().normalized(0, COUNT)[0].double()
    cut = [
        images[:, :, row : row + rows, column : column + columns].flatten(1)
        for row in range(33 - rows)
        for column in range(33 - columns)
    ]
    expected = np.cov(torch.cat(cut).numpy().T, bias=True)
    np.testing.assert_allclose(patch_covariance(split(), rows, columns).numpy(), expected, rtol=1e-5, atol=1e-7)


def test_the_memory_format_and_the_chunk_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    first = patch_covariance(split(), 2, 2)
    monkeypatch.setattr(patches, "CHUNK_IMAGES", 2)
    assert torch.equal(patch_covariance(split(torch.channels_last), 2, 2), first)


def test_it_is_computed_once_per_split(monkeypatch: pytest.MonkeyPatch) -> None:
    given = split()
    first = patch_covariance(given, 2, 2)
    monkeypatch.setattr(patches, "_byte_covariance", None)
    assert patch_covariance(given, 2, 2) is first


def test_images_of_all_parts_of_the_split_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of images is ordered by class."""
    monkeypatch.setattr(patches, "PATCH_IMAGES", 3)
    chosen: list[int] = []
    given = split()
    take = given.take
    monkeypatch.setattr(given, "take", lambda index: chosen.extend(index.tolist()) or take(index))
    patch_covariance(given, 2, 2)
    assert chosen == [0, 2, 4]
