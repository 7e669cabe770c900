"""A model of a notebook as a file: complete, equal for equal sources, and refused where a value cannot be written."""

from __future__ import annotations

import importlib.util
import linecache
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import torch
from torch import nn

from cifar_lab.api.notebook_models import write_model
from cifar_lab.core.errors import SettingsError

HEAD = """
import math
import torch
import torch.nn.functional as F
from torch import nn
from functools import lru_cache as cached
WIDTH, NAMES, SCALE = 4, ("a", "b"), torch.tensor(2.0)

def double(x):
    return x * len(NAMES)

class Base(nn.Module):
    def __init__(self):
        super().__init__()
"""

MODEL = """
class Small(Base):
    def __init__(self, num_classes, width=WIDTH):
        super().__init__()
        self.layer = nn.Linear(3072, num_classes)

    def forward(self, images):
        math = images.flatten(1)  # a local name is none of the notebook
        return F.relu(double(self.layer(math)))
"""


def cell(name: str, *codes: str) -> Any:
    """The object of this name after cells with these codes, as a notebook has run them."""
    space: dict[str, Any] = {"__name__": "__main__"}
    for number, code in enumerate(codes):
        file, text = f"<cell {hash((name, codes))} {number}>", dedent(code)
        linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
        exec(compile(text, file, "exec", dont_inherit=True), space)
    return space[name]


def load(name: str) -> Any:
    path, _, wanted = name.rpartition(":")
    spec = importlib.util.spec_from_file_location("written", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, wanted)


def test_the_file_has_all_that_the_model_uses_and_nothing_else(tmp_path: Path) -> None:
    name = write_model(cell("Small", HEAD, MODEL), tmp_path)
    path = Path(name.rpartition(":")[0])
    text = path.read_text()
    assert path.parent == tmp_path / "models"
    assert [line for line in text.splitlines() if "import" in line] == [
        "import torch.nn as nn", "import torch.nn.functional as F"
    ]  # fmt: skip
    assert "NAMES = ('a', 'b')" in text
    assert "SCALE" not in text
    network = load(name)(10)
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


def test_equal_sources_have_one_file_and_others_another(tmp_path: Path) -> None:
    first = write_model(cell("Small", HEAD, MODEL), tmp_path)
    assert write_model(cell("Small", HEAD, "'another cell before it'", MODEL), tmp_path) == first
    assert write_model(cell("Small", HEAD.replace("= 4,", "= 5,"), MODEL), tmp_path) != first
    assert len(list((tmp_path / "models").iterdir())) == 2


def test_a_function_and_what_it_calls(tmp_path: Path) -> None:
    make = "def make(num_classes):\n    return Small(num_classes)"
    assert isinstance(load(write_model(cell("make", HEAD, MODEL, make), tmp_path))(10), nn.Module)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (
            "class Small(Base):\n    def forward(self, x):\n        return x * SCALE",
            "uses SCALE, a Tensor, which cannot",
        ),
        ("Other = Base\nclass Small(Other):\n    def forward(self, x):\n        return x", "another name of Base"),
        ("Small = Base()", "Base is neither a class nor a function; give the class"),
        ("class Small(Base):\n    pass", "the source of Small is not found; move Small to a file"),
    ],
)
def test_what_no_file_can_state_is_refused(code: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=said):
        write_model(cell("Small", HEAD, code), tmp_path)
    assert list(tmp_path.iterdir()) == []
