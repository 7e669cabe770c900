"""What the rest of the house must know of each built-in model before it is built. No torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelFacts:
    """Facts of one model; `tests/models/test_contract.py` holds them against the network."""

    small: bool
    """So small that runs side by side use the cores better than threads do; `threads` has the measurements."""
    batch_norm: bool
    """Takes statistics over a batch, so it cannot train on a batch of one image."""
    parameters: int
    """With ten classes."""
    channels_last_on_cpu: bool
    """Faster there with the channels of a pixel side by side in memory. Measured on one thread, a step of 64 images:
    Net 5.3 ms against 6.6 ms, ResNet18 221 ms against 207 ms. Not asked where `kernels` are used: they have a
    layout of their own."""
    own_kernels: bool
    """Whether `kernels` has all its layers."""


GROUP_IMAGES = 16
"""That our own `kernels` take at a time: LANES in kernels.h."""

MODEL_FACTS = {
    "Net": ModelFacts(small=True, batch_norm=False, parameters=62_006, channels_last_on_cpu=True, own_kernels=True),
    "Net1": ModelFacts(small=True, batch_norm=True, parameters=62_290, channels_last_on_cpu=True, own_kernels=True),
    "Net2": ModelFacts(small=True, batch_norm=False, parameters=62_006, channels_last_on_cpu=True, own_kernels=True),
    "Net3": ModelFacts(small=True, batch_norm=False, parameters=244_962, channels_last_on_cpu=True, own_kernels=True),
    "ResNet18": ModelFacts(
        small=False, batch_norm=True, parameters=11_181_642, channels_last_on_cpu=False, own_kernels=False
    ),
}
"""By `model.name`; of a model of one's own nothing is known."""
