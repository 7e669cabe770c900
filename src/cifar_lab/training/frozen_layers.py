"""Layers that train in an epoch, by `model.freeze` and `fine_tune`. The others of a network are frozen."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from cifar_lab.config import Settings
from cifar_lab.config.fine_tune import FineTune
from cifar_lab.config.fine_tune_rules import names_layers
from cifar_lab.models.freezing import batch_norms, freeze, frozen_by_name, still_modules
from cifar_lab.models.layer_order import layers_of
from cifar_lab.training.stages import Stage


def freeze_for_epoch(networks: Sequence[nn.Module], members: Sequence[Settings], epoch: int) -> Stage:
    """Freeze the parameters of new networks that do not train in an epoch, counted from 0.

    Args:
        members: settings of each network. They agree on what is frozen.

    Raises:
        SettingsError: `model.freeze` names a layer that the network does not have, or leaves nothing to train.
    """
    settings = members[0]
    if not any(map(names_layers, members)):
        return Stage(0, settings.epochs)
    first, tuning = networks[0], settings.fine_tune
    layers = layers_of(first, settings.data.side())
    always = frozen_by_name(first, layers, settings.model.freeze)
    norms = tuning.batchnorm == "frozen"
    always |= batch_norms(first) if norms else frozenset()
    free = [layer for layer in layers if not always.issuperset(layer.parameters)]
    opened, start, stop = _opened(tuning, min(epoch, settings.epochs - 1), len(free), settings.epochs)
    closed = {name for layer in free[: len(free) - opened] for name in layer.parameters}
    trained = {name for name, parameter in first.named_parameters() if parameter.requires_grad}
    frozen = always | closed
    still = still_modules(first, frozen | (set(dict(first.named_parameters())) - trained), norms=norms)
    for network in networks:
        freeze(network, frozen)
    return Stage(start, stop, still, frozenset(frozen), frozenset(always), tuple(layers))


def _opened(tuning: FineTune, epoch: int, layers: int, epochs: int) -> tuple[int, int, int]:
    """Number of layers that train, from the head down, then begin and end of the stage of an epoch."""
    if not tuning.in_stages or layers == 1:
        return layers, 0, epochs
    alone, each = tuning.alone, tuning.gradual_unfreeze
    if epoch < alone:
        return 1, 0, min(alone, epochs)
    if not each:
        return layers, alone, epochs
    joined = min((epoch - alone) // each + 1, layers - 1)
    start = alone + (joined - 1) * each
    return 1 + joined, start, epochs if joined == layers - 1 else min(start + each, epochs)
