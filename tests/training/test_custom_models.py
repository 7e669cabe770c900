"""Training of custom models as others write them: unused parameters, hidden state, other generators, aux logits."""

from __future__ import annotations

from textwrap import dedent

import pytest
import torch
from safetensors.torch import load_file

from cifar_lab.core.errors import Interrupted
from cifar_lab.store.results import RunFolder
from cifar_lab.training.job import Job
from cifar_lab.training.run import make_run

HEAD = """
import random
import numpy as np
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.last = nn.Linear(3072, num_classes)
        {init}

    def forward(self, images):
        images = images.flatten(1)
        {forward}
        return self.last(images)
"""

NEVER_AND_ONCE = HEAD.format(
    init="self.once, self.never, self.steps = nn.Parameter(torch.ones(10)), nn.Parameter(torch.ones(4)), 0",
    forward="self.steps += self.training\n"
    "        if self.training and self.steps == 1: return self.last(images) + self.once",
)

DRAWING = {
    "numpy": HEAD.format(init="pass", forward="images = images * (np.random.rand() < 0.5)"),
    "python": HEAD.format(init="pass", forward="images = images * (random.random() < 0.5)"),
    "initial weights": HEAD.format(
        init="self.last.weight.data.copy_(torch.from_numpy(np.random.randn(num_classes, 3072) * 0.01))", forward="pass"
    ),
}

HIDDEN = {
    "buffer": HEAD.format(
        init='self.register_buffer("mean", torch.zeros(3072), persistent=False)',
        forward="if self.training: self.mean = 0.9 * self.mean + 0.1 * images.mean(0).detach()\n"
        "        images = images - self.mean",
    ),
    "tensor": HEAD.format(
        init="self.mean = torch.zeros(3072)",
        forward="if self.training: self.mean = 0.9 * self.mean + 0.1 * images.mean(0)\n"
        "        images = images - self.mean",
    ),
    "counter": HEAD.format(
        init="self.steps = 0", forward="self.steps += self.training\n        images = images / (1 + self.steps)"
    ),
    "list": HEAD.format(
        init="self.seen = []",
        forward="self.seen.append(float(images.mean()))\n        images = images * len(self.seen)",
    ),
    "generator": HEAD.format(
        init="self.chance = torch.Generator().manual_seed(3)",
        forward="images = images * torch.rand((), generator=self.chance)",
    ),
}


@pytest.fixture
def job_of(lab, tmp_path):
    """Job of a model with this source, in a results folder of its own."""

    def make(source: str, results: str = "first", *overrides: str, seed: int = 0) -> Job:
        path = tmp_path / "net.py"
        path.write_text(dedent(source))
        return lab.job(lab.settings(f"model.name={path}:Net", *overrides), results=results, seed=seed)

    return make


def weights(job: Job) -> dict[str, torch.Tensor]:
    return load_file(RunFolder(job.results, job.run_id).weights)


def train(job: Job) -> dict[str, torch.Tensor]:
    make_run(job, lambda event: None, lambda: False)
    return weights(job)


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("chance", DRAWING)
def test_the_seed_decides_what_other_generators_draw(chance, job_of):
    first = train(job_of(DRAWING[chance], "first"))
    assert same(first, train(job_of(DRAWING[chance], "second")))
    assert not same(first, train(job_of(DRAWING[chance], "other", seed=1)))


@pytest.mark.parametrize("state", HIDDEN)
def test_state_outside_the_state_dict_survives_an_interruption(state, job_of):
    whole = train(job_of(HIDDEN[state], "whole"))
    stopped = job_of(HIDDEN[state], "stopped")
    with pytest.raises(Interrupted):
        make_run(stopped, lambda event: None, lambda: True)
    assert same(train(stopped), whole)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_an_optimizer_leaves_parameters_without_a_gradient_alone(optimizer, job_of):
    overrides = [f"optimizer.name={optimizer}", "optimizer.weight_decay=0.5", "optimizer.lr=0.01", "epochs=1"]
    found = train(job_of(NEVER_AND_ONCE, "first", *overrides))
    assert torch.equal(found["never"], torch.ones(4))
    assert not torch.equal(found["once"], torch.ones(10))
    assert float((found["once"] - 1).abs().max()) < 0.02  # one step's worth


AUXILIARY = {
    "tuple": "return self.last(images), self.early(images)",
    "with none": "return self.last(images), None, self.early(images)",
    "dict": 'return {"aux": self.early(images), "out": self.last(images)}',
}


@pytest.mark.parametrize("form", AUXILIARY)
def test_auxiliary_logits_are_added_to_the_loss(form, job_of):
    source = HEAD.format(
        init="self.early = nn.Linear(3072, num_classes)", forward=f"if self.training: {AUXILIARY[form]}"
    )
    first = train(job_of(source, "first", "model.aux_weights=[0.5]", "epochs=1"))
    unused = train(job_of(source, "none", "model.aux_weights=[0.0]", "epochs=1"))
    assert torch.equal(first["last.weight"], unused["last.weight"])
    assert not torch.equal(first["early.weight"], unused["early.weight"])
