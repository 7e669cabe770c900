"""Models that break, one in each way: the command says so before it prepares images, and writes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

SOURCE = """
import torch
from torch import nn
{top}

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


def source(*, top: str = "", init: str = "pass", forward: str = "pass") -> str:
    return SOURCE.format(top=top, init=init, forward=forward)


REFUSED = {
    "syntax": (
        source(init="pass pass"),
        "cannot be imported: SyntaxError: invalid syntax (net.py, line 10); correct it",
    ),
    "import": (
        source(top="import no_such_lab"),
        "cannot be imported: ModuleNotFoundError: No module named 'no_such_lab' (FILE:4); correct it",
    ),
    "late import": (
        source(init="from no_such_lab import Part"),
        "could not be created: ModuleNotFoundError: No module named 'no_such_lab' (FILE:10); correct it",
    ),
    "shape": (
        source(forward="images = images[:, :5]"),
        "RuntimeError: mat1 and mat2 shapes cannot be multiplied (2x5 and 3072x10) (FILE:15); correct its forward",
    ),
    "dtype": (
        source(forward="images = images.double()"),
        "RuntimeError: mat1 and mat2 must have the same dtype, but got Double and Float (FILE:15); correct its forward",
    ),
    "device": (source(init="self.last.to('meta')"), "meta"),
    "batch of one": (
        source(init="self.norm = nn.BatchNorm1d(3072)", forward="images = self.norm(images)"),
        "data.batch_size: 229 leaves one of 230 images for the last batch, on which BatchNorm in ",
    ),
    "tuple": (
        source(forward="if self.training: return self.last(images), self.last(images)"),
        "its forward returns a tuple in training mode; return the logits alone, or set model.aux_weights=[0.3], the "
        "weights of its 1 auxiliary output in the loss",
    ),
    "wrong logits": (
        source(init="self.last = nn.Linear(3072, 9)"),
        "gives (2, 9) for a (2, 3, 32, 32) batch instead of (2, 10); give its last layer num_classes outputs",
    ),
    "no parameters": (source(init="self.requires_grad_(False)"), "has no trainable parameters; create its layers in"),
    "huge memory": (
        source(forward="if self.training: torch.empty(10**15)"),
        "a pass in training mode over 4 images needs more memory than is free; choose a smaller batch or model",
    ),
    "huge model": (
        source(init="self.wide = nn.Linear(10**8, 10**8)"),
        "could not be created: it needs more memory than is free; choose a smaller model",
    ),
    "infinite loop": (
        source(forward="while self.training: pass"),
        "its trial did not end within 3 s; it was at FILE:14 (forward); correct an endless loop, allow more time, as "
        "in --trial-timeout 10m, or omit the trial with --no-trial",
    ),
    "a crash": (
        source(forward="if self.training: __import__('os').abort()"),
        "its trial ended: its process was killed by signal 6",
    ),
}  # fmt: skip

TOLD = {
    "state outside": (
        source(init="self.steps = iter(range(1000))", forward="images = images * next(self.steps)"),
        "has state that a checkpoint cannot keep: an interrupted run of it starts again from epoch 1",
    ),
    "own seed": (
        source(top="torch.manual_seed(7)", init="torch.manual_seed(7)"),
        "sets the seed of torch itself, so its first weights may be the same for every seed; remove the seed",
    ),
    "print": (source(init="print('made with', num_classes)"), "made with 10"),
}


def files_below(*folders: Path) -> list[Path]:
    return sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def broken(lab: Any, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Any:
    """(exit code, standard output, standard error) of a command, which must have written nothing."""
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("CIFAR_LAB_CACHE", str(cache))

    def give(text: str, *options: str, batch_size: int = 64) -> tuple[int, str, str]:
        model = lab.folder / "net.py"
        model.write_text(text)
        arm = lab.file("arm", f"model.name={model}:Net", f"data.batch_size={batch_size}")
        before = files_below(lab.folder)
        code, output, errors = lab.command("run", arm, *options)
        assert files_below(lab.folder, cache) == before
        return code, output, errors.replace(str(model), "FILE")

    return give


@pytest.mark.slow
@pytest.mark.parametrize("fault", REFUSED)
def test_a_model_that_breaks_is_refused(fault: str, broken: Any) -> None:
    text, words = REFUSED[fault]
    limit = ["--trial-timeout", "3s"] if fault == "infinite loop" else []
    code, output, errors = broken(text, *limit, batch_size=229 if fault == "batch of one" else 64)
    assert (code, output) == (2, ""), errors
    assert words in errors
    assert errors.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("oddity", TOLD)
def test_a_model_that_does_something_odd_is_told(oddity: str, broken: Any) -> None:
    text, words = TOLD[oddity]
    code, output, errors = broken(text, "--dry-run")
    assert code == 0, errors
    assert sum(words in line for line in errors.splitlines()) == 1
    assert words not in output
