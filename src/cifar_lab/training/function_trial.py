"""Trial of a loss, an augmentation and metrics: calls on random tensors before their runs start."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cifar_lab.config import Settings
from cifar_lab.core.errors import LabError
from cifar_lab.data.random_streams import seed_generators
from cifar_lab.models.own_function import OwnCode
from cifar_lab.models.user_code import forked_generators
from cifar_lab.training.own_functions import kind_of, own_augment, own_loss, own_metrics

BATCH = 4
"""Images of a step of the trial."""

_OWN_NUMBERS = (
    "two calls with the same arguments differ; draw its random numbers from the global generators of torch, NumPy or "
    "Python"
)


@dataclass(frozen=True)
class FunctionTrial:
    """Calls of the functions that an arm names."""

    settings: Settings
    num_classes: int
    device: torch.device

    def check_loss(self) -> None:
        """Check the value and the gradient of the loss."""
        if (loss := own_loss(self.settings)) is None:
            return
        code, (logits, labels) = loss.code, self._logits(BATCH)
        found = [self._called(code, loss, logits.requires_grad_(), labels) for _ in range(2)]
        value = found[0]
        if not isinstance(value, Tensor) or value.dim() or not value.is_floating_point():
            raise code.refusal(f"returns {kind_of(value)}; return the mean over the batch, a scalar tensor")
        if not bool(value.isfinite()):
            raise code.refusal(f"returns {value.item():g} for random logits; return a finite number")
        if not value.requires_grad:
            raise code.refusal("its value has no gradient; compute it from the logits by operations of torch")
        if found[1].item() != value.item():
            raise code.refusal(_OWN_NUMBERS)
        (gradient,) = torch.autograd.grad(value, logits)
        if not bool(gradient.isfinite().all()):
            raise code.refusal("its gradient is not finite for random logits; correct it")

    def check_augmentation(self) -> None:
        """Check shape, type and the source of random numbers of the augmentation."""
        if (augment := own_augment(self.settings)) is None:
            return
        code, device, side = augment.code, self.device, self.settings.data.side()
        found = []
        for number in range(2):
            images = torch.randint(256, (BATCH, 3, side, side), generator=_generator(0), dtype=torch.uint8)
            with self._told(code), forked_generators():
                seed_generators(number)
                found.append(augment(images.to(device), torch.Generator(device).manual_seed(1)))
        if not torch.equal(*found):
            raise code.refusal(
                "two calls with equal generators give other images; draw all random numbers from the generator that it "
                "is given"
            )

    def check_metrics(self) -> None:
        """Check that each metric is a finite number, twice the same."""
        logits, labels = self._logits(8 * self.num_classes)
        labels = torch.arange(len(labels)) % self.num_classes
        for metric in own_metrics(self.settings):
            with forked_generators():
                one, other = metric(logits.cpu(), labels), metric(logits.cpu(), labels)
            if one is None:
                raise metric.code.refusal("returns a number that is not finite for random logits; correct it")
            if one != other:
                raise metric.code.refusal(_OWN_NUMBERS)

    def _logits(self, count: int) -> tuple[Tensor, Tensor]:
        """Random logits and labels on the device."""
        device = self.device
        logits = torch.randn(count, self.num_classes, generator=_generator(0)).to(device)
        labels = torch.randint(self.num_classes, (count,), generator=_generator(1)).to(device)
        return logits, labels

    def _called(self, code: OwnCode, called: Callable[..., Any], *arguments: Tensor) -> Any:
        """The value of a call, with the global generators at one state."""
        with self._told(code), forked_generators():
            seed_generators(0)
            return called(*arguments)

    @contextlib.contextmanager
    def _told(self, code: OwnCode) -> Iterator[None]:
        """Name the function that fails."""
        try:
            yield
        except LabError:
            raise
        except Exception as error:
            raise code.refusal(f"fails: {code.describe(error)}; correct it") from error


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
