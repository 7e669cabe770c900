"""Optional packages: whether they are installed, and the command that installs them. No import of any."""

from __future__ import annotations

import json
import shlex
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import unquote, urlsplit

from cifar_lab.core.errors import MissingExtraError

ExtraName = Literal["optuna", "ray", "tensorboard", "mlflow", "timm", "onnx", "wandb", "pandas", "attacks"]


class Extra(NamedTuple):
    """An extra of pyproject.toml that a command may need."""

    title: str
    modules: tuple[str, ...]


EXTRAS: dict[ExtraName, Extra] = {
    "optuna": Extra("Optuna", ("optuna",)),
    "ray": Extra("Ray", ("ray",)),
    "tensorboard": Extra("TensorBoard", ("tensorboard",)),
    "mlflow": Extra("MLflow", ("mlflow", "sqlalchemy", "alembic")),
    "timm": Extra("timm", ("timm",)),
    "onnx": Extra("ONNX", ("onnx", "onnxscript", "onnxruntime")),
    "wandb": Extra("Weights & Biases", ("wandb",)),
    "pandas": Extra("pandas", ("pandas",)),
    "attacks": Extra("pyautoattack", ("pyautoattack",)),
}


def require_extra(name: ExtraName, needed_by: str) -> None:
    """Check that the packages of an extra are installed.

    Args:
        name: the extra.
        needed_by: option or setting that needs it.

    Raises:
        MissingExtraError: one is not, with the command that installs it.
    """
    if any(find_spec(module) is None for module in EXTRAS[name].modules):
        raise missing_extra(name, needed_by)


def missing_extra(name: ExtraName, needed_by: str) -> MissingExtraError:
    """Exception for an extra that is not installed, or cannot be imported."""
    return MissingExtraError(f"{needed_by}: {EXTRAS[name].title} is not installed; {install_words(name)}")


def outdated_extra(name: ExtraName, needed_by: str, reason: str) -> MissingExtraError:
    """Exception for an extra whose installed version is refused."""
    return MissingExtraError(f"{needed_by}: {reason}; {install_words(name, update=True)}")


def install_words(name: ExtraName, *, update: bool = False) -> str:
    """Words with the command that installs an extra from the checkout of this installation."""
    checkout = _checkout()
    place = "in a checkout of cifar-lab: " if checkout is None else f"cd {shlex.quote(str(checkout))} && "
    return f"to install it: {place}pip install {'-U ' if update else ''}'.[{name}]'"


def _checkout() -> Path | None:
    """Folder that cifar-lab was installed from (PEP 610). None for a wheel, or where the folder is gone."""
    try:
        text = distribution("cifar-lab").read_text("direct_url.json")
        url = urlsplit(json.loads(text or "{}").get("url", ""))
    except (PackageNotFoundError, ValueError, AttributeError):
        return None
    folder = Path(unquote(url.path))
    return folder if url.scheme == "file" and (folder / "pyproject.toml").is_file() else None
