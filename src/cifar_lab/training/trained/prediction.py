"""Probabilities of the classes of images, by one network or by the mean of several."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from cifar_lab.core.errors import SettingsError
from cifar_lab.data.pictures import Picture
from cifar_lab.training.device import prepare_execution
from cifar_lab.training.evaluate import EVALUATION_BATCH_SIZE, images_per_pass
from cifar_lab.training.trained.network import TrainedNetwork

DeviceName = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True)
class Prediction:
    """Probabilities of one image."""

    picture: Picture
    probabilities: NDArray[np.float64]
    """(classes,), with sum 1."""

    @property
    def order(self) -> list[int]:
        """Indices of the classes, the likeliest first. Of equal ones the first."""
        return [int(index) for index in np.argsort(-self.probabilities, kind="stable")]


def require_same_classes(networks: Sequence[TrainedNetwork]) -> None:
    """Refuse an ensemble of networks with different classes.

    Raises:
        SettingsError: they have.
    """
    first = networks[0]
    for other in networks[1:]:
        if other.classes != first.classes:
            raise SettingsError(
                f"run {first.run_id} ({first.record.data.title}) and run {other.run_id} ({other.record.data.title}) "
                "have different classes, so they form no ensemble; predict with one of them at a time"
            )


def place(networks: Sequence[TrainedNetwork], device: DeviceName) -> torch.device:
    """Move the networks to a device.

    Raises:
        SettingsError: the device is not available.
    """
    runtime = networks[0].settings.runtime
    try:
        execution = prepare_execution(runtime.model_copy(update={"device": device}), torch.get_num_threads())
    except SettingsError as error:
        reason = str(error).partition("(")[2].rpartition(")")[0]
        raise SettingsError(f"--device: {device} is not available here ({reason}); use --device auto") from error
    for network in networks:
        network.to(execution.device)
    return execution.device


def classify(networks: Sequence[TrainedNetwork], pictures: Iterable[Picture]) -> Iterator[Prediction]:
    """Predict each image, in order. Several networks form an ensemble: the mean of their probabilities."""
    waiting = iter(pictures)
    size = images_per_pass(max(network.side for network in networks), EVALUATION_BATCH_SIZE)
    while batch := list(islice(waiting, size)):  # itertools.batched needs Python 3.12
        shares = [_softmax(network, batch) for network in networks]
        for picture, probabilities in zip(batch, np.mean(shares, axis=0), strict=True):
            yield Prediction(picture, probabilities)


def _softmax(network: TrainedNetwork, pictures: Sequence[Picture]) -> NDArray[np.float64]:
    """(N, classes) probabilities."""
    pixels = np.stack([picture.pixels[network.side] for picture in pictures])
    probabilities: NDArray[np.float64] = network.logits_of(pixels).double().softmax(dim=1).numpy()
    return probabilities
