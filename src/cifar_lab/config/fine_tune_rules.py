"""Contradictions of fine-tuning settings with each other and with model, optimizer and epochs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cifar_lab.config.model_options import ModelOptions

if TYPE_CHECKING:
    from cifar_lab.config import Settings

HEAD_ALONE = "all_but_head"


def fine_tunes(settings: Settings) -> bool:
    """Whether some parameters stand still in some epoch."""
    return bool(settings.model.freeze or settings.fine_tune.in_stages or settings.fine_tune.batchnorm == "frozen")


def names_layers(settings: Settings) -> bool:
    """Whether the layers of the network matter to its training."""
    return fine_tunes(settings) or settings.fine_tune.scales_rates


def freezing_rules(settings: Settings) -> Iterator[str]:
    """Frozen layers that another setting lets train, or has no effect on."""
    tuning = settings.fine_tune
    if settings.model.freeze != HEAD_ALONE:
        return
    if tuning.in_stages:
        name = "freeze_epochs" if tuning.freeze_epochs else "gradual_unfreeze"
        yield f"{HEAD_ALONE} trains the head alone, so fine_tune.{name} has no effect; remove one of them"
    if tuning.layer_decay != 1:
        yield f"{HEAD_ALONE} trains the head alone, so fine_tune.layer_decay has no effect; remove one of them"


def stage_rules(settings: Settings) -> Iterator[str]:
    """Epochs of the head alone that leave none for the other layers."""
    tuning, epochs = settings.fine_tune, settings.epochs
    if tuning.in_stages and tuning.alone >= epochs:
        most = f"set at most {epochs - 1}" if epochs > 1 else "set more epochs"
        yield (
            f"the head alone trains for {tuning.alone} of {epochs} epochs, so no other layer joins; {most}, or "
            f"model.freeze: {HEAD_ALONE}"
        )


def average_rules(settings: Settings) -> Iterator[str]:
    """An average over steps in which other parameters train."""
    if settings.average.name != "none" and settings.fine_tune.in_stages:
        yield "an average needs the same trained layers in all epochs; remove it, or the epochs of fine_tune"


def norm_rules(settings: Settings) -> Iterator[str]:
    """Frozen BatchNorm of a built-in model without any."""
    model = settings.model
    known = isinstance(model, ModelOptions) and not model.component.facts.batch_norm
    if settings.fine_tune.batchnorm == "frozen" and known:
        yield f"{model.name} has no BatchNorm; remove it"


def rate_rules(settings: Settings) -> Iterator[str]:
    """Learning rates by layer that the optimizer cannot have."""
    tuning, optimizer = settings.fine_tune, settings.optimizer
    if tuning.scales_rates and not optimizer.component.grouped:
        yield f"{optimizer.name} has one learning rate; remove fine_tune.layer_decay and head_lr_factor"
    elif tuning.scales_rates and optimizer.name == "rprop":
        yield "rprop uses the learning rate in its first step only; remove fine_tune.layer_decay and head_lr_factor"
