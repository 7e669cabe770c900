"""Trials of the models of a command: each that can fail to build or to train is tried once, in a worker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cifar_lab.config import CustomModel, Data, FineTune, Model, ResNet18Model, Settings
from cifar_lab.config.own_code import needs_trial, own_code, plain_reason
from cifar_lab.config.registry import facts_of
from cifar_lab.core.host import has_gpu, print_status
from cifar_lab.core.text import plain
from cifar_lab.execution.cores import model_key
from cifar_lab.execution.protocol import ModelQuery
from cifar_lab.training.events import ModelBuilt

if TYPE_CHECKING:
    from cifar_lab.data import DatasetCatalog


@dataclass
class ModelTrials:
    """Models that were tried, with the answers."""

    enabled: bool = True
    """Whether code of the user is also run for a few steps. Without, custom models are only built (`--no-trial`)."""
    seconds: float | None = None
    """Longest trial of an arm. None follows from its cost (`--trial-timeout`)."""
    answers: dict[str, ModelBuilt] = field(default_factory=dict)
    """By `_key`."""
    told: set[str] = field(default_factory=set)
    """Models and components of which `tell_kernels` has said something."""

    def check(self, arms: Iterable[Settings], images: DatasetCatalog, results: Path) -> Mapping[str, ModelBuilt]:
        """Try the models of these arms whose images are known. Returns the answers by `model_key`.

        `results`: folder of the runs that `model.weights` may name.

        Raises:
            SettingsError, WeightsError: a model does not build or train, or its weights do not fit.
        """
        from cifar_lab.execution.local.worker_queries import check_models  # processes are needed for a query only
        from cifar_lab.execution.source_runs import with_source_weights

        asked: dict[str, tuple[Settings, ModelQuery]] = {}
        for settings in filter(self._is_doubtful, arms):
            if (shape := _shape_of(settings.data, images)) is not None:
                query = self._query(with_source_weights(settings, results), *shape)
                asked[_key(query)] = settings, query
        new = [key for key in asked if key not in self.answers]
        built = check_models([asked[key][1] for key in new], self.seconds) if new else []
        self.answers.update(zip(new, built, strict=True))
        return {model_key(settings): self.answers[key] for key, (settings, _) in asked.items()}

    def _is_doubtful(self, settings: Settings) -> bool:
        return _may_not_build(settings) or (self.enabled and needs_trial(settings))

    def tell_kernels(self, arms: Iterable[Settings], built: Mapping[str, ModelBuilt]) -> None:
        """Say once which models and components leave the steps to torch on a CPU whose settings allow the C kernels."""
        reasons: dict[str, str] = {}
        for settings in filter(_may_choose, arms):
            answer, component = built.get(model_key(settings)), plain_reason(settings)
            if answer is not None and answer.kernels_reason:
                reasons[settings.model.name] = answer.kernels_reason
            elif component is not None and _has_kernels(settings):
                reasons[f"the {component}"] = "its steps are those of torch"
        new = {name: reason for name, reason in reasons.items() if name not in self.told}
        self.told.update(new)
        if new:
            shown = ", ".join(list(new)[:SHOWN]) + (", …" if len(new) > SHOWN else "")
            why = next(iter(new.values())) if len(set(new.values())) == 1 else "there are none for them"
            print_status(f"note: torch's kernels make the steps of {plain(shown)}, not the C kernels: {plain(why)}")

    def _query(self, settings: Settings, classes: int, images: int) -> ModelQuery:
        from cifar_lab.data import set_aside

        if not self.enabled or not can_fail(settings):
            return ModelQuery(settings, classes, None)
        return ModelQuery(settings, classes, max(1, images - set_aside(settings.data, images)))


SHOWN = 3
"""Models and components that `tell_kernels` names."""


def _may_choose(settings: Settings) -> bool:
    """Whether the settings leave the kernels open, and nothing but model and components decides."""
    runtime = settings.runtime
    is_open = runtime.kernels == "auto" and runtime.precision == "fp32" and not runtime.compile
    return is_open and (runtime.device == "cpu" or not has_gpu())


def _has_kernels(settings: Settings) -> bool:
    """Whether the C kernels know the network. A custom one without a reason against them is known."""
    facts = facts_of(settings.model)
    return isinstance(settings.model, CustomModel) or (facts is not None and facts.own_kernels)


def own_names(arms: Sequence[Settings]) -> list[str]:
    """Names of the classes and functions of the user in these arms, each once."""
    return list(dict.fromkeys(name for arm in arms for _, name in own_code(arm)))


def can_fail(settings: Settings) -> bool:
    """Whether the settings name code of the user, or options of a class of torch."""
    return bool(own_code(settings)) or needs_trial(settings)


def _may_not_build(settings: Settings) -> bool:
    """Whether a model can fail to build. Built-in models without weights and frozen layers cannot."""
    model = settings.model
    return isinstance(model, CustomModel) or model.weights is not None or bool(model.freeze) or _is_pretrained(model)


def _shape_of(options: Data, images: DatasetCatalog) -> tuple[int, int] | None:
    """(classes, training images) of a data set that is prepared, or whose numbers are fixed. None otherwise."""
    if (info := images.known(options)) is not None:
        return len(info.classes), info.train_size
    if (sizes := options.sizes()) is not None:
        return sizes.classes, sizes.train
    listed = images.counted(options)
    return None if listed is None else (len(listed.classes), listed.train_size)


def _key(query: ModelQuery) -> str:
    settings, size, rest = query.settings, query.settings.data.batch_size, None
    if query.train_size is not None:
        size, rest = min(size, query.train_size), query.train_size % size
    components = "" if query.train_size is None else _components(settings)
    shape = f"{settings.data.side()} {query.num_classes} {size} {rest}"
    runtime = settings.runtime
    how = f"{runtime.device} {runtime.kernels == 'own'} {runtime.precision} {runtime.compile}"
    return f"{model_key(settings)} {how} {shape}{components}{_tuning(settings)}"


def _tuning(settings: Settings) -> str:
    """Settings beside the model that decide what is built, or said, of weights. Mostly nothing."""
    tuning = "" if settings.fine_tune == FineTune() else repr(settings.fine_tune)
    return f"{tuning}{settings.data.normalize if _has_weights(settings.model) else ''}"


def _has_weights(model: Model) -> bool:
    return model.weights is not None or isinstance(model, CustomModel) or _is_pretrained(model)


def _is_pretrained(model: Model) -> bool:
    return isinstance(model, ResNet18Model) and model.pretrained


def _components(settings: Settings) -> str:
    """Components that are tried, without the rates of an optimizer. Empty for those that cannot fail."""
    if not needs_trial(settings):
        return ""
    optimizer = settings.optimizer.model_dump(exclude={"lr", "weight_decay"})
    return repr((optimizer, settings.scheduler, settings.loss, settings.data.augment, settings.metrics))
