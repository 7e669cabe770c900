"""Model files and checkpoints of public reports (numbered), given to the command as their owners would."""

from __future__ import annotations

import hashlib
import signal

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from ..conftest import Laboratory

ARM = """\
data: {dataset: synthetic, train_size: 320, test_size: 100, batch_size: 16}
epochs: 1
seeds: [0]
runtime: {device: cpu, threads: 1}
"""


def write(lab: Laboratory, **files: str) -> None:
    """An arm, and Python files with the imports that all models need."""
    (lab.folder / "arm.yaml").write_text(ARM)
    for name, text in files.items():
        (lab.folder / f"{name}.py").write_text(f"import torch\nfrom torch import nn\n{text}")


def weights(lab: Laboratory, results: str) -> str:
    """SHA-256 of the weights of the one run in a results folder."""
    (path,) = (lab.folder / results).glob("runs/*/weights.safetensors")
    return hashlib.sha256(path.read_bytes()).hexdigest()


DEPTH = """
import random
import numpy as np

class Depth(nn.Module):
    def __init__(self, num_classes, by="numpy"):
        super().__init__()
        self.by = by
        self.first = nn.Linear(3072, 32)
        self.branch = nn.Linear(32, 32)
        self.last = nn.Linear(32, num_classes)

    def forward(self, images):
        features = torch.relu(self.first(images.flatten(1)))
        draw = np.random.rand() if self.by == "numpy" else random.random()
        if not self.training or draw < 0.5:
            features = features + torch.relu(self.branch(features))
        return self.last(features)

class NumpyInit(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.last = nn.Linear(3072, num_classes)
        with torch.no_grad():
            self.last.weight.copy_(torch.from_numpy(np.random.randn(num_classes, 3072) * 0.01))

    def forward(self, images):
        return self.last(images.flatten(1))
"""


@pytest.mark.slow
@pytest.mark.parametrize("options", [["Depth"], ["Depth", "--set", "model.options.by=random"], ["NumpyInit"]], ids=str)
def test_01_the_seed_decides_the_chance_of_other_generators(options: list[str], lab: Laboratory) -> None:
    write(lab, depth=DEPTH)
    name, *more = options
    for results in ("first", "second"):
        command = ["run", "arm.yaml", "--results", results, "--set", f"model.name=depth.py:{name}", *more]
        assert lab.command(*command)[0] == 0
    assert weights(lab, "first") == weights(lab, "second")


