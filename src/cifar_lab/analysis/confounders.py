"""Confounders: settings and facts that change along with the factor that an arm names.

Sources: learning rate and batch size, Goyal et al. 2017 (arXiv:1706.02677) for SGD and Malladi et al. 2022
(arXiv:2205.10287) for Adam. Larger rates with BatchNorm, Bjorck et al. 2018 (arXiv:1806.02375). Optimizers compared at
one rate, Choi et al. 2019 (arXiv:1910.05446).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, sqrt

from cifar_lab.analysis.factors import changes
from cifar_lab.config import CornerSchedule, Cosine, Model, OneCycle, Plateau, ResNet18Model, Settings, Step
from cifar_lab.config.loss import distillation
from cifar_lab.config.registry import facts_of

SCALING: dict[str, tuple[Callable[[float], float], str]] = {
    "sgd": (float, "linear scaling, arXiv:1706.02677"),
    "adam": (sqrt, "square-root scaling, arXiv:2205.10287"),
}
"""Learning-rate factor as a function of the batch-size factor, with its source, by the optimizer's `step_rule`."""


@dataclass(frozen=True)
class Facts:
    """Facts that the settings do not have."""

    train_size: int | None = None
    """Number of training images, those of a validation split included."""
    control_parameters: int | None = None
    arm_parameters: int | None = None
    """Trainable parameters, from finished runs."""


def confounders(control: Settings, arm: Settings, facts: Facts = Facts()) -> list[str]:
    """One sentence per confounder of the arm."""
    rules: tuple[Callable[[Settings, Settings, Facts], Iterator[str]], ...] = (
        _batch, _rate_of_optimizer, _decay, _model, _schedule, _images, _length, _teacher, _seeds,
    )  # fmt: skip
    return [sentence for rule in rules for sentence in rule(control, arm, facts)]


def steps(settings: Settings, train_size: int) -> int:
    """Number of optimizer steps of a whole run."""
    return ceil((train_size - settings.data.val_count(train_size)) / settings.data.batch_size) * settings.epochs


def _batch(control: Settings, arm: Settings, facts: Facts) -> Iterator[str]:
    ours, theirs = arm.data.batch_size, control.data.batch_size
    if ours == theirs:
        return
    ratio = ours / theirs
    if facts.train_size:
        yield (
            f"batch {ours} makes {steps(arm, facts.train_size):,} updates, batch {theirs} makes "
            f"{steps(control, facts.train_size):,}, in the same epochs"
        )
    else:
        yield f"batch {ours} makes {1 / ratio:.3g} times the updates of batch {theirs}, in the same epochs"
    if arm.optimizer.lr == control.optimizer.lr and arm.optimizer.name == control.optimizer.name:
        lr, rule = arm.optimizer.lr, SCALING.get(arm.optimizer.component.step_rule)
        fitting = "" if rule is None else f"; {lr * rule[0](ratio):.3g} would suit batch {ours} ({rule[1]})"
        yield f"the learning rate stays {lr:g}{fitting}"


def _rate_of_optimizer(control: Settings, arm: Settings, facts: Facts) -> Iterator[str]:
    ours, theirs = arm.optimizer, control.optimizer
    rules = {ours.component.step_rule or ours.name, theirs.component.step_rule or theirs.name}
    if len(rules) > 1 and ours.lr == theirs.lr:
        yield (
            f"{ours.name} and {theirs.name} share the learning rate {ours.lr:g}, but the same rate means different "
            "step lengths; tune the rate of both before you call one better (arXiv:1910.05446)"
        )


def _decay(control: Settings, arm: Settings, facts: Facts) -> Iterator[str]:
    ours, theirs = arm.optimizer, control.optimizer
    if ours.name != theirs.name and ours.weight_decay != theirs.weight_decay:
        yield (
            f"{ours.name} has weight decay {ours.weight_decay:g}, its default, where {theirs.name} has "
            f"{theirs.weight_decay:g}"
        )


def _is_pretrained(model: Model) -> bool:
    return isinstance(model, ResNet18Model) and model.pretrained


def _model(control: Settings, arm: Settings, facts: Facts) -> Iterator[str]:
    ours, theirs = arm.model, control.model
    if _is_pretrained(ours) and not _is_pretrained(theirs):
        yield "the weights were pretrained on the 1.28 million images of ImageNet"
        if arm.data.normalize != "imagenet":
            yield f"these weights expect data.normalize: imagenet, and the arm has {arm.data.normalize}"
    elif ours.weights is not None and theirs.weights is None and not _is_pretrained(theirs):
        yield "its first weights were trained before, by epochs and on images that are not counted here"
    tuned = (ours.freeze, arm.fine_tune) != (theirs.freeze, control.fine_tune)
    if tuned and arm.optimizer.lr == control.optimizer.lr:
        yield f"other layers train, which may need another learning rate, but it stays {arm.optimizer.lr:g}"
    if ours.name == theirs.name:
        return
    mine = facts.arm_parameters or _usual_parameters(arm)
    others = facts.control_parameters or _usual_parameters(control)
    if mine and others and abs(mine / others - 1) > 0.1:
        yield f"{ours.name} has {mine:,} parameters where {theirs.name} has {others:,}: {mine / others:.3g} times"
    norms = [None if known is None else known.batch_norm for known in map(facts_of, (ours, theirs))]
    if norms == [True, False] and arm.optimizer.lr == control.optimizer.lr:
        yield (
            f"BatchNorm allows larger learning rates (arXiv:1806.02375), but the rate stays {arm.optimizer.lr:g}, so "
            "the arm may not be at its best"
        )


