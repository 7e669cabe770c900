"""Custom models of the user, by file, package, torchvision or timm: import, call, try on two images."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from cifar_lab.config import CustomModel
from cifar_lab.config.data import IMAGE_SIDE
from cifar_lab.config.model_source import TIMM, ModelSource, model_source
from cifar_lab.core.errors import SettingsError
from cifar_lab.models.custom_maker import CLASS_COUNT_NAMES, call_maker, functions_of, is_own, parameters_of
from cifar_lab.models.input_size import resize_input
from cifar_lab.models.outputs import main_output, split_outputs
from cifar_lab.models.user_code import forked_generators, import_model_module
from cifar_lab.models.user_errors import describe_error, lacks_memory

USUAL_SIZES = (224, 299, 64)
"""Rows and columns, in pixels, that networks for other images have."""


def build_custom(settings: CustomModel, num_classes: int, side: int = IMAGE_SIDE) -> nn.Module:
    """Call the class or function, and check that it gives (2, num_classes) for a (2, 3, side, side) batch.

    `num_classes` is passed where it is accepted. The module's code runs in this process, like any import.

    Raises:
        SettingsError: no such file, module or name, or it makes no `torch.nn.Module`. It cannot be called with these
            options, its model has no trainable parameter, or gives another shape.
    """
    name, source = settings.name, model_source(settings.name)
    with contextlib.chdir(Path.cwd()):  # code that leaves the folder must not take the results with it
        maker = _find_maker(name, source)
        model = call_maker(maker, settings, source, num_classes)
    if not isinstance(model, nn.Module):
        raise SettingsError(
            f"model.name: {name} returns a {type(model).__name__} and not a torch.nn.Module; return the model"
        )
    if not _is_trainable(model, name, source):
        raise SettingsError(f"model.name: {name} has no trainable parameters; create its layers in __init__")
    resize_input(model, settings.input_size)
    _try_out(model, settings, source, num_classes, maker, (2, 3, side, side))
    return model


def _is_trainable(model: nn.Module, name: str, source: ModelSource) -> bool:
    try:
        return any(parameter.requires_grad for parameter in model.parameters())
    except AttributeError as error:  # its __init__ does not call that of nn.Module
        raise SettingsError(
            f"model.name: {name} could not be created: {describe_error(error, source)}; correct it"
        ) from error


def _find_maker(name: str, source: ModelSource) -> Callable[..., Any]:
    """The class or function that `model.name` means."""
    where, _, wanted = name.rpartition(":")
    try:
        # Code that draws or seeds while it is imported must not move the run's own stream.
        with forked_generators():
            module = import_model_module(source)
    except (Exception, SystemExit) as error:
        raise SettingsError(
            f"model.name: {where} cannot be imported: {describe_error(error, source)}; correct it"
        ) from error
    if where == TIMM and wanted != "create_model":
        _require_known(wanted, module)
        return partial(module.create_model, wanted)
    found = getattr(module, wanted, None)
    if isinstance(found, nn.Module):
        raise SettingsError(
            f"model.name: {where}: {wanted} is a model and not a class or function; name its class, or a "
            "function that creates a new one for each run"
        )
    if callable(found) and (not isinstance(found, type) or issubclass(found, nn.Module)):
        return found
    fault = f"has no {wanted}" if found is None else f"{wanted} is neither a torch.nn.Module class nor a function"
    raise SettingsError(f"model.name: {where}: {fault}; {_offer(module)}")


def _require_known(wanted: str, timm: ModuleType) -> None:
    """Refuse a name that timm's registry does not have."""
    if not timm.is_model(wanted):
        near = get_close_matches(wanted, timm.list_models(), 3)
        advice = f"did you mean {' or '.join(near)}?" if near else "timm.list_models() has the names"
        raise SettingsError(f"model.name: timm has no model {wanted}; {advice}")


def _offer(module: ModuleType) -> str:
    """Names in a module that could be meant."""
    own = {key: value for key, value in vars(module).items() if not key.startswith("_")}
    models = [
        key
        for key, value in own.items()
        if isinstance(value, type) and issubclass(value, nn.Module) and is_own(value, module)
    ]
    functions = functions_of(module)
    listed = f"its models are: {', '.join(models) or 'none'}"
    return f"{listed}; its functions are: {', '.join(functions)}" if functions else listed


def _try_out(
    model: nn.Module,
    settings: CustomModel,
    source: ModelSource,
    num_classes: int,
    maker: Callable[..., Any],
    batch: tuple[int, ...],
) -> None:
    """Run one forward pass of zeros in evaluation mode. Restores training mode and random streams."""
    name = settings.name
    try:
        with forked_generators(), torch.no_grad():
            output = model.eval()(torch.zeros(batch))
    except Exception as error:
        reason = f"{describe_error(error, source)}; correct its forward"
        if lacks_memory(error):
            reason = "it needs more memory than is free; choose a smaller model"
        elif settings.input_size is None and (size := _working_size(model, num_classes)) is not None:
            reason = (
                f"{describe_error(error, source)}; it works on {size} × {size} pixels: set model.input_size={size}, "
                "which enlarges each batch"
            )
        raise SettingsError(f"model.name: {name} fails on a {batch} batch: {reason}") from error
    finally:
        model.train()
    if settings.aux_weights is not None:
        output = main_output(output)
    shape = tuple(output.shape) if isinstance(output, torch.Tensor) else f"a {type(output).__name__}"
    if shape != (2, num_classes):
        advice = "its forward must return one logit per class"
        main, others = split_outputs(output)
        if isinstance(shape, tuple) and len(shape) == 2 and shape[0] == 2:
            advice = _advice(parameters_of(maker), num_classes)
        elif main is not output and isinstance(main, torch.Tensor) and tuple(main.shape) == (2, num_classes):
            weights = ", ".join(["0.3"] * len(others))
            advice = f"return the logits alone, or set model.aux_weights=[{weights}], the loss weights of the others"
        raise SettingsError(
            f"model.name: {name} gives {shape} for a {batch} batch instead of (2, {num_classes}); {advice}"
        )


def _working_size(model: nn.Module, num_classes: int) -> int | None:
    """First of the usual sizes on which a forward pass in evaluation mode gives logits. None if there is none."""
    for size in USUAL_SIZES:
        with contextlib.suppress(Exception), forked_generators(), torch.no_grad():
            output = main_output(model(torch.zeros(2, 3, size, size)))
            if tuple(output.shape) == (2, num_classes):
                return size
    return None


def _advice(taken: Mapping[str, inspect.Parameter], num_classes: int) -> str:
    """Sentence for a model with another number of logits: the option to set, or the change in the code."""
    for name in CLASS_COUNT_NAMES:
        if name in taken:
            return f"set model.options.{name}={num_classes}"
    if "num_classes" in taken:
        return f"give its last layer num_classes outputs ({num_classes} here)"
    return f"add a parameter num_classes and give its last layer as many outputs ({num_classes} here)"
