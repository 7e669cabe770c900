"""Custom networks that the kernels know: the tutorial's network as people write it, and what only looks like it."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from cifar_lab.config import CustomModel
from cifar_lab.models import build
from cifar_lab.models.nets import Net, Net1
from cifar_lab.training.backends.kept_libraries import KernelsUnavailable
from cifar_lab.training.backends.kernels.operations import operations_of
from cifar_lab.training.backends.kernels.recognition import recognised_operations

TUTORIAL = """
import torch
import torch.nn as nn
import torch.nn.functional as F

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 5)
        self.pool = nn.MaxPool2d(2, 2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x):
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(F.relu(self.conv2(x)))
        x = torch.flatten(x, 1) # flatten all dimensions except batch
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        x = self.fc3(x)
        return x
"""

OLD = """
import torch.nn as nn
import torch.nn.functional as F

class Net(nn.Module):
    def __init__(self):
        super(Net, self).__init__()
        self.c1 = nn.Conv2d(3, 6, 5)
        self.c2 = nn.Conv2d(6, 16, 5)
        self.l1 = nn.Linear(16 * 5 * 5, 120)
        self.l2 = nn.Linear(120, 84)
        self.l3 = nn.Linear(84, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.c1(x)), (2, 2))
        x = F.max_pool2d(F.relu(self.c2(x)), 2)
        x = x.view(-1, self.num_flat_features(x))
        x = F.relu(self.l1(x))
        x = F.relu(self.l2(x))
        return self.l3(x)

    def num_flat_features(self, x):
        size = x.size()[1:]
        num_features = 1
        for s in size:
            num_features *= s
        return num_features
"""

SEQUENTIAL = """
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 6, 5), nn.ReLU(inplace=True), nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5), nn.ReLU(True), nn.MaxPool2d(2),
        )
        self.classifier = nn.Sequential(
            nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, num_classes)
        )

    def forward(self, x):
        out = self.features(x)
        return self.classifier(out)
"""

VIEWS = {
    "view": "x.view(-1, 16 * 5 * 5)",
    "view of the batch": "x.view(x.size(0), -1)",
    "view by shape": "x.view(x.shape[0], 400)",
    "reshape": "x.reshape(-1, 400)",
    "flatten": "x.flatten(1)",
    "flatten by name": "torch.flatten(x, start_dim=1)",
}
RELUS = {"torch.relu": "torch.relu(", "in place": "torch.relu_(", "F": "F.relu("}

KNOWN = {
    "tutorial": TUTORIAL,
    "old tutorial": OLD,
    "sequential": SEQUENTIAL,
    "wide": TUTORIAL.replace("3, 6, 5", "3, 12, 5").replace("6, 16, 5", "12, 32, 5").replace("16 * 5", "32 * 5"),
    "pool first": TUTORIAL.replace("self.pool(F.relu(self.conv1(x)))", "F.relu(self.pool(self.conv1(x)))"),
    **{name: TUTORIAL.replace("torch.flatten(x, 1)", text) for name, text in VIEWS.items()},
    **{name: TUTORIAL.replace("F.relu(", text) for name, text in RELUS.items()},
}

NORMED = TUTORIAL.replace("super().__init__()", """super().__init__()
        self.norm1, self.norm2, self.norm3 = nn.BatchNorm2d(6), nn.BatchNorm2d(16), nn.BatchNorm1d(120)
