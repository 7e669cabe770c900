"""Contradictions between settings that are valid individually. No torch, no files."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from cifar_lab.config import (
    SGD,
    Adam,
    Cosine,
    ModelOptions,
    OneCycle,
    Plateau,
    ResNet18Model,
    Settings,
    WarmUp,
)
from cifar_lab.config.data import IMAGE_SIDE
from cifar_lab.config.option_rules import metric_names, no_decay, optimizer_options, rprop_schedule, schedule_options
from cifar_lab.config.own_code import plain_reason

CIFAR_TEST_SIZE = 10_000
"""Test images of CIFAR-10 and of CIFAR-100 (Krizhevsky 2009)."""

Rule = Callable[[Settings], Iterator[str]]


def contradictions(settings: Settings, ignore: Collection[str] = ()) -> list[tuple[str, str]]:
    """(dotted key, contradiction) pairs, in the order of the rules. Empty if the settings agree.

    Args:
        ignore: keys or sections whose values are invalid. A rule that reads one of them is skipped.
    """
    found = []
    for keys, rule in RULES:
        if not (ignore and any(key == bad or key.startswith(bad + ".") for key in keys for bad in ignore)):
            found += [(keys[0], sentence) for sentence in rule(settings)]
    return found


def train_size(settings: Settings) -> int | None:
    """Images of the training split before the validation split is cut, or None if it depends on the files."""
    sizes = settings.data.sizes()
    return None if sizes is None else sizes.train


def _nesterov(settings: Settings) -> Iterator[str]:
    optimizer = settings.optimizer
    if isinstance(optimizer, SGD) and optimizer.nesterov and optimizer.momentum == 0:
        yield "nesterov needs momentum above 0; set optimizer.momentum (0.9, say) or nesterov: false"


def _betas(settings: Settings) -> Iterator[str]:
    optimizer = settings.optimizer
    if isinstance(optimizer, Adam) and optimizer.betas[0] ** 2 > optimizer.betas[1] ** 0.5:
        # The condition under which Adam was analysed (arXiv:1412.6980, section 4).
        first, second = optimizer.betas
        yield f"with [{first:g}, {second:g}] the square of the first is above the root of the second; are they swapped?"


def _monitor(settings: Settings) -> Iterator[str]:
    scheduler = settings.scheduler
    if isinstance(scheduler, Plateau) and scheduler.monitor.startswith("val_") and settings.data.val_size == 0:
        yield f"{scheduler.monitor} needs a validation split; set data.val_size (5000, say) or monitor train_loss"


def _warmup(settings: Settings) -> Iterator[str]:
    scheduler = settings.scheduler
    if isinstance(scheduler, WarmUp) and scheduler.warmup_epochs >= settings.epochs:
        yield f"{scheduler.warmup_epochs:g} is not below epochs, which is {settings.epochs}"


def _min_lr(settings: Settings) -> Iterator[str]:
    scheduler = settings.scheduler
    if isinstance(scheduler, Plateau | Cosine) and scheduler.min_lr > settings.optimizer.lr:
        yield f"{scheduler.min_lr:g} is above optimizer.lr, which is {settings.optimizer.lr:g}"


def _cycle_bounds(settings: Settings) -> Iterator[str]:
    scheduler = settings.scheduler
    if isinstance(scheduler, OneCycle) and scheduler.base_momentum > scheduler.max_momentum:
        yield f"{scheduler.base_momentum:g} is above max_momentum, which is {scheduler.max_momentum:g}"


def _cycle_momentum(settings: Settings) -> Iterator[str]:
    scheduler, optimizer = settings.scheduler, settings.optimizer
    if (
        isinstance(scheduler, OneCycle)
        and scheduler.cycle_momentum
        and isinstance(optimizer, SGD)
        and optimizer.momentum == 0
    ):
        yield "optimizer.momentum is 0, so there is no momentum to cycle; set it, or cycle_momentum: false"


def _pretrained(settings: Settings) -> Iterator[str]:
    model = settings.model
    if isinstance(model, ResNet18Model) and model.pretrained and model.weights is not None:
        yield "pretrained and weights both set the initial weights; keep one of them"


def _input_size(settings: Settings) -> Iterator[str]:
    model, side = settings.model, settings.model.input_size or settings.data.side()
    if isinstance(model, ModelOptions) and side != IMAGE_SIDE and not model.component.facts.any_size:
        yield f"{model.name} takes images of {IMAGE_SIDE} × {IMAGE_SIDE} pixels, not {side}; set model.input_size: 32"


def _kernels(settings: Settings) -> Iterator[str]:
    runtime = settings.runtime
    if runtime.kernels == "own" and (runtime.device == "cuda" or runtime.precision != "fp32" or runtime.compile):
        yield "the C kernels support only fp32 on the CPU without compile; leave it at auto"
    elif runtime.kernels == "own" and (reason := plain_reason(settings)) is not None:
        yield f"the C kernels do not know the {reason}; leave it at auto"


def _seeds(settings: Settings) -> Iterator[str]:
    seen: set[int] = set()
    for seed in settings.seeds:
        if seed in seen:
            yield f"seed {seed} is stated twice; remove one of them"
            return
        seen.add(seed)


def _val_size(settings: Settings) -> Iterator[str]:
    size = train_size(settings)
    if size is not None and settings.data.val_size >= size:
        yield f"{settings.data.val_size:,} leaves nothing of the {size:,} training images"


def _batch_size(settings: Settings) -> Iterator[str]:
    size = train_size(settings)
    left = None if size is None else size - settings.data.val_size
    if left is not None and 0 < left < settings.data.batch_size:
        yield f"{settings.data.batch_size:,} is above the {left:,} training images"


RULES: tuple[tuple[tuple[str, ...], Rule], ...] = (
    (("optimizer.nesterov", "optimizer.momentum", "optimizer.name"), _nesterov),
    (("optimizer.betas", "optimizer.name"), _betas),
    (("scheduler.monitor", "scheduler.name", "data.val_size"), _monitor),
    (("scheduler.warmup_epochs", "scheduler.name", "epochs"), _warmup),
    (("scheduler.min_lr", "scheduler.name", "optimizer.lr"), _min_lr),
    (("scheduler.base_momentum", "scheduler.max_momentum", "scheduler.name"), _cycle_bounds),
    (("scheduler.cycle_momentum", "scheduler.name", "optimizer.momentum", "optimizer.name"), _cycle_momentum),
    (("model.pretrained", "model.weights", "model.name"), _pretrained),
    (("model.input_size", "model.name", "data.image_size", "data.dataset"), _input_size),
    (
        (
            "runtime.kernels",
            "runtime.device",
            "runtime.precision",
            "runtime.compile",
            "optimizer.name",
            "loss.name",
            "data.augment",
        ),
        _kernels,
    ),
    (("seeds",), _seeds),
    (("optimizer.options", "optimizer.name"), optimizer_options),
    (("optimizer.weight_decay", "optimizer.name"), no_decay),
    (("scheduler.options", "scheduler.name"), schedule_options),
    (("scheduler.name", "optimizer.name"), rprop_schedule),
    (("metrics",), metric_names),
    (("data.val_size", "data.dataset", "data.train_size"), _val_size),
    (("data.batch_size", "data.val_size", "data.dataset", "data.train_size"), _batch_size),
)
"""Each rule with the keys that it reads. A contradiction is reported at the first key."""
