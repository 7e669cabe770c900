"""Models by name, with random or pretrained weights."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from cifar_lab import config
from cifar_lab.config.data import IMAGE_SIDE
from cifar_lab.config.registry import BUILT_IN_MODELS, facts_of, makers
from cifar_lab.core.errors import SettingsError
from cifar_lab.core.host import located
from cifar_lab.models.custom import build_custom
from cifar_lab.models.input_size import resize_input
from cifar_lab.models.nets import imagenet_weights_file
from cifar_lab.models.user_code import restore_defaults
from cifar_lab.models.weights import last_layer, load_weights

MODELS: dict[str, Callable[..., nn.Module]] = makers("model", __package__)
"""Built-in models by `model.name`, each called with the number of classes and its own options."""

LAST_LAYER = {name: cls.component.last_layer for name, cls in BUILT_IN_MODELS.items()}
"""Layer that pretrained weights never fill, because its outputs are the classes of another data set."""


def build(model: config.Model, num_classes: int, side: int = IMAGE_SIDE, notes: list[str] | None = None) -> nn.Module:
    """Build the model of these settings, on the CPU, in training mode. Random weights use torch's global generator.

    Args:
        model: model section of the settings.
        num_classes: number of logits.
        side: rows and columns of the images in pixels.
        notes: list to which sentences about the use of a weights file are appended.

    Raises:
        SettingsError: a custom model that cannot be built, or `pretrained` combined with `weights`.
        WeightsError: pretrained weights that are missing, damaged or of another model.
    """
    restore_defaults()
    path = None if model.weights is None else located(model.weights)
    if isinstance(model, config.CustomModel):
        network = build_custom(model, num_classes, side)
        if path is not None:
            (notes if notes is not None else []).extend(load_weights(network, path, last_layer(network), model.head))
        return network
    network = MODELS[model.name](num_classes, **model.own_options())
    if isinstance(model, config.ResNet18Model) and model.pretrained:
        if path is not None:
            raise SettingsError("model: `pretrained: true` and `weights` contradict each other; keep one of them")
        path = imagenet_weights_file()
    if path is not None:
        head = model.head if model.weights is not None else "new"
        (notes if notes is not None else []).extend(load_weights(network, path, LAST_LAYER[model.name], head))
    return resize_input(network, model.input_size)


def memory_format(model: config.Model, device_type: str, bf16: bool = False) -> torch.memory_format:
    """Memory format of images for this model on `cpu` or a GPU, in fp32 or `bf16`.

    channels_last on a GPU, and on the CPU where it is faster. Custom models keep the contiguous format, because a
    `view` of activations may rely on it. Stacked networks keep it too, because their channels are those of all members.
    """
    facts = facts_of(model)
    if facts is None or (device_type == "cpu" and not (facts.channels_last_on_cpu or bf16)):
        return torch.contiguous_format
    return torch.channels_last


def count_parameters(module: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


def count_frozen(module: nn.Module) -> int:
    """Number of parameters that do not train."""
    return sum(parameter.numel() for parameter in module.parameters() if not parameter.requires_grad)
