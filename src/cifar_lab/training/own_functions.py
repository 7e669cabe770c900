"""Loss, augmentation and metrics of the user, as training calls them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from cifar_lab.config import CustomLoss, Settings
from cifar_lab.data.batches import OwnAugment
from cifar_lab.models.own_function import OwnCode

LossOf = Callable[[Tensor, Tensor], Tensor]
"""Mean loss of a batch from logits (B, classes) and labels (B,)."""


@dataclass(frozen=True)
class OwnMetric:
    """A metric, recorded under the name of its function."""

    code: OwnCode

    @property
    def name(self) -> str:
        return self.code.name.rpartition(":")[2]

    def __call__(self, logits: Tensor, labels: Tensor) -> float | None:
        """The number. None where it is not finite.

        Raises:
            SettingsError: the function fails or returns no number.
        """
        try:
            with torch.no_grad():
                value = float(self.code.called(logits.clone(), labels.clone()))
        except Exception as error:
            raise self.code.refusal(f"fails: {self.code.describe(error)}; return a number") from error
        return value if math.isfinite(value) else None


@dataclass(frozen=True)
class OwnLoss:
    """A loss with its options: a function, or a module that was made with them."""

    code: OwnCode
    options: Mapping[str, Any]
    module: nn.Module | None = None

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean loss of a batch."""
        if self.module is None:
            found: Tensor = self.code.called(logits, labels, **self.options)
        else:
            found = self.module.to(logits.device)(logits, labels)
        return found


@dataclass(frozen=True)
class OwnAugmentation:
    """An augmentation, which is checked batch by batch."""

    code: OwnCode

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """The changed images.

        Raises:
            SettingsError: the function returns another shape or type.
        """
        shape = images.shape
        found: Tensor = self.code.called(images, generator)
        if not isinstance(found, Tensor) or found.shape != shape or found.dtype != torch.uint8:
            raise self.code.refusal(
                f"returns {kind_of(found)} for {words(shape, torch.uint8)}; return the same shape and type"
            )
        return found


@dataclass(frozen=True)
class OwnFunctions:
    """Functions of the user that an arm names."""

    loss: LossOf | None = None
    augment: OwnAugment | None = None
    metrics: Sequence[OwnMetric] = field(default=())


def own_functions(settings: Settings) -> OwnFunctions:
    """Import the functions that the settings name.

    Raises:
        SettingsError: one cannot be imported, or takes other arguments.
    """
    return OwnFunctions(own_loss(settings), own_augment(settings), own_metrics(settings))


def own_metrics(settings: Settings) -> list[OwnMetric]:
    """Import the metrics. Errors as `own_functions`."""
    found = [OwnMetric(OwnCode("metrics", name)) for name in settings.metrics]
    for metric in found:
        metric.code.check_options({}, 2)
    return found


def own_loss(settings: Settings) -> OwnLoss | None:
    """Import the loss. None for a built-in one. Errors as `own_functions`."""
    if not isinstance(section := settings.loss, CustomLoss):
        return None
    code = OwnCode("loss.name", section.name)
    if isinstance(code.called, type) and issubclass(code.called, nn.Module):
        return OwnLoss(code, {}, _loss_module(code, section.options))
    code.check_options(section.options, 2)
    return OwnLoss(code, section.options)


def _loss_module(code: OwnCode, options: Mapping[str, Any]) -> nn.Module:
    """Make a loss that is a class."""
    code.check_options(options, 0)
    try:
        module: nn.Module = code.called(**options)
    except Exception as error:
        raise code.refusal(f"could not be made: {code.describe(error)}; correct loss.options") from error
    if any(True for _ in module.parameters()):
        raise code.refusal("it has parameters, which nothing trains; register them as buffers")
    return module


def own_augment(settings: Settings) -> OwnAugmentation | None:
    """Import the augmentation. None without one. Errors as `own_functions`."""
    if settings.data.augment is None:
        return None
    found = OwnAugmentation(OwnCode("data.augment", settings.data.augment))
    found.code.check_options({}, 2)
    return found


def kind_of(value: object) -> str:
    """Shape and type of a tensor in words, or the type of another value."""
    return words(value.shape, value.dtype) if isinstance(value, Tensor) else f"a {type(value).__name__}"


def words(shape: Sequence[int], dtype: torch.dtype) -> str:
    """`uint8 (4, 3, 32, 32)`."""
    return f"{str(dtype).removeprefix('torch.')} {tuple(shape)}"
