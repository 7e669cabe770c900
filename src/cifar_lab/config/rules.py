"""Contradictions between settings that are valid individually. No torch, no files."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from cifar_lab.config import (
    SGD,
    Cosine,
    ImageFolder,
    ModelOptions,
    OneCycle,
    Piecewise,
    Plateau,
    ResNet18Model,
    Settings,
    WarmUp,
)
from cifar_lab.config.data import IMAGE_SIDE
from cifar_lab.config.fine_tune_rules import average_rules, freezing_rules, norm_rules, rate_rules, stage_rules
from cifar_lab.config.option_rules import (
    group_rules,
    metric_names,
    no_decay,
    optimizer_options,
    rprop_schedule,
    schedule_options,
)
from cifar_lab.config.own_code import kernels_reason
from cifar_lab.config.training import OtherSGD

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
    others = getattr(optimizer, "others", None)
    if isinstance(others, OtherSGD) and others.nesterov and others.momentum == 0:
        yield "nesterov of others needs momentum above 0; set optimizer.others.momentum (0.9, say) or nesterov: false"


def _betas(settings: Settings) -> Iterator[str]:
    optimizer = settings.optimizer
    betas = getattr(getattr(optimizer, "others", optimizer), "betas", None)
    if betas is not None and betas[0] ** 2 > betas[1] ** 0.5:
        # The condition under which Adam was analysed (arXiv:1412.6980, section 4).
        first, second = betas
        yield f"with [{first:g}, {second:g}] the square of the first is above the root of the second; are they swapped?"


def _monitor(settings: Settings) -> Iterator[str]:
    scheduler = settings.scheduler
    if isinstance(scheduler, Plateau) and scheduler.monitor.startswith("val_") and not settings.data.has_validation():
        yield f"{scheduler.monitor} needs a validation split; set data.val_size (0.1, say) or monitor train_loss"


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


def _points(settings: Settings) -> Iterator[str]:
    scheduler = settings.scheduler
    if not isinstance(scheduler, Piecewise):
        return
    shares = [share for share, _ in scheduler.points]
    if (shares[0], shares[-1]) != (0, 1):
        yield f"the first point has share {shares[0]:g} and the last {shares[-1]:g}; begin at 0 and end at 1"
    elif shares != sorted(shares):
        yield "the shares of the points do not rise; sort the points"
    elif not any(factor for _, factor in scheduler.points):
        yield "every point has the factor 0, so nothing is trained; set one above 0"


def _pretrained(settings: Settings) -> Iterator[str]:
    model = settings.model
    if isinstance(model, ResNet18Model) and model.pretrained and model.weights is not None:
        yield "pretrained and weights both set the initial weights; keep one of them"


def _init(settings: Settings) -> Iterator[str]:
    model = settings.model
    stated = model.init != type(model).model_fields["init"].default
    if stated and (model.weights is not None or getattr(model, "pretrained", False)):
        yield "init and pretrained weights both set the initial weights; keep one of them"
    if model.init == "whiten" and model.input_size not in (None, settings.data.side()):
        yield "whiten takes patches of the images in their own size; remove model.input_size"


def _head_init(settings: Settings) -> Iterator[str]:
    model = settings.model
    if model.head_init == "zero" and model.weights is not None and model.head == "keep":
        yield "head_init: zero replaces the last layer that head: keep keeps; set head: new"


def _input_size(settings: Settings) -> Iterator[str]:
    model, side = settings.model, settings.model.input_size or settings.data.side()
    if isinstance(model, ModelOptions) and side != IMAGE_SIDE and not model.component.facts.any_size:
        yield f"{model.name} takes images of {IMAGE_SIDE} × {IMAGE_SIDE} pixels, not {side}; set model.input_size: 32"


def _kernels(settings: Settings) -> Iterator[str]:
    runtime = settings.runtime
    if runtime.kernels == "own" and (runtime.precision != "fp32" or runtime.compile):
        yield "the lab's own kernels support only fp32 without compile; leave it at auto"
    elif runtime.kernels == "own" and (reason := kernels_reason(settings)) is not None:
        yield f"the lab's own kernels do not know the {reason}; leave it at auto"


def _mixing(settings: Settings) -> Iterator[str]:
    data = settings.data
    if data.mixes and data.batch_size == 1:
        key = "mixup" if data.mixup else "cutmix"
        yield f"{key} mixes images of a batch, and data.batch_size is 1; set a larger one"


def _reflection(settings: Settings) -> Iterator[str]:
    data = settings.data
    if data.crop_padding_mode == "reflect" and data.crop_padding >= data.side():
        yield f"an image of {data.side()} pixels has too few to mirror {data.crop_padding}; set a smaller crop_padding"


def _seeds(settings: Settings) -> Iterator[str]:
    seen: set[int] = set()
    for seed in settings.seeds:
        if seed in seen:
            yield f"seed {seed} is stated twice; remove one of them"
            return
        seen.add(seed)


def _val_size(settings: Settings) -> Iterator[str]:
    if (sizes := settings.data.sizes()) is not None:
        size = settings.data.val_count(sizes.train)
        if size >= sizes.train:
            yield too_many(size, sizes.train, sizes.train - sizes.classes)


def too_many(val_size: int, train: int, most: int) -> str:
    """Contradiction of a validation split that leaves nothing to train on.

    Args:
        val_size: its number of images.
        train: images before it is cut.
        most: the largest number that works, 0 for none.
    """
    return f"{val_size:,} of {train:,} training images leave none to train on; {at_most(most)}"


def at_most(most: int) -> str:
    """Advice with the largest validation split that works, 0 for none."""
    return f"the largest size that works is {most:,}" if most > 0 else "no size works; remove it"


def _val_indices(settings: Settings) -> Iterator[str]:
    data = settings.data
    if data.val_indices is not None and data.val_size:
        yield "val_indices and val_size both choose the validation images; keep one of them"
    if data.val_indices is not None and isinstance(data, ImageFolder) and data.val_folder == "validation":
        yield "val_indices and val_folder both choose the validation images; keep one of them"


def _classes(settings: Settings) -> Iterator[str]:
    if len(settings.data.classes) == 1:
        yield f"{settings.data.classes[0]} is the only class; name at least two classes, or none for all of them"


def _batch_size(settings: Settings) -> Iterator[str]:
    size = train_size(settings)
    if size is not None and not settings.data.val_indices:
        yield from batch_too_large(settings, size - settings.data.val_count(size))


def batch_too_large(settings: Settings, left: int) -> Iterator[str]:
    """Contradiction of a batch with the images that are left to train on. The default batch takes what there is."""
    size = settings.data.batch_size
    if 0 < left < size and size != type(settings.data).model_fields["batch_size"].default:
        yield f"{size:,} is above the {left:,} images to train on; set at most {left:,}"


RULES: tuple[tuple[tuple[str, ...], Rule], ...] = (
    (("optimizer.nesterov", "optimizer.momentum", "optimizer.name"), _nesterov),
    (("optimizer.betas", "optimizer.name"), _betas),
    (("scheduler.monitor", "scheduler.name", "data.val_size"), _monitor),
    (("scheduler.warmup_epochs", "scheduler.name", "epochs"), _warmup),
    (("scheduler.min_lr", "scheduler.name", "optimizer.lr"), _min_lr),
    (("scheduler.base_momentum", "scheduler.max_momentum", "scheduler.name"), _cycle_bounds),
    (("scheduler.cycle_momentum", "scheduler.name", "optimizer.momentum", "optimizer.name"), _cycle_momentum),
    (("scheduler.points", "scheduler.name"), _points),
    (("model.pretrained", "model.weights", "model.name"), _pretrained),
    (("model.init", "model.weights", "model.pretrained", "model.input_size", "model.name"), _init),
    (("model.head_init", "model.head", "model.weights", "model.name"), _head_init),
    (("model.input_size", "model.name", "data.image_size", "data.dataset"), _input_size),
    (
        (
            "runtime.kernels",
            "runtime.precision",
            "runtime.compile",
            "optimizer.name",
            "loss.name",
            "data.augment",
        ),
        _kernels,
    ),
    (("data.mixup", "data.cutmix", "data.batch_size"), _mixing),
    (("data.crop_padding_mode", "data.crop_padding", "data.image_size", "data.dataset"), _reflection),
    (("seeds",), _seeds),
    (("optimizer.options", "optimizer.name"), optimizer_options),
    (("optimizer.weight_decay", "optimizer.name"), no_decay),
    (("optimizer.groups", "optimizer.name"), group_rules),
    (
        ("model.freeze", "fine_tune.freeze_epochs", "fine_tune.gradual_unfreeze", "fine_tune.layer_decay"),
        freezing_rules,
    ),
    (("fine_tune.freeze_epochs", "fine_tune.gradual_unfreeze", "epochs"), stage_rules),
    (("fine_tune.batchnorm", "model.name"), norm_rules),
    (("average.name", "fine_tune.freeze_epochs", "fine_tune.gradual_unfreeze"), average_rules),
    (("fine_tune.layer_decay", "fine_tune.head_lr_factor", "optimizer.name"), rate_rules),
    (("scheduler.options", "scheduler.name"), schedule_options),
    (("scheduler.name", "optimizer.name"), rprop_schedule),
    (("metrics", "average.name"), metric_names),
    (("data.val_size", "data.dataset", "data.train_size"), _val_size),
    (("data.val_indices", "data.val_size", "data.val_folder"), _val_indices),
    (("data.classes",), _classes),
    (("data.batch_size", "data.val_size", "data.dataset", "data.train_size"), _batch_size),
)
"""Each rule with the keys that it reads. A contradiction is reported at the first key."""
