"""A split on the device: its normalisation against torchvision's, in both memory formats."""

from __future__ import annotations

import pytest
import torch

from .numbered_images import by_torchvision, every_layout, plain_images, split


@every_layout
@pytest.mark.parametrize("how", ["half", "channel", "none"])
def test_normalisation_is_torchvisions(how: str, layout: torch.memory_format) -> None:
    expected, prepared = by_torchvision(how), split(how, layout)
    images, labels = prepared.normalized(5, 20)
    assert images.is_contiguous(memory_format=layout)
    assert labels.tolist() == list(range(5, 20))
    torch.testing.assert_close(images, expected[5:20], rtol=0, atol=1e-6)
    torch.testing.assert_close(
        prepared.normalizer.from_unit(plain_images()), expected, rtol=0, atol=2e-6, msg=f"{how}: from pixels of 0 to 1"
    )
