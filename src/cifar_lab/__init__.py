"""cifar-lab: controlled training experiments on small images. Importing it does not import torch.

import cifar_lab as lab

adam = lab.load_settings("configs/q3_adam.yaml", ["epochs=5"])
made = lab.make_runs(adam, results="results")  # display=lab.Silent() prints nothing
for record in made.records:
    print(record.label, record.seed, record.test.accuracy)

What the options of `cifar-lab run` say of tries and time is `policy=lab.policy(retries=3, time_limit="2h")`; runs on a
Ray cluster are made by `with lab.open_engine("ray", "10.0.0.1:6379") as cluster:` and `engine=cluster`.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cifar_lab.api import (
        load_model,
        make_runs,
        make_sweep,
        policy,
        read_metrics,
        read_records,
        report,
        run,
        summarize,
    )
    from cifar_lab.config.io.load import load_settings, settings_from
    from cifar_lab.core._version import __version__ as __version__
    from cifar_lab.execution.context import Silent, open_engine
    from cifar_lab.studies.sweep import load_sweep

__all__ = [
    "Silent",
    "load_model",
    "load_settings",
    "load_sweep",
    "make_runs",
    "make_sweep",
    "open_engine",
    "policy",
    "read_metrics",
    "read_records",
    "report",
    "run",
    "settings_from",
    "summarize",
]

_HOMES = {
    "__version__": "core._version",
    "load_model": "api",
    "load_settings": "config.io.load",
    "settings_from": "config.io.load",
    "make_runs": "api",
    "make_sweep": "api",
    "open_engine": "execution.context",
    "policy": "api",
    "read_metrics": "api",
    "read_records": "api",
    "Silent": "execution.context",
    "report": "report",
    "run": "api",
    "summarize": "api",
    "load_sweep": "studies.sweep",
}


class _CallableReport(ModuleType):
    """The package `cifar_lab.report`, which is also the function `report` of scripts and notebooks."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """See `cifar_lab.api.report`."""
        return import_module("cifar_lab.api").report(*arguments, **options)


class _Package(ModuleType):
    """This package. Importing a package below it sets an attribute here, which must not hide a function."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "report" and isinstance(value, ModuleType):
            value.__class__ = _CallableReport
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module 'cifar_lab' has no attribute {name!r}")
    home = import_module(f"cifar_lab.{_HOMES[name]}")
    return home if name == _HOMES[name] else getattr(home, name)