""").replace("self.conv1(x)", "self.norm1(self.conv1(x))").replace(
    "self.conv2(x)", "self.norm2(self.conv2(x))"
).replace("self.fc1(x)", "self.norm3(self.fc1(x))")  # fmt: skip

Made = Any


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """Network of a file with this source."""

    def make(text: str) -> nn.Module:
        (tmp_path / "net.py").write_text(textwrap.dedent(text))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return build(CustomModel(name=f"{tmp_path}/net.py:Net"), 10)

    return make


def kinds(network: nn.Module) -> list[str]:
    return [operation.kind for operation in recognised_operations(network)]


@pytest.mark.parametrize("name", KNOWN)
def test_the_network_of_the_tutorial_is_known_however_it_is_written(name: str, made: Made) -> None:
    network = made(KNOWN[name])
    before = {key: value.clone() for key, value in network.state_dict().items()}
    assert kinds(network) == [operation.kind for operation in operations_of(Net())]
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert network.training


def test_a_network_with_batch_norm_is_known(made: Made) -> None:
    network = made(NORMED)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    assert kinds(network) == [operation.kind for operation in operations_of(Net1())]
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def in_forward(line: str) -> str:
    return TUTORIAL.replace("x = self.fc3(x)", f"{line}\n        x = self.fc3(x)")


UNKNOWN = {
    "dropout": (in_forward("x = F.dropout(x, 0.1, self.training)"), "in evaluation|there are none for"),
    "another activation": (TUTORIAL.replace("F.relu(self.fc2", "F.gelu(self.fc2"), "gelu"),
    "a scale": (in_forward("x = x * 1.0"), "mul"),
    "a shortcut": (in_forward("x = x + x"), "add"),
    "a branch": (in_forward("x = x if self.training else x"), r"branches \(line \d+\)"),
    "a counter": (in_forward("self.passes = 1"), "changes an attribute"),
    "a print": (in_forward("print(x.shape)"), "uses print"),
    "chance": ("import random\n" + in_forward("random.random()"), "uses random"),
    "a gradient that ends": (in_forward("x = x.detach()"), "cannot be recorded"),
    "a lost gradient": (in_forward("_ = x.requires_grad and x.register_hook(lambda g: 0 * g)"), "branches"),
    "another gradient": (
        TUTORIAL.replace("class Net", "class Odd(torch.autograd.Function):\n    @staticmethod\n"
        "    def forward(context, x):\n        return torch.relu(x)\n\n    @staticmethod\n"
        "    def backward(context, gradient):\n        return gradient\n\nclass Net").replace(
            "F.relu(self.fc2(x))", "Odd.apply(self.fc2(x))"), "beside its layers"
    ),
    "log_softmax": (TUTORIAL.replace("return x", "return F.log_softmax(x, dim=1)"), "_log_softmax"),
    "padding": (TUTORIAL.replace("16, 5)", "16, 5, padding=2)").replace("5 * 5", "7 * 7"), "convolutions other than"),
    "overlapping pools": (TUTORIAL.replace("MaxPool2d(2, 2)", "MaxPool2d(2, 2, ceil_mode=True)"), "max_pool"),
    "an unused layer": (
        TUTORIAL.replace("self.pool =", "self.more = nn.Linear(4, 4)\n        self.pool ="), "not used"
    ),
    "no convolution": (
        "from torch import nn\n\ndef Net():\n    return nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))\n",
        "do not begin with a convolution"
    ),
    "a frozen layer": (
        TUTORIAL.replace("self.pool =", "self.conv1.requires_grad_(False)\n        self.pool ="), "not trained"
    ),
    "a layer twice": (TUTORIAL.replace("120, 84", "120, 120").replace("(84", "(120").replace(
        "self.fc2(x)", "self.fc2(F.relu(self.fc2(x)))"), "used twice"),
    "a bias less": (TUTORIAL.replace("nn.Linear(120, 84)", "nn.Linear(120, 84, bias=False)"), "mm"),
    "a hook": (
        TUTORIAL.replace("self.pool =", "self.conv1.register_forward_hook(print)\n        self.pool ="), "hooks"
    ),
    "a hook of a parameter": (
        TUTORIAL.replace("self.pool =", "self.conv1.weight.register_hook(lambda g: g)\n        self.pool ="), "hooks"
    ),
    "a frozen norm": (
        NORMED + "    def train(self, mode=True):\n        super().train(mode)\n        self.norm1.eval()\n        "
        "return self\n", "native_batch_norm"
    ),
    "another layer": (
        TUTORIAL.replace("self.pool =", "self.extra = nn.PReLU()\n        self.pool ="), "there are none for PReLU"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", UNKNOWN)
def test_a_network_that_does_anything_else_is_left_to_torch(name: str, made: Made) -> None:
    text, words = UNKNOWN[name]
    with pytest.raises(KernelsUnavailable, match=words):
        recognised_operations(made(text))


AUGMENTED = ("data.flip=true", "data.crop_padding=2", "data.val_size=30")


@pytest.mark.parametrize("name", ["tutorial", "old tutorial", "sequential"])
def test_its_runs_have_the_bits_of_the_built_in_network(name: str, lab: Any, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(KNOWN[name])
    custom = lab.job(lab.settings(*AUGMENTED, f"model.name={tmp_path}/net.py:Net"), results="custom")
    built_in = lab.job(lab.settings(*AUGMENTED, "model.name=Net"), results="built in")
    records = [lab.make(job) for job in (custom, built_in)]
    assert [(each.environment.kernels, each.environment.kernels_reason) for each in records] == [("own", None)] * 2
    found, expected = (load_file(lab.run_folder(job).weights) for job in (custom, built_in))
    assert set(found) != set(expected) or name == "tutorial"
    assert set(map(digest, found.values())) == set(map(digest, expected.values()))
    assert records[0].test.accuracy == records[1].test.accuracy


def digest(tensor: torch.Tensor) -> bytes:
    return tensor.numpy().tobytes()


def test_recognition_imports_no_compiler(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(TUTORIAL)
    code = (
        "import sys\nfrom cifar_lab.config import CustomModel\nfrom cifar_lab.models import build\n"
        "from cifar_lab.training.backends.kernels.recognition import recognised_operations\n"
        f"assert recognised_operations(build(CustomModel(name={str(tmp_path / 'net.py:Net')!r}), 10))\n"
        "assert 'torch._dynamo' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_forward_with_effects_is_not_run(made: Made, tmp_path: Path) -> None:
    network = made(in_forward(f"open({str(tmp_path / 'file')!r}, 'w').close()"))
    (tmp_path / "file").unlink()
    with pytest.raises(KernelsUnavailable, match="uses open"):
        recognised_operations(network)
    assert not (tmp_path / "file").exists()
