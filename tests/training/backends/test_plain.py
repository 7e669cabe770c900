"""The plain path: equal to torch's own loop step by step, and an interrupted run ends as another one, bit for bit."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import lr_scheduler

from cifar_lab import models
from cifar_lab.config import Settings, TorchOptimizer
from cifar_lab.config.registry import SECTION_CHOICES
from cifar_lab.core.errors import Interrupted
from cifar_lab.data.batches import CohortBatches
from cifar_lab.data.random_streams import seed_generators, seeded_init, stream, stream_seed
from cifar_lab.store.records import Record
from cifar_lab.training.build import load_training_data
from cifar_lab.training.device import prepare_execution
from tests.training.own_code import write

TINY = [
    "data.train_size=56", "data.test_size=10", "data.val_size=0", "data.batch_size=24", "data.flip=true", "epochs=2",
    "runtime.device=cpu",
]  # fmt: skip

TORCH = {name: cls for name, cls in SECTION_CHOICES["optimizer"][1].items() if issubclass(cls, TorchOptimizer)}

OPTIONS: dict[str, dict[str, Any]] = {
    "adadelta": {"rho": 0.8},
    "adafactor": {"d": 1.5, "eps": [None, 0.01]},
    "adagrad": {"lr_decay": 0.1, "foreach": True},
    "adamax": {"betas": [0.8, 0.9]},
    "asgd": {"t0": 2.0},
    "lbfgs": {"max_iter": 3, "line_search_fn": "strong_wolfe"},
    "nadam": {"decoupled_weight_decay": True},
    "radam": {"eps": 1e-6},
    "rmsprop": {"momentum": 0.5, "centered": True},
    "rprop": {"etas": [0.4, 1.1]},
}

Make = Callable[[list[nn.Parameter]], torch.optim.Optimizer]


def overrides(**sections: dict[str, Any]) -> list[str]:
    """Words of `--set`."""
    found = []
    for section, values in sections.items():
        for key, value in values.items():
            found += (
                [f"{section}.options.{name}={text(each)}" for name, each in value.items()]
                if key == "options"
                else [f"{section}.{key}={text(value)}"]
            )
    return found


def text(value: Any) -> str:
    """A value as YAML."""
    return value if isinstance(value, str) else json.dumps(value)


def module(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def reference(
    lab: Any,
    settings: Settings,
    make: Make,
    *,
    schedule: Callable[[torch.optim.Optimizer, int], Any] | None = None,
    factor: Callable[[int, int], float] | None = None,
    loss_of: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
    augment: Callable[[Tensor, torch.Generator], Tensor] | None = None,
) -> list[float]:
    """Losses of each step, then the sum of the weights: torch's own loop."""
    job = lab.job(settings)
    with seeded_init(0):
        network = models.build(settings.model, 10)
    execution = prepare_execution(settings.runtime, 1)
    splits = load_training_data(settings, job.fingerprint, execution, torch.contiguous_format)
    # The batches without an augmentation of the user are those of every run.
    batches = CohortBatches(splits.training, settings.data.model_copy(update={"augment": None}), [0])
    optimizer = make(list(network.parameters()))
    first = optimizer.param_groups[0]["lr"]
    total = settings.epochs * batches.steps_per_epoch
    scheduler = None if schedule is None else schedule(optimizer, total)
    losses: list[float] = []
    for epoch in range(settings.epochs):
        seed_generators(stream_seed("model", 0, epoch))
        generator = stream("augment", 0, epoch)
        getattr(optimizer, "train", lambda: None)()
        randomness = batches.randomness(epoch)
        for index in torch.split(randomness.order, settings.data.batch_size, dim=1):
            pixels, labels = batches.pixels(randomness, index), batches.split.labels[index][0]
            if augment is not None:
                pixels = augment(pixels, generator)
            images = batches.split.normalizer.from_bytes(pixels)
            if factor is not None:
                optimizer.param_groups[0]["lr"] = first * factor(len(losses), total)

            def closure(images: Tensor = images, labels: Tensor = labels) -> Tensor:
                optimizer.zero_grad()
                loss = loss_of(network(images), labels)
                loss.backward()  # type: ignore[no-untyped-call]
                return loss

            loss = closure()
            losses.append(float(loss.detach()))
            if isinstance(optimizer, torch.optim.LBFGS):
                optimizer.step(closure)
            else:
                optimizer.step()
            if scheduler is not None and settings.scheduler.every == "step" and len(losses) < total:
                scheduler.step()
        if scheduler is not None and settings.scheduler.every == "epoch":
            scheduler.step()
        getattr(optimizer, "eval", lambda: None)()
    return [*losses, sum(float(each.detach().double().sum()) for each in network.parameters())]