def _usual_parameters(settings: Settings) -> int | None:
    known = facts_of(settings.model)
    return known.parameters if known else None


def _schedule(control: Settings, arm: Settings, facts: Facts) -> Iterator[str]:
    scheduler, lr = arm.scheduler, arm.optimizer.lr
    if scheduler == control.scheduler and arm.epochs == control.epochs:
        return
    if isinstance(scheduler, Plateau):
        first = scheduler.patience + 2  # after the first epoch, which is the best so far, patience + 1 bad ones
        if first >= arm.epochs:
            yield (
                f"this schedule has no effect: with patience {scheduler.patience} the first cut can come after epoch "
                f"{first}, and there are {arm.epochs}"
            )
        else:
            yield (
                f"the schedule cuts after epoch {first} at the earliest, where {scheduler.monitor} has not improved "
                f"for {scheduler.patience + 1} epochs; until then the learning rate is constant"
            )
    elif isinstance(scheduler, Step) and (scheduler.step_epochs >= arm.epochs or scheduler.gamma == 1):
        yield f"this schedule has no effect: a cut every {scheduler.step_epochs} epochs, and there are {arm.epochs}"
    elif isinstance(scheduler, Step | Cosine | OneCycle | CornerSchedule):
        share = _mean_rate(arm) / lr
        if abs(share - 1) > 0.05:
            yield f"the mean learning rate over the run is {share:.2g} times optimizer.lr, so the steps are shorter"
    if isinstance(scheduler, OneCycle) and scheduler.cycle_momentum:
        yield (
            f"one-cycle also changes momentum, from {scheduler.max_momentum:g} to {scheduler.base_momentum:g} and back"
        )


def _mean_rate(arm: Settings) -> float:
    """Mean learning rate over the steps of a run, without a warm-up."""
    scheduler, lr = arm.scheduler, arm.optimizer.lr
    if isinstance(scheduler, Cosine):
        return (lr + scheduler.min_lr) / 2
    if isinstance(scheduler, OneCycle):
        peak = scheduler.max_lr or lr
        first = peak / scheduler.div_factor
        up, down = (first + peak) / 2, (peak + first / scheduler.final_div_factor) / 2
        return scheduler.pct_start * up + (1 - scheduler.pct_start) * down
    if isinstance(scheduler, CornerSchedule):
        corners = scheduler.corners()
        return lr * sum((x1 - x0) * (y0 + y1) / 2 for (x0, y0), (x1, y1) in pairwise(corners))
    assert isinstance(scheduler, Step)
    return lr * sum(scheduler.gamma ** (epoch // scheduler.step_epochs) for epoch in range(arm.epochs)) / arm.epochs


def _images(control: Settings, arm: Settings, facts: Facts) -> Iterator[str]:
    ours, theirs = (_set_aside(each, facts.train_size) for each in (arm, control))
    if ours != theirs:
        yield (
            f"{ours} are set aside for validation, but the control sets aside {theirs.removesuffix(' images')}, so the "
            "arms do not train on the same images"
        )
    elif arm.data.val_indices != control.data.val_indices:
        yield "data.val_indices names other validation images, so the arms do not train on the same images"
    if arm.data.normalize != control.data.normalize and arm.optimizer.lr == control.optimizer.lr:
        yield (
            f"inputs of another scale ({arm.data.normalize}) need another learning rate, but it stays "
            f"{arm.optimizer.lr:g}"
        )


def _set_aside(settings: Settings, train_size: int | None) -> str:
    """Size of the validation split in words: a number of images, or a share where their number is not known."""
    data = settings.data
    if isinstance(data.val_size, int) or train_size is not None:
        return f"{data.val_count(train_size or 0):,} images"
    return f"{data.val_size:.4g} of the images"


def _length(control: Settings, arm: Settings, facts: Facts) -> Iterator[str]:
    if arm.epochs != control.epochs:
        yield f"{arm.epochs} epochs are {arm.epochs / control.epochs:.3g} times the training of the control"


def _teacher(control: Settings, arm: Settings, facts: Facts) -> Iterator[str]:
    ours, theirs = (distillation(each.loss) for each in (arm, control))
    if ours is not None and theirs is None:
        yield (
            f"a teacher ({ours.teacher}) trained the arm beside the labels, so the difference is not what labels alone "
            f"give in {arm.epochs} epochs"
        )


def _seeds(control: Settings, arm: Settings, facts: Facts) -> Iterator[str]:
    shared = set(arm.seeds) & set(control.seeds)
    alone = sorted(set(arm.seeds) - shared)
    if not shared:
        yield "the arm and its control share no seed, so the runs are not paired and more runs are needed"
    elif alone:
        yield f"seeds {', '.join(map(str, alone))} of the arm are not among the seeds of the control"
    if arm.runtime.precision != control.runtime.precision and len(changes(control, arm)) > 1:
        yield f"the arm computes in {arm.runtime.precision}, the control in {control.runtime.precision}"
