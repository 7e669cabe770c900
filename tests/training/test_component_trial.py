"""Trial of an optimizer, schedule, loss, augmentation and metrics: each fault is reported in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cifar_lab.config.io.load import settings_from
from cifar_lab.core.errors import SettingsError
from cifar_lab.training.component_trial import try_arm
from cifar_lab.training.events import ModelBuilt
from tests.training.own_code import write

HEAD = """\
import time
import numpy as np
import torch
from torch.optim import SGD, Optimizer
random = np.random.default_rng(0)
"""


def attempt(folder: Path, text: str = "", **sections: Any) -> ModelBuilt:
    """Trial of settings with this text as `own.py`."""
    write(folder)
    (folder / "own.py").write_text(HEAD + text)
    values = {
        "runtime": {"device": "cpu"},
        "epochs": 2,
        **sections,
        "data": {"dataset": "synthetic", "train_size": 20, "batch_size": 10, **sections.get("data", {})},
    }
    return try_arm(settings_from(values, base=folder), 10, 20)


OPTIMIZERS = {
    "class Own: ...": "it is no torch.optim.Optimizer; derive the class from it",
    "class Own(SGD):\n    def step(self):\n        raise KeyError('x')": (
        "a training step fails: KeyError: 'x' (OWN:8); correct it"
    ),
    "class Own(SGD):\n    def __init__(self, params, rate): ...": "own.py:Own needs rate; set optimizer.options.rate",
    "def Own(params, lr):\n    return 3": "it returns a int and not a torch.optim.Optimizer; return the optimizer",
    "def Own(params, lr):\n    return SGD([torch.zeros(1)], lr)": "it has no parameter of the network",
    "class Own(SGD):\n    def __init__(self, params, lr):\n        raise OSError('no')": (
        "could not be made with lr=0.001: OSError: no (OWN:8); correct it"
    ),
    "class Own(SGD):\n    @torch.no_grad()\n    def step(self):\n        for p in self.param_groups[0]['params']:\n"
    "            p += time.perf_counter()": "two trainings with the same seed differ; draw its random numbers from",
    "class Own(SGD):\n    @torch.no_grad()\n    def step(self):\n        for p in self.param_groups[0]['params']:\n"
    "            p += random.random()": "an interrupted run would end with other numbers; keep its state in self.state",
    "class Other(SGD): ...": "has no Own; it has SGD, Optimizer, Other",
    "import nothing_of_this_name": "cannot be imported: ModuleNotFoundError: No module named 'nothing_of_this_name'",
    "class Own(SGD":"cannot be imported: SyntaxError: '(' was never closed",
}  # fmt: skip


@pytest.mark.parametrize("text", OPTIMIZERS, ids=range(len(OPTIMIZERS)))
def test_an_optimizer_that_breaks_is_told(text: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        attempt(tmp_path, text, optimizer={"name": "own.py:Own"})
    said = str(caught.value)
    assert OPTIMIZERS[text].replace("OWN", f"{tmp_path}/own.py") in said
    assert said.startswith("optimizer.")
    assert "\n" not in said
    assert caught.value.exit_code == 2


FUNCTIONS: dict[str, dict[str, str]] = {
    "loss": {
        "return (logits.sum(1) - labels)": "returns float32 (4,); return the mean over the batch, a scalar tensor",
        "return 3.0": "returns a float; return the mean over the batch",
        "return logits.argmax(1).sum()": "returns int64 (); return the mean over the batch",
        "return logits.detach().mean()": "its value has no gradient",
        "return logits.mean() * float('nan')": "returns nan for random logits",
        "return logits.mean() * float(random.random())": "two calls with the same arguments differ",
        "return (logits - logits).abs().sqrt().mean()": "its gradient is not finite for random logits",
        "return logits[:, 20].mean()": "fails: IndexError: index 20 is out of bounds",
    },
    "augment": {
        "return images.float()": "returns float32 (4, 3, 32, 32) for uint8 (4, 3, 32, 32); return the same",
        "return images[:, :, 4:, 4:]": "returns uint8 (4, 3, 28, 28) for uint8 (4, 3, 32, 32)",
        "return None": "returns a NoneType for uint8",
        "return images + torch.randint(9, (1,), dtype=torch.uint8)": "draw all random numbers from the generator",
        "return images + random.integers(200)": "draw all random numbers from the generator",
        "return images.long()": "returns int64 (4, 3, 32, 32)",
        "return images.flip(9)": "fails: IndexError",
    },
    "metric": {
        "return logits": "return a number",
        "return float('nan')": "returns a number that is not finite for random logits",
        "return random.random()": "two calls with the same arguments differ",
        "return 'good'": "return a number",
    },
    "schedule": {
        "return float('inf')": "is not a number of at least 0",
        "return -1": "the factor -1 at update 0 is not a number of at least 0",
        "return None": "return the factor as a number",
        "return random.random()": "two calls give other factors",
        "return 1 / (3 - step)": "fails at step 3 of 4: ZeroDivisionError",
    },
}
ARGUMENTS = {
    "loss": "logits, labels",
    "augment": "images, generator",
    "metric": "logits, labels",
    "schedule": "step, total",
}
KEYS = {"loss": "loss.name", "augment": "data.augment", "metric": "metrics", "schedule": "scheduler.name"}
CASES = [(kind, body) for kind, bodies in FUNCTIONS.items() for body in bodies]


def sections(kind: str, name: str, options: dict[str, Any] | None = None) -> dict[str, Any]:
    """Settings that name the function, with the smallest split that has 20 images in two batches."""
    more = {} if options is None else {"options": options}
    return {
        "loss": {"loss": {"name": name, **more}},
        "augment": {"data": {"augment": name, "batch_size": 10}},
        "metric": {"metrics": [name]},
        "schedule": {"scheduler": {"name": name, **more}, "data": {"batch_size": 10}},
    }[kind]


@pytest.mark.parametrize(("kind", "body"), CASES, ids=[f"{kind}-{number}" for number, (kind, _) in enumerate(CASES)])
def test_a_function_that_breaks_is_told(kind: str, body: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        attempt(tmp_path, f"def own({ARGUMENTS[kind]}):\n    {body}\n", **sections(kind, "own.py:own"))
    said = str(caught.value)
    assert FUNCTIONS[kind][body] in said
    assert f"{KEYS[kind]}: {tmp_path}/own.py:own" in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("body", "told"),
    {
        "self.scale = torch.nn.Parameter(torch.ones(1))": "it has parameters, which nothing trains; register them",
        "raise ValueError('no')": "could not be made: ValueError: no (",
    }.items(),
)
def test_a_class_of_a_loss_that_breaks_is_told(body: str, told: str, tmp_path: Path) -> None:
    text = f"import torch\nclass Own(torch.nn.Module):\n  def __init__(self):\n    super().__init__()\n    {body}\n"
    with pytest.raises(SettingsError) as caught:
        attempt(tmp_path, text, loss={"name": "own.py:Own"})
    assert f"loss.name: {tmp_path}/own.py:Own: {told}" in str(caught.value)


@pytest.mark.parametrize("kind", ["loss", "schedule"])
def test_options_are_checked_against_the_signature(kind: str, tmp_path: Path) -> None:
    text = f"def own({ARGUMENTS[kind]}, width=1): ..."
    with pytest.raises(SettingsError, match=r"own.py:own takes no widht — did you mean width\?"):
        attempt(tmp_path, text, **sections(kind, "own.py:own", {"widht": 2}))


def test_options_of_an_optimizer_are_checked_against_the_signature(tmp_path: Path) -> None:
    def said(**optimizer: Any) -> str:
        with pytest.raises(SettingsError) as caught:
            attempt(tmp_path, optimizer=optimizer)
        return str(caught.value)

    lion = f"{tmp_path}/lion.py:Lion"
    assert "takes no beats — did you mean betas?" in said(name=lion, options={"beats": [0.9, 0.99]})
    assert "lr is a separate setting; state optimizer.lr" in said(name=lion, options={"lr": 1})
    assert "odd.py:Odd takes no weight_decay; remove it" in said(name=f"{tmp_path}/odd.py:Odd", weight_decay=0.1)
    assert "torch.optim.RMSprop refuses them: Invalid alpha value: -1" in said(name="rmsprop", options={"alpha": -1})


def test_torchs_schedulers_tell_options_that_they_refuse(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"scheduler.options: torch's OneCycleLR refuses them: .*total_steps"):
        attempt(tmp_path, scheduler={"name": "onecyclelr", "options": {"total_steps": -3}})
    with pytest.raises(SettingsError, match=r"torch's OneCycleLR refuses them: Tried to step 3 times"):
        attempt(tmp_path, scheduler={"name": "onecyclelr", "options": {"total_steps": 2}}, data={"batch_size": 10})
    with pytest.raises(SettingsError, match=r"torch's OneCycleLR refuses them: optimizer must support momentum"):
        attempt(tmp_path, optimizer={"name": "adagrad"}, scheduler={"name": "onecyclelr", "options": {"max_lr": 0.1}})


def test_what_works_passes(tmp_path: Path) -> None:
    for optimizer in ("lion.py:Lion", "odd.py:Odd", "odd.py:Sharp", "torch.optim:Adam"):
        options = {"amsgrad": True} if optimizer == "torch.optim:Adam" else {}
        built = attempt(
            tmp_path,
            optimizer={"name": optimizer, "lr": 0.001, "options": options},
            scheduler={"name": "parts.py:warm"},
            loss={"name": "parts.py:margin"},
            data={"augment": "parts.py:erase"},
            metrics=["parts.py:top3"],
        )
        assert built.parameters == 62_006


def test_two_files_of_one_name_are_two_modules(tmp_path: Path) -> None:
    for folder, factor in (("a", 1.0), ("b", 0.5)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "own.py").write_text(
            f"def own(step, total):\n    return {factor}\n\n\ndef top(a, b):\n    return 1\n"
        )
    (tmp_path / "a" / "shared.py").write_text("")
    (tmp_path / "b" / "shared.py").write_text("")
    attempt(tmp_path, scheduler={"name": "a/own.py:own"}, metrics=["b/own.py:top"])
    for folder in ("a", "b"):
        with (tmp_path / folder / "own.py").open("a") as file:
            file.write("\nimport shared\n")
    with pytest.raises(SettingsError, match="have one name and are in one run; rename one of them"):
        attempt(tmp_path, scheduler={"name": "a/own.py:own"}, metrics=["b/own.py:top"])


def test_a_model_and_its_optimizer_may_stand_in_one_file(tmp_path: Path) -> None:
    text = """
from torch import nn
made = []
class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.last = nn.Linear(3072, num_classes)
        made.append(self)
    def forward(self, images):
        return self.last(images.flatten(1))
class Own(SGD):
    def __init__(self, params, lr):
        assert made, "the module is another one"
        super().__init__(params, lr)
"""
    built = attempt(tmp_path, text, model={"name": "own.py:Net"}, optimizer={"name": "own.py:Own"})
    assert built.resumable