def trained(lab: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The same numbers of a run of the product."""
    from cifar_lab.training import run
    from cifar_lab.training.backends.base import StepMetrics

    losses: list[float] = []
    write_metrics, networks = StepMetrics.write, []
    built = run.build_cohort

    def keep(self: StepMetrics, step: int, loss: Tensor, right: Tensor) -> None:
        losses.append(float(loss))
        write_metrics(self, step, loss, right)

    def build(*arguments: Any, **options: Any) -> Any:
        found = built(*arguments, **options)
        networks.append(found[0].networks[0])
        return found

    monkeypatch.setattr(StepMetrics, "write", keep)
    monkeypatch.setattr(run, "build_cohort", build)
    record = lab.make(lab.job(settings, read_test=False))
    assert record.status == "done"
    return [*losses, sum(float(each.detach().double().sum()) for each in networks[-1].parameters())]


def resumed(lab: Any, settings: Settings) -> tuple[Record, Record]:
    """Records of an uninterrupted run, and of one that stops after its first epoch and resumes."""
    job = lab.job(settings, results="interrupted")
    with pytest.raises(Interrupted):
        lab.make(job, should_stop=lambda: True)
    return lab.make(lab.job(settings, results="whole")), lab.make(job)


def assert_equal(records: tuple[Record, Record]) -> None:
    whole, again = records
    assert whole.files == again.files
    assert whole.metrics_sha256 == again.metrics_sha256
    assert any(note.startswith("resumed after epoch 1") for note in again.notes)


@pytest.mark.parametrize("name", TORCH)
def test_an_optimizer_of_torch_is_equal_to_torchs_own_loop(
    lab: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    decay = {"weight_decay": 0.01} if TORCH[name].component.decays else {}
    settings = lab.settings(*TINY, *overrides(optimizer={"name": name, "options": OPTIONS[name], **decay}))
    options = {key: tuple(value) if isinstance(value, list) else value for key, value in OPTIONS[name].items()}
    cls = getattr(torch.optim, TORCH[name].component.maker.partition(":")[2])
    losses = reference(lab, settings, lambda each: cls(each, lr=settings.optimizer.lr, **decay, **options))
    assert trained(lab, settings, monkeypatch) == losses
    assert len(losses) == 7


def test_groups_and_clipping_are_equal_to_torchs_own_loop(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = [{"match": "fc3", "lr_factor": 3}, {"match": "bias", "weight_decay": 0}]
    given = {"name": "rmsprop", "lr": 0.002, "weight_decay": 0.1, "clip_norm": 0.5, "groups": groups}
    settings = lab.settings(*TINY, *overrides(optimizer=given))

    class Clipped(torch.optim.RMSprop):
        def step(self, closure: Any = None) -> None:  # type: ignore[override]
            torch.nn.utils.clip_grad_norm_([each for group in self.param_groups for each in group["params"]], 0.5)
            super().step()

    def make(parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        head, others = parameters[-2:], parameters[:-2]
        return Clipped(
            [
                {"params": others[::2], "weight_decay": 0.1},
                {"params": others[1::2]},
                {"params": head, "lr": 0.006, "weight_decay": 0.1},
            ],
            lr=0.002,
        )

    losses = reference(lab, settings, make)
    np.testing.assert_allclose(trained(lab, settings, monkeypatch), losses, rtol=1e-5)
    assert_equal(resumed(lab, settings))


@pytest.mark.parametrize("name", TORCH)
def test_an_optimizer_of_torch_resumes_to_the_same_bits(lab: Any, name: str) -> None:
    assert_equal(resumed(lab, lab.settings(*TINY, *overrides(optimizer={"name": name, "options": OPTIONS[name]}))))


@pytest.mark.parametrize(
    ("name", "options", "every"),
    [
        ("steplr", {"step_size": 2}, "step"),
        ("multisteplr", {"milestones": [1, 4], "gamma": 0.5}, "step"),
        ("exponentiallr", {"gamma": 0.5}, "epoch"),
        ("cosineannealinglr", {"T_max": 5, "eta_min": 1e-5}, "step"),
        ("cosineannealingwarmrestarts", {"T_0": 2}, "step"),
        ("onecyclelr", {"max_lr": 0.02}, "step"),
        ("cycliclr", {"base_lr": 0.001, "max_lr": 0.01, "step_size_up": 2}, "step"),
        ("linearlr", {"total_iters": 3}, "step"),
        ("polynomiallr", {"total_iters": 2}, "epoch"),
        ("constantlr", {"total_iters": 1}, "epoch"),
    ],
)
def test_a_scheduler_of_torch_is_equal_to_torchs_own_loop(
    lab: Any, name: str, options: dict[str, Any], every: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = lab.settings(
        *TINY,
        *overrides(optimizer={"name": "rmsprop", "lr": 0.001, "options": {"momentum": 0.5}},
                   scheduler={"name": name, "options": options, "every": every}),
    )  # fmt: skip
    cls = getattr(lr_scheduler, SECTION_CHOICES["scheduler"][1][name].component.maker.partition(":")[2])

    def schedule(optimizer: torch.optim.Optimizer, total: int) -> Any:
        return cls(optimizer, **({"total_steps": total} if name == "onecyclelr" else {}), **options)

    losses = reference(lab, settings, lambda each: torch.optim.RMSprop(each, lr=0.001, momentum=0.5), schedule=schedule)
    assert trained(lab, settings, monkeypatch) == losses
    assert_equal(resumed(lab, settings))


def test_components_of_a_stranger_are_equal_to_torchs_own_loop(
    lab: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path)
    settings = lab.settings(
        *TINY,
        *overrides(
            optimizer={
                "name": f"{tmp_path}/lion.py:Lion", "lr": 0.001, "weight_decay": 0.1, "options": {"betas": [0.8, 0.9]},
            },
            scheduler={"name": f"{tmp_path}/parts.py:warm", "options": {"share": 0.7}},
            loss={"name": f"{tmp_path}/parts.py:margin", "options": {"width": 0.5}},
            data={"augment": f"{tmp_path}/parts.py:erase"},
        ),
    )  # fmt: skip
    lion, parts = module(tmp_path / "lion.py"), module(tmp_path / "parts.py")
    losses = reference(
        lab, settings, lambda each: lion.Lion(each, lr=0.001, betas=(0.8, 0.9), weight_decay=0.1),
        factor=lambda step, total: parts.warm(step, total, share=0.7),
        loss_of=lambda logits, labels: parts.margin(logits, labels, width=0.5), augment=parts.erase,
    )  # fmt: skip
    assert trained(lab, settings, monkeypatch) == losses


def test_components_of_a_stranger_resume_to_the_same_bits_and_are_recorded(lab: Any, tmp_path: Path) -> None:
    write(tmp_path)
    tiny = ["data.val_size=20" if word == "data.val_size=0" else word for word in TINY]
    settings = lab.settings(
        *tiny,
        *overrides(
            optimizer={"name": f"{tmp_path}/lion.py:Lion", "lr": 0.001},
            scheduler={"name": f"{tmp_path}/parts.py:warm"},
            loss={"name": f"{tmp_path}/parts.py:margin"},
            data={"augment": f"{tmp_path}/parts.py:erase"},
        ),
        f"metrics=[{tmp_path}/parts.py:top3]",
    )
    records = resumed(lab, settings)
    assert_equal(records)
    record = records[1]
    assert record.schema_ == 4
    assert record.val is not None
    assert record.test is not None
    assert record.val.metrics.keys() == record.test.metrics.keys() == {"top3"}
    assert "train_loss is the loss parts.py:margin, other losses are cross-entropy" in record.notes
    assert record.environment.kernels == "torch"
    assert record.environment.kernels_reason == "there are none for the augmentation parts.py:erase"
    history = lab.run_folder(lab.job(settings, results="whole")).read_metrics(records[0])
    assert [line.metrics["top3"] is not None for line in history] == [True, True]
    assert record.recipe["optimizer"]["source"].startswith("sha256:")


def test_an_optimizer_with_other_weights_in_evaluation_changes_its_mode(
    lab: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path)
    settings = lab.settings(*TINY, *overrides(optimizer={"name": f"{tmp_path}/odd.py:Averaged", "lr": 0.05}))
    made: list[Any] = []

    def make(parameters: list[nn.Parameter]) -> Any:
        made.append(module(tmp_path / "odd.py").Averaged(parameters, lr=0.05))
        return made[0]

    numbers = reference(lab, settings, make)
    assert made[0].training is False
    assert trained(lab, settings, monkeypatch) == numbers


def test_a_loss_may_be_a_class(lab: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path)
    runs = []
    for name, option in (("margin", "width"), ("Margin", "width")):
        loss = {"name": f"{tmp_path}/parts.py:{name}", "options": {option: 0.5}}
        runs.append(trained(lab, lab.settings(*TINY, *overrides(loss=loss)), monkeypatch))
    assert runs[0] == runs[1]


@pytest.mark.parametrize("name", ["Odd", "Sharp", "Averaged"])
def test_state_of_any_kind_resumes_to_the_same_bits(lab: Any, tmp_path: Path, name: str) -> None:
    write(tmp_path)
    settings = lab.settings(
        *TINY,
        *overrides(optimizer={"name": f"{tmp_path}/odd.py:{name}", "lr": 0.01}, scheduler={"name": "cosine"}),
    )
    assert_equal(resumed(lab, settings))


def test_groups_keep_their_ratio_under_a_schedule(lab: Any, tmp_path: Path) -> None:
    from cifar_lab.training.optim.factory import make_rule

    write(tmp_path)
    settings = lab.settings(*overrides(optimizer={"name": f"{tmp_path}/odd.py:Odd", "lr": 0.01}))
    rule = make_rule(settings.optimizer, nn.Linear(2, 2))
    assert rule is not None
    rule._set(0.004, 0.7)
    assert [group["lr"] for group in rule.optimizer.param_groups] == [0.002, 0.004]
    assert {group["betas"] for group in rule.optimizer.param_groups} == {(0.7, 0.99)}


def test_built_in_optimizers_take_a_loss_and_an_augmentation_of_a_stranger(lab: Any, tmp_path: Path) -> None:
    write(tmp_path)
    own = overrides(loss={"name": f"{tmp_path}/parts.py:margin"}, data={"augment": f"{tmp_path}/parts.py:erase"})
    for name in ("sgd", "adamw"):
        assert_equal(resumed(lab, lab.settings(*TINY, *own, f"optimizer.name={name}", "scheduler.name=one_cycle")))


def test_a_schedule_or_a_metric_of_a_stranger_leaves_the_kernels_alone(lab: Any, tmp_path: Path) -> None:
    write(tmp_path)
    plain = lab.settings(*TINY)
    own = lab.settings(*TINY, f"scheduler.name={tmp_path}/parts.py:warm", f"metrics=[{tmp_path}/parts.py:top3]")
    one, other = (lab.make(lab.job(settings)) for settings in (plain, own))
    assert one.environment.kernels == other.environment.kernels
    assert (one.schema_, other.schema_) == (3, 4)
