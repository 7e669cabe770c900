"""Batches that our own kernels cut, against those of `CohortBatches`."""

from __future__ import annotations

import math
from ctypes import byref, c_void_p

import pytest
import torch
from torch import Tensor

from cifar_lab.training.backends.kernels.compiler import Batch, KernelWorker, library
from cifar_lab.training.backends.kernels.layers import LANES

from .small_runs import drawn_split, own_steps, settings, split_of

FORMS = {
    "plain": [],
    "flips": ["data.flip=true"],
    "crops": ["data.crop_padding=4"],
    "far crops": ["data.crop_padding=16"],
    "alternating flips": ["data.flip=alternating"],
    "reflected crops": ["data.flip=true", "data.crop_padding=4", "data.crop_padding_mode=reflect"],
    "far reflected crops": ["data.crop_padding=16", "data.crop_padding_mode=reflect"],
    "flips and crops": ["data.flip=true", "data.crop_padding=4"],
    "channel": ["data.flip=true", "data.crop_padding=1"],
    "changed by torch": ["data.flip=true", "data.noise_std=0.1"],
}


def cut(batch: Batch) -> Tensor:
    """(B filled up to whole groups, 3, 32, 32): what the C function writes, lanes without an image with it."""
    groups = math.ceil(batch.images / LANES)
    images = torch.full((groups, 3, 32, 32, LANES), math.nan)
    for group in range(groups):
        count = min(LANES, batch.images - group * LANES)
        library().load_batch(
            byref(batch), c_void_p(images[group].data_ptr()), byref(KernelWorker(group=group, count=count))
        )
    return images.permute(0, 4, 1, 2, 3).flatten(0, 1)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [5, 16, 23])
def test_a_batch_is_that_of_the_other_steps(form: str, size: int) -> None:
    split = drawn_split(2 * size + 3)
    steps = own_steps(settings(f"data.batch_size={size}", *FORMS[form]), split)
    scale, shift = split.normalizer.scale_shift
    # A product and a difference, rounded once or twice: half a unit in the last place of the product, at most.
    rounding = float((255 * scale.max()).abs() + shift.abs().max()) * 2**-24
    seen = 0
    for batch, (expected, _) in zip(steps.epoch_batches(1), steps._batches.epoch(1), strict=True):
        images = cut(batch)
        assert torch.isfinite(images).all(), "a lane without an image is multiplied by 0, which must give 0"
        torch.testing.assert_close(images[: batch.images], expected[0], rtol=0, atol=rounding)
        seen += batch.images
    assert seen == len(split)


def test_the_border_of_a_crop_is_black_and_a_mirrored_image_is_cropped_first() -> None:
    """One image whose pixels say where they are, seen with each crop."""
    place = torch.arange(32 * 32, dtype=torch.int64).view(32, 32) % 251 + 1
    pixels = torch.stack([place, place.flip(0), place.flip(1)]).to(torch.uint8)[None]
    split = split_of(pixels.repeat(25, 1, 1, 1), torch.zeros(25, dtype=torch.int64))
    steps = own_steps(settings("data.batch_size=25", "data.flip=true", "data.crop_padding=2"), split)
    offsets = torch.cartesian_prod(torch.arange(5), torch.arange(5))[None]  # (1, 25, 2): each place of a crop
    flips = (torch.arange(25) % 2 == 1)[None]
    wide = torch.nn.functional.pad(pixels[0], (2, 2, 2, 2))
    chosen = torch.arange(25)[None]
    (batch,) = steps.epoch_batches(0)
    batch.chosen, batch.offsets, batch.flips = chosen.data_ptr(), offsets.data_ptr(), flips.data_ptr()
    images = cut(batch)
    for number, (row, column) in enumerate(offsets[0].tolist()):
        window = wide[:, row : row + 32, column : column + 32]
        window = window.flip(2) if flips[0, number] else window
        scale, shift = (table[0] for table in split.normalizer.scale_shift)
        torch.testing.assert_close(images[number], window.float() * scale - shift, rtol=1e-6, atol=1e-6)
