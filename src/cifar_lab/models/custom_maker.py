"""Class or function that makes a custom model: found in its module, and called with its options."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import partial
from types import ModuleType
from typing import Any

from torch import nn

from cifar_lab.config import CustomModel
from cifar_lab.config.model_source import TIMM, ModelSource
from cifar_lab.core.errors import SettingsError
from cifar_lab.models.user_code import forked_generators, import_model_module
from cifar_lab.models.user_errors import describe_error, lacks_memory

CLASS_COUNT_NAMES = ("n_classes", "nclasses", "num_class", "class_num", "classes", "n_class", "num_labels", "out_dim")
"""Names that others give to `num_classes`."""

SHOWN_FUNCTIONS = 5
"""Functions of a module that advice names."""


def find_maker(name: str, source: ModelSource) -> Callable[..., Any]:
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
        if isinstance(value, type) and issubclass(value, nn.Module) and _is_own(value, module)
    ]
    functions = _functions(module)
    listed = f"its models are: {', '.join(models) or 'none'}"
    return f"{listed}; its functions are: {', '.join(functions)}" if functions else listed


def _functions(module: ModuleType) -> list[str]:
    """Public functions that were made in a module."""
    own = vars(module).items()
    return [key for key, value in own if key[0] != "_" and inspect.isfunction(value) and _is_own(value, module)]


def _is_own(value: Any, module: ModuleType) -> bool:
    """Whether a class or function was made in the module, or below it if that is a package."""
    made_in = str(value.__module__)
    return made_in == module.__name__ or (hasattr(module, "__path__") and made_in.startswith(f"{module.__name__}."))


def call_maker(maker: Callable[..., Any], settings: CustomModel, source: ModelSource, num_classes: int) -> Any:
    """Call the class or function with the options, and with `num_classes` where it is accepted."""
    name, taken = settings.name, parameters_of(maker)
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
    except (Exception, SystemExit) as error:
        if not _is_about_arguments(error, options):
            raise _not_created(name, error, source) from error
        missing = _missing_options(maker, taken, options, num_classes)
        raise SettingsError(
            f"model.options: {name} was called with {', '.join(options) or 'nothing'}: {error}; "
            f"it takes {', '.join(map(str, taken.values())) or 'no arguments'}{missing}"
        ) from error


def _missing_options(
    maker: Callable[..., Any], taken: Mapping[str, inspect.Parameter], options: Mapping[str, Any], num_classes: int
) -> str:
    """Advice where required arguments are missing: the options to set, and functions that may give them."""
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    missing = [
        f"model.options.{name}" + (f"={num_classes}" if name in CLASS_COUNT_NAMES else "")
        for name, each in taken.items()
        if each.default is inspect.Parameter.empty and each.kind in named and name not in options
    ]
    if not missing:
        return ""
    module = sys.modules.get(maker.__module__)
    functions = _functions(module) if module is not None and isinstance(maker, type) else []
    shown = ", ".join(functions[:SHOWN_FUNCTIONS]) + (", …" if len(functions) > SHOWN_FUNCTIONS else "")
    return f"; set {' and '.join(missing)}{f', or name a function that makes the model: {shown}' if functions else ''}"


def _is_about_arguments(error: BaseException, options: Mapping[str, Any]) -> bool:
    """Whether a call failed because of its arguments, and not in the code of the class or function."""
    traceback = error.__traceback__
    called = traceback is not None and traceback.tb_next is not None
    return isinstance(error, TypeError) and (not called or any(f"'{name}'" in str(error) for name in options))


def _not_created(name: str, error: BaseException, source: ModelSource) -> SettingsError:
    reason = f"{describe_error(error, source)}; correct it"
    if lacks_memory(error):
        reason = "it needs more memory than is free; choose a smaller model"
    return SettingsError(f"model.name: {name} could not be created: {reason}")


def parameters_of(maker: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
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
