"""Steps of a linear probe without modules: the bits of the eager backend, for every optimizer and any batch."""

from __future__ import annotations

from typing import Any

import pytest

from cifar_lab.store.records import Record
from cifar_lab.training.backends import choice, linear_head
from cifar_lab.training.job import Job

PLAIN = ("data.val_size=40", "epochs=3", "model.name=Net1")
FROZEN = "model.freeze=all_but_head"

ARMS = {
    "sgd": ("optimizer.momentum=0.9", "optimizer.weight_decay=0.01"),
    "nesterov": ("optimizer.momentum=0.9", "optimizer.nesterov=true", "data.batch_size=11"),
    "adam": ("optimizer.name=adam", "optimizer.weight_decay=0.01"),
    "adamw, clipped": ("optimizer.name=adamw", "optimizer.clip_norm=0.1"),
    "muon": ("optimizer.name=muon",),
    "one cycle": ("scheduler.name=one_cycle", "optimizer.momentum=0.9"),
    "groups": ("optimizer.momentum=0.9", "optimizer.groups=[{match: bias, lr_factor: 3}]"),
    "average": ("average.name=ema", "average.half_life_epochs=0.5"),
    "head after an epoch": ("fine_tune.freeze_epochs=2",),
}


def made(lab: Any, results: str, *overrides: str) -> tuple[Job, Record]:
    frozen = () if any(each.startswith(("model.freeze", "fine_tune")) for each in overrides) else (FROZEN,)
    job = lab.job(lab.settings(*PLAIN, *frozen, *overrides), results=results)
    return job, lab.make(job)


@pytest.mark.parametrize("arm", ARMS)
def test_a_probe_has_the_bits_of_the_eager_backend(lab: Any, arm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[int] = []
    gradients = linear_head._Part.gradients
    monkeypatch.setattr(linear_head._Part, "gradients", lambda own, step: (used.append(step), gradients(own, step))[1])
    job, record = made(lab, "fast", *ARMS[arm])
    assert used
    monkeypatch.setattr(choice, "linear_head_backend", lambda eager: None)
    other, expected = made(lab, "eager", *ARMS[arm])
    folders = [lab.run_folder(each) for each in (job, other)]
    assert folders[0].weights.read_bytes() == folders[1].weights.read_bytes()
    assert folders[0].predictions.read_bytes() == folders[1].predictions.read_bytes()
    assert record.val == expected.val
    lines = [[line.model_dump(exclude={"seconds"}) for line in folder.read_metrics()] for folder in folders]
    assert lines[0] == lines[1]


def test_few_steps_at_a_time_change_nothing(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _ = made(lab, "whole")
    monkeypatch.setattr(linear_head, "GATHERED", 1)
    one, _ = made(lab, "one")
    assert lab.run_folder(whole).weights.read_bytes() == lab.run_folder(one).weights.read_bytes()


@pytest.mark.parametrize("overrides", [("loss.label_smoothing=0.1",), ("model.freeze=[stem]",)])
def test_other_tails_and_losses_are_left_to_the_eager_backend(
    lab: Any, overrides: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linear_head._Part, "gradients", lambda own, step: pytest.fail("not a plain probe"))
    made(lab, "results", *overrides)
