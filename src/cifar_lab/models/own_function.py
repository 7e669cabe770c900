"""Classes and functions of the user beside the model: find them by name, and call them with their options."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from cifar_lab.config.io.nearest_name import did_you_mean
from cifar_lab.config.model_source import ModelSource, model_source
from cifar_lab.core.errors import SettingsError
from cifar_lab.models.custom_maker import BY_NAME
from cifar_lab.models.user_code import forked_generators, import_code
from cifar_lab.models.user_errors import describe_error


class OwnCode:
    """One class or function of the user."""

    def __init__(self, key: str, name: str) -> None:
        """Import it.

        Args:
            key: setting that names it, for messages.
            name: `file.py:NAME` or `package.module:NAME`.

        Raises:
            SettingsError: the code cannot be imported, or has nothing of that name that can be called.
        """
        self.key, self.name = key, name
        self.source: ModelSource = model_source(name, key)
        where, _, wanted = name.rpartition(":")
        try:
            with forked_generators():  # code that draws while it is imported must not move the run's own stream
                module = import_code(self.source)
        except (Exception, SystemExit) as error:
            raise self.refusal(f"cannot be imported: {self.describe(error)}; correct it") from error
        found = getattr(module, wanted, None)
        if not callable(found):
            names = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
            fault = f"has no {wanted}{did_you_mean(wanted, names)}" if found is None else f"{wanted} cannot be called"
            raise SettingsError(f"{key}: {where}: {fault}; it has {', '.join(names) or 'nothing that can be called'}")
        self.called: Callable[..., Any] = found

    def refusal(self, reason: str) -> SettingsError:
        """Error that names the setting and the code."""
        return SettingsError(f"{self.key}: {self.name}: {reason}")

    def describe(self, error: BaseException) -> str:
        """Error of the user's code in one line, with its place."""
        return describe_error(error, self.source)

    def check_options(self, options: Mapping[str, Any], given: int) -> None:
        """Check the names of the options against the signature.

        Args:
            given: arguments that cifar-lab passes by position.

        Raises:
            SettingsError: an option that it does not take, or an argument without a value.
        """
        taken = parameters_of(self.called)
        if taken is None:
            return
        free = list(taken.values())[given:]
        any_name = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in free)
        names = [each.name for each in free if each.kind in BY_NAME]
        section = self.key.partition(".")[0]
        for name in options:
            if name not in names and not any_name:
                hint = did_you_mean(name, names) or (f"; it takes {', '.join(names)}" if names else "; it takes none")
                raise SettingsError(f"{section}.options: {self.name} takes no {name}{hint}")
        for each in free:
            if each.kind in BY_NAME and each.default is inspect.Parameter.empty and each.name not in options:
                raise SettingsError(
                    f"{section}.options: {self.name} needs {each.name}; set {section}.options.{each.name}"
                )


def parameters_of(called: Callable[..., Any]) -> Mapping[str, inspect.Parameter] | None:
    """Parameters of a class or function, without `self`. None where they are not known."""
    try:
        return inspect.signature(called).parameters
    except (TypeError, ValueError):  # written in C
        return None


def tuples(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options with tuples for lists."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}
