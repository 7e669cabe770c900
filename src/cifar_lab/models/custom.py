"""Custom models of the user, by file, package, torchvision or timm: import, call, try on two images."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from types import ModuleType
from typing import Any

import torch
from torch import nn

from cifar_lab.config import CustomModel
from cifar_lab.config.data import IMAGE_SIDE
from cifar_lab.config.model_source import TIMM, ModelSource, model_source
from cifar_lab.core.errors import SettingsError
from cifar_lab.models.input_size import resize_input
from cifar_lab.models.outputs import main_output
from cifar_lab.models.user_code import describe_error, forked_generators, import_model_module

CLASS_COUNT_NAMES = ("n_classes", "nclasses", "num_class", "class_num", "classes", "n_class", "num_labels", "out_dim")
"""Names that others give to `num_classes`."""


def build_custom(settings: CustomModel, num_classes: int, side: int = IMAGE_SIDE) -> nn.Module:
    """Call the class or function, and check that it gives (2, num_classes) for a (2, 3, side, side) batch.

    `num_classes` is passed where it is accepted. The module's code runs in this process, like any import.

    Raises:
        SettingsError: no such file, module or name, or it makes no `torch.nn.Module`. It cannot be called with these
            options, its model has no trainable parameter, or gives another shape.
    """
    name, source = settings.name, model_source(settings.name)
    maker = _find_maker(name, source)
    model = _call(maker, settings, source, num_classes)
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


def _offer(module: ModuleType) -> str:
    """Names in a module that could be meant."""
    own = {key: value for key, value in vars(module).items() if not key.startswith("_")}
    models = [
        key
        for key, value in own.items()
        if isinstance(value, type) and issubclass(value, nn.Module) and _is_own(value, module)
    ]
    functions = [key for key, value in own.items() if inspect.isfunction(value) and _is_own(value, module)]
    listed = f"its models are: {', '.join(models) or 'none'}"
    return f"{listed}; its functions are: {', '.join(functions)}" if functions else listed


def _is_own(value: Any, module: ModuleType) -> bool:
    """Whether a class or function was made in the module, or below it if that is a package."""
    made_in = str(value.__module__)
    return made_in == module.__name__ or (hasattr(module, "__path__") and made_in.startswith(f"{module.__name__}."))


def _call(maker: Callable[..., Any], settings: CustomModel, source: ModelSource, num_classes: int) -> Any:
    """Call the class or function with the options, and with `num_classes` where it is accepted."""
    name, taken = settings.name, _parameters(maker)
    options = {"num_classes": num_classes, **settings.options}
    if not _accepts(taken, "num_classes"):
        options = dict(settings.options)
    try:
        try:
            return maker(**options)
        except TypeError as error:
            # A function that takes **options may pass them to one that does not take this.
            if "num_classes" in taken or "num_classes" in settings.options or "'num_classes'" not in str(error):
                raise
            return maker(**settings.options)
    except TypeError as error:
        raise SettingsError(
            f"model.options: {name} was called with {', '.join(options) or 'nothing'}: {error}; "
            f"it takes {', '.join(map(str, taken.values())) or 'no arguments'}"
        ) from error
    except Exception as error:
        raise SettingsError(
            f"model.name: {name} could not be created: {describe_error(error, source)}; correct it"
        ) from error


def _parameters(maker: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """Parameters of a class or function, without `self`."""
    if isinstance(maker, type):
        names = dict(inspect.signature(maker.__init__).parameters)  # type: ignore[misc]
        return dict(list(names.items())[1:])
    try:
        return inspect.signature(maker).parameters
    except (TypeError, ValueError):  # written in C
        return {"options": inspect.Parameter("options", inspect.Parameter.VAR_KEYWORD)}


def _accepts(taken: Mapping[str, inspect.Parameter], name: str) -> bool:
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return any(
        each.kind is inspect.Parameter.VAR_KEYWORD or (each.name == name and each.kind in by_name)
        for each in taken.values()
    )


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
        raise SettingsError(
            f"model.name: {name} fails on a {batch} batch: {describe_error(error, source)}; correct its forward"
        ) from error
    finally:
        model.train()
    if settings.aux_weights is not None:
        output = main_output(output)
    shape = tuple(output.shape) if isinstance(output, torch.Tensor) else f"a {type(output).__name__}"
    if shape != (2, num_classes):
        advice = "its forward must return one logit per class"
        if isinstance(shape, tuple) and len(shape) == 2 and shape[0] == 2:
            advice = _advice(_parameters(maker), num_classes)
        raise SettingsError(
            f"model.name: {name} gives {shape} for a {batch} batch instead of (2, {num_classes}); {advice}"
        )


def _advice(taken: Mapping[str, inspect.Parameter], num_classes: int) -> str:
    """Sentence for a model with another number of logits: the option to set, or the change in the code."""
    for name in CLASS_COUNT_NAMES:
        if name in taken:
            return f"set model.options.{name}={num_classes}"
    if "num_classes" in taken:
        return f"give its last layer num_classes outputs ({num_classes} here)"
    return f"add a parameter num_classes and give its last layer as many outputs ({num_classes} here)"
