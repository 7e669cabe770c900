"""Custom models of the user, named `package.module:Class` or `file.py:Class`: import, construct, try on two images."""

from __future__ import annotations

import importlib
import inspect
import sys
import traceback
from pathlib import Path
from types import ModuleType

import torch
from torch import nn

from cifar_lab.config import CustomModel
from cifar_lab.config.data import IMAGE_SIDE
from cifar_lab.config.model_source import files_beside, source_file
from cifar_lab.core.errors import SettingsError
from cifar_lab.core.files import read_document
from cifar_lab.models.input_size import resize_input


def build_custom(settings: CustomModel, num_classes: int, side: int = IMAGE_SIDE) -> nn.Module:
    """`Class(num_classes=num_classes, **options)`, checked to give (2, num_classes) for a (2, 3, side, side) batch.

    The module's code runs in this process, like any import.

    Raises:
        SettingsError: no such file, module or class, or not a `torch.nn.Module`. It cannot be constructed with these
            options, has no trainable parameter, or gives another shape.
    """
    name = settings.name
    path = source_file(name)
    model_class = _find_class(name, path)
    try:
        model = model_class(num_classes=num_classes, **settings.options)
        trainable = any(parameter.requires_grad for parameter in model.parameters())
    except TypeError as error:
        given = ", ".join(["num_classes", *settings.options])
        raise SettingsError(
            f"model.options: {name} was called with {given}: {error}; it takes {_parameters(model_class)}"
        ) from error
    except Exception as error:
        raise SettingsError(
            f"model.name: {name} could not be created: {_describe(error, path)}; correct the class"
        ) from error
    if not trainable:
        raise SettingsError(f"model.name: {name} has no trainable parameters; create its layers in __init__")
    resize_input(model, settings.input_size)
    _try_out(model, name, path, num_classes, (2, 3, side, side))
    return model


def _find_class(name: str, path: Path) -> type[nn.Module]:
    where, _, class_name = name.rpartition(":")
    try:
        # Code that draws or seeds while it is imported must not move the run's own stream.
        with torch.random.fork_rng(devices=[]):
            module = _run_file(path) if where.endswith(".py") else importlib.import_module(where)
    except (Exception, SystemExit) as error:
        raise SettingsError(f"model.name: {where} cannot be imported: {_describe(error, path)}; correct it") from error
    found = getattr(module, class_name, None)
    if isinstance(found, type) and issubclass(found, nn.Module):
        return found
    models = [
        key
        for key, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, nn.Module) and value.__module__ == module.__name__
    ]
    fault = f"has no class {class_name}" if found is None else f"{class_name} is not a torch.nn.Module class"
    raise SettingsError(f"model.name: {where}: {fault}; its models are: {', '.join(models) or 'none'}")


def _run_file(path: Path) -> ModuleType:
    """Execute the file as a new module, from the text that the run id hashes. A cached copy could differ from it.

    It may import files beside it. They are removed from `sys.modules` afterwards, so that another model's files of the
    same name are not mistaken for them.
    """
    module = ModuleType(f"cifar_lab_custom_{path.stem}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # dataclasses and pickling look their module up by name
    folder, before = str(path.resolve().parent), set(sys.modules)
    beside = {other.relative_to(path.parent).parts[0].removesuffix(".py") for other in files_beside(path)}
    sys.path.insert(0, folder)
    try:
        exec(compile(read_document(path), str(path), "exec"), module.__dict__)
    finally:
        sys.path.remove(folder)
        for name in set(sys.modules) - before:
            if name.partition(".")[0] in beside:
                del sys.modules[name]
    return module


def _try_out(model: nn.Module, name: str, path: Path, num_classes: int, batch: tuple[int, ...]) -> None:
    """Run one forward pass of zeros in evaluation mode. Restores training mode and random streams."""
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            output = model.eval()(torch.zeros(batch))
    except Exception as error:
        raise SettingsError(
            f"model.name: {name} fails on a {batch} batch: {_describe(error, path)}; correct its forward"
        ) from error
    finally:
        model.train()
    shape = tuple(output.shape) if isinstance(output, torch.Tensor) else f"a {type(output).__name__}"
    if shape != (2, num_classes):
        raise SettingsError(
            f"model.name: {name} gives {shape} for a {batch} batch instead of (2, {num_classes}); "
            "its forward must return one logit per class"
        )


def _parameters(model_class: type[nn.Module]) -> str:
    parameters = list(inspect.signature(model_class.__init__).parameters.values())[1:]
    return ", ".join(map(str, parameters)) or "no arguments"


def _describe(error: BaseException, path: Path) -> str:
    """Type and first line of an error, and the innermost line of the user's file in its traceback."""
    line = (str(error).splitlines() or [""])[0]
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    location = f" ({path}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}{line and ': '}{line}{location}"
