"""Call of the class or function that makes a custom model, with its options."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

from cifar_lab.config import CustomModel
from cifar_lab.core.errors import SettingsError
from cifar_lab.models.user_errors import describe_error, lacks_memory

if TYPE_CHECKING:
    from cifar_lab.config.model_source import ModelSource

CLASS_COUNT_NAMES = ("n_classes", "nclasses", "num_class", "class_num", "classes", "n_class", "num_labels", "out_dim")
"""Names that others give to `num_classes`."""

BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
"""Kinds of parameters that an option can set."""

SHOWN_FUNCTIONS = 5
"""Functions of a module that advice names."""


def functions_of(module: ModuleType) -> list[str]:
    """Public functions that were made in a module."""
    own = vars(module).items()
    return [key for key, value in own if key[0] != "_" and inspect.isfunction(value) and is_own(value, module)]


def is_own(value: Any, module: ModuleType) -> bool:
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
    missing = [
        f"model.options.{name}" + (f"={num_classes}" if name in CLASS_COUNT_NAMES else "")
        for name, each in taken.items()
        if each.default is inspect.Parameter.empty and each.kind in BY_NAME and name not in options
    ]
    if not missing:
        return ""
    module = sys.modules.get(maker.__module__)
    functions = functions_of(module) if module is not None and isinstance(maker, type) else []
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
    return any(
        each.kind is inspect.Parameter.VAR_KEYWORD or (each.name == name and each.kind in BY_NAME)
        for each in taken.values()
    )