BRANCH = """
class Branch(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.main = nn.Linear(3072, num_classes)
        self.once = nn.Parameter(torch.ones(num_classes))
        self.never = nn.Parameter(torch.ones(4))
        self.steps = 0

    def forward(self, images):
        logits = self.main(images.flatten(1))
        if self.training:
            self.steps += 1
            if self.steps == 1:
                logits = logits + self.once
        return logits
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("optimizer", "step"),
    [
        (["optimizer.lr=0.01", "optimizer.weight_decay=0.5"], (0.002, 0.008)),
        (["optimizer.name=adam", "optimizer.lr=0.01"], (0.00999, 0.01001)),
    ],
    ids=["sgd", "adam"],
)
def test_06_unused_parameters_are_left_alone(optimizer: list[str], step: tuple[float, float], lab: Laboratory) -> None:
    write(lab, branch=BRANCH)
    options = [word for each in ("model.name=branch.py:Branch", *optimizer) for word in ("--set", each)]
    assert lab.command("run", "arm.yaml", *options)[0] == 0
    (path,) = lab.results.glob("runs/*/weights.safetensors")
    found = load_file(path)
    assert torch.equal(found["never"], torch.ones(4))
    steps = (found["once"] - 1).abs()  # one step of SGD is lr (gradient + decay), of Adam lr
    assert step[0] <= steps.min() <= steps.max() <= step[1]


HIDDEN = """
class Hidden(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.last = nn.Linear(3072, num_classes)
        self.register_buffer("mean", torch.zeros(3072), persistent=False)

    def forward(self, images):
        images = images.flatten(1)
        if self.training:
            self.mean = 0.99 * self.mean + 0.01 * images.mean(0).detach()
        return self.last(images - self.mean)
"""


@pytest.mark.slow
def test_07_state_outside_the_state_dict_survives_an_interruption(lab: Laboratory) -> None:
    write(lab, hidden=HIDDEN)
    command = ["run", "arm.yaml", "--epochs", "40", "--set", "model.name=hidden.py:Hidden", "--results"]
    assert lab.command(*command, "whole")[0] == 0
    with lab.start(*command, "stopped") as stopped:
        stopped.wait_for("epoch 2/40")
        stopped.process.send_signal(signal.SIGINT)
        assert stopped.end() == 130
    assert lab.command(*command, "stopped")[0] == 0
    assert weights(lab, "whole") == weights(lab, "stopped")


ZOO = """
class _Net(nn.Module):
    def __init__(self, width, num_classes=10):
        super().__init__()
        self.hidden = nn.Linear(3072, width)
        self.last = nn.Linear(width, num_classes)

    def forward(self, images):
        return self.last(self.hidden(images.flatten(1)).relu())

def small(num_classes=10):
    return _Net(16, num_classes)

class Variant(_Net):
    def __init__(self, variant):
        super().__init__({"A": 16, "B": 32}[variant])

class Fixed(_Net):
    def __init__(self):
        super().__init__(16)
"""


@pytest.mark.slow
def test_09_functions_and_classes_of_zoos(lab: Laboratory) -> None:
    write(lab, zoo=ZOO)
    for options in (["zoo.py:small"], ["zoo.py:Variant", "--set", "model.options.variant=A"], ["zoo.py:Fixed"]):
        code, out, _ = lab.command("run", "arm.yaml", "--set", f"model.name={options[0]}", *options[1:])
        assert (code, "test accuracy" in out) == (0, True)
    assert lab.command("run", "arm.yaml", "--dry-run", "--set", "model.name=torchvision.models:resnet34")[0] == 0


AUX = """
class Aux(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.last = nn.Linear(3072, num_classes)
        self.early = nn.Linear(3072, num_classes)

    def forward(self, images):
        images = images.flatten(1)
        return (self.last(images), self.early(images)) if self.training else self.last(images)
"""


def test_10_auxiliary_logits_are_refused_before_the_start(lab: Laboratory) -> None:
    write(lab, aux=AUX)
    code, _, said = lab.command("run", "arm.yaml", "--seeds", "0,1", "--set", "model.name=aux.py:Aux")
    assert code == 2
    assert said.count("its forward returns a tuple in training mode") == 1
    assert not list(lab.results.glob("runs/*"))


NORM = """
class Norm(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        parts = nn.Conv2d(3, 8, 32), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8, num_classes)
        self.layers = nn.Sequential(*parts)

    def forward(self, images):
        return self.layers(images)
"""


def test_11_a_lone_last_image_is_refused_before_the_start(lab: Laboratory) -> None:
    write(lab, norm=NORM)
    code, _, said = lab.command("run", "arm.yaml", "--set", "model.name=norm.py:Norm", "--set", "data.train_size=321")
    assert code == 2
    assert "data.batch_size: 16 leaves one of 321 images for the last batch" in said
    assert "choose another size" in said


LATE = """
class Late(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        from parts import layer
        self.last = layer(num_classes)

    def forward(self, images):
        return self.last(images.flatten(1))
"""


@pytest.mark.slow
def test_12_late_and_relative_imports(lab: Laboratory) -> None:
    relative = LATE.replace("        from parts import layer\n", "").replace("Late", "Relative")
    parts = "def layer(classes):\n    return nn.Linear(3072, classes)\n"
    write(lab, late=LATE, relative=f"from .parts import layer\n{relative}", parts=parts)
    for name in ("late.py:Late", "relative.py:Relative"):
        assert lab.command("run", "arm.yaml", "--set", f"model.name={name}")[0] == 0


OWN = """
class Own(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.last = nn.Linear(3072, num_classes)

    def forward(self, images):
        return self.last(images.flatten(1))
"""


@pytest.mark.slow
def test_22_checkpoints_of_others(lab: Laboratory) -> None:
    from cifar_lab.models.nets import Net

    write(lab, own=OWN)
    torch.save({"net": nn.DataParallel(Net(10)).state_dict(), "acc": 12.5, "epoch": 3}, lab.folder / "net.pth")
    torch.save({"net": Net(10).state_dict(), "acc": np.float64(12.5), "epoch": 3}, lab.folder / "numpy.pth")
    torch.save({"state_dict": Net(10).state_dict(), "epoch": 3, "optimizer": {}}, lab.folder / "imagenet.pth.tar")
    for name, part in (("net.pth", "net"), ("numpy.pth", "net"), ("imagenet.pth.tar", "state_dict")):
        code, out, said = lab.command("run", "arm.yaml", "--set", f"model.weights={name}")
        assert code == 0
        assert f"the state dict under {part} is used; not used: " in out + said
    layer = nn.Linear(3072, 10).state_dict()
    torch.save({f"last.{name}": value for name, value in layer.items()}, lab.folder / "own.pth")
    own = ["--set", "model.name=own.py:Own", "--set", "model.weights=own.pth"]
    assert lab.command("run", "arm.yaml", *own)[0] == 0
