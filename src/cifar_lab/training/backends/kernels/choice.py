"""Whether a run's steps are made of our own kernels or of torch's."""

from __future__ import annotations

from dataclasses import replace

from cifar_lab.config import Settings
from cifar_lab.config.model_catalog import MODEL_FACTS
from cifar_lab.training.backends.kernels.compiler import KernelsUnavailable
from cifar_lab.training.backends.kernels.network import step_function
from cifar_lab.training.device import Execution


def choose_kernels(
    settings: Settings, execution: Execution, members: int, saved: str | None
) -> tuple[Execution, str | None]:
    """(`execution` with the choice; why it is torch's on the CPU although the settings leave it open).

    Args:
        members: runs that train together.
        saved: what a run's first epochs were made of (`own`, `torch`), or None for a new one: it goes on so, because
            the others round differently.

    Raises:
        SettingsError: the settings insist on our own, and they cannot be had.
    """
    asked = settings.runtime.kernels
    if asked == "torch" or (execution.device.type != "cpu" and asked == "auto"):
        return execution, None
    try:
        _check(settings, execution, members)
        if saved == "torch" and asked == "auto":
            raise KernelsUnavailable("its first epochs were made of torch's")
    except KernelsUnavailable as error:
        if asked == "own":
            raise error.for_who_insists() from error
        return execution, str(error)
    return replace(execution, own_kernels=True), None


def _check(settings: Settings, execution: Execution, members: int) -> None:
    """Raises NoKernels where they cannot be had for such runs, here."""
    facts = MODEL_FACTS.get(settings.model.name)
    if facts is None or not facts.own_kernels:
        raise KernelsUnavailable(f"there are none for {settings.model.name.rpartition('/')[2]}")
    if execution.device.type != "cpu":
        raise KernelsUnavailable("there are none for a GPU")
    if execution.bf16:
        raise KernelsUnavailable("there are none for bf16")
    if settings.runtime.compile:
        raise KernelsUnavailable("runtime.compile makes others")
    if members > 1:
        raise KernelsUnavailable("runs that train together are stacked by torch")
    step_function()
