"""Classes and functions of the user that an arm names: its model, optimizer, schedule, loss, augmentation, metrics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cifar_lab.config.loss import distillation
from cifar_lab.config.optimizers import TorchOptimizer
from cifar_lab.config.roles import Mark, has_mark, leaves

if TYPE_CHECKING:
    from cifar_lab.config import Settings


def own_code(settings: Settings) -> list[tuple[str, str]]:
    """(dotted key, name) of each class or function of the user, each name once."""
    found = {name: key for key, names in _named(settings) for name in reversed(names)}
    return [(key, name) for name, key in found.items()]


def _named(settings: Settings) -> Iterator[tuple[str, list[str]]]:
    for key, owner, field in leaves(settings):
        if has_mark(type(owner), field, Mark.CODE):
            value: Any = getattr(owner, field)
            yield key, [value] if isinstance(value, str) else list(value or ())


def own_components(settings: Settings) -> list[tuple[str, str]]:
    """As `own_code`, without the model."""
    return [(key, name) for key, name in own_code(settings) if key != "model.name"]


def needs_trial(settings: Settings) -> bool:
    """Whether a component beside the model can fail: code of the user, options of a class of torch, or groups whose
    `match` may be found in no name."""
    options = getattr(settings.optimizer, "options", {}) or getattr(settings.scheduler, "options", {})
    return bool(options or settings.optimizer.groups or own_components(settings))


def plain_reason(settings: Settings) -> str | None:
    """Reason why torch executes the steps of these settings. None if other kernels may."""
    if isinstance(settings.optimizer, TorchOptimizer):
        return f"optimizer {settings.optimizer.name}"
    for key, name in own_components(settings):
        if key in ("optimizer.name", "loss.name", "data.augment"):
            return f"{key.removesuffix('.name').replace('data.augment', 'augmentation')} {short_name(name)}"
    return None


def kernels_reason(settings: Settings) -> str | None:
    """Reason why the C kernels do not execute the steps of these settings, as a thing that they do not know."""
    if (reason := plain_reason(settings)) is not None:
        return reason
    if settings.adversarial.eps:
        return "adversarial training"
    return None if distillation(settings.loss) is None else "loss with a teacher"


def short_name(name: str) -> str:
    """`file.py:NAME` without its folder. Other texts are unchanged."""
    return name.rpartition("/")[2] if ".py:" in name else name
