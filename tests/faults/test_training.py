"""Faults inside training: memory, other people's data loaders, a run that is made twice."""

from __future__ import annotations

import ast
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

import cifar_lab
from cifar_lab.core.errors import EnvironmentFault

from .registry import Case, case

MODEL = """\
import torch

class Model(torch.nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.layer = torch.nn.Linear(3072, num_classes)

    def forward(self, images):
        if self.training:
            {act}
        return self.layer(images.flatten(1))
"""


def arm(lab: Any, act: str) -> str:
    (lab.folder / "mine.py").write_text(MODEL.format(act=act))
    return f"model.name={lab.folder / 'mine.py'}:Model"


@pytest.mark.slow
@case(
    5,
    "the allocator of the CPU has no memory for a run",
    remains="the other runs; the failed one keeps its last epoch",
    says="failed: {where}DefaultCPUAllocator: can't allocate memory{numbers}",
    code=1,
)
def test_a_run_that_asks_for_too_much_memory_fails_alone(lab: Any, case: Case) -> None:
    greedy = lab.file("greedy", "epochs=1", arm(lab, "torch.empty(1 << 50, dtype=torch.uint8)"))
    code, told, wrong = lab.command("run", greedy, lab.file("modest", "epochs=1"), "--no-trial")
    case.check(told + wrong, code)
    assert [record.label for record in lab.records()] == ["modest"]


@case(
    6,
    "the GPU has no memory for a run",
    remains="the other runs; no setting is changed on the quiet, the batch size least of all",
    says="OutOfMemoryError: {numbers}",
)
def test_a_gpu_without_memory_fails_the_run_and_changes_no_setting(lab: Any, case: Case) -> None:
    act = "raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2.00 GiB, batch ' + str(len(images)))"
    job = lab.job(lab.settings("epochs=1", arm(lab, act)))
    with pytest.raises(torch.OutOfMemoryError) as caught:
        lab.make(job)
    case.check(f"OutOfMemoryError: {caught.value}")
    assert str(caught.value).endswith("batch 32")
    assert lab.run_folder(job).read_record() is None


@case(
    19,
    "a process that loads data dies",
    remains="cannot happen: images are prepared once and stand in the memory of the process that trains",
)
def test_there_are_no_data_loading_processes() -> None:
    used = set()
    for path in Path(cifar_lab.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                used |= {node.module or ""} if isinstance(node, ast.ImportFrom) else {name.name for name in node.names}
                used |= {name.name for name in node.names}
    assert "torch" in used
    assert not {"DataLoader", "torch.utils.data", "multiprocessing", "torch.multiprocessing"} & used


@case(
    33,
    "a run is made a second time after it was completed",
    remains="the first result, byte for byte",
)
def test_a_second_completion_changes_nothing(lab: Any) -> None:
    job = lab.job(lab.settings())
    record = lab.make(job)
    before = {path.name: path.read_bytes() for path in lab.run_folder(job).path.iterdir()}
    assert lab.make(job) == record
    assert {path.name: path.read_bytes() for path in lab.run_folder(job).path.iterdir()} == before


@case(
    33,
    "two processes make the same run at the same time",
    remains="one result; the second skips or awaits the run while the first holds it, and finds it done afterwards",
    says="{path}: held by process {pid} on {host} since {time}; wait for it, or end it, then run the same "
    "command again",
)
def test_of_two_that_make_one_run_the_second_is_refused(lab: Any, case: Case) -> None:
    job, begun, refused = lab.job(lab.settings()), threading.Event(), threading.Event()

    def wait(event: dict[str, Any]) -> None:
        begun.set()
        assert refused.wait(30)

    made: list[Any] = []
    first = threading.Thread(target=lambda: made.append(lab.make(job, wait)))
    first.start()
    assert begun.wait(30)
    try:
        with pytest.raises(EnvironmentFault) as caught:
            lab.make(job)
        case.check(str(caught.value))
    finally:
        refused.set()
        first.join()
    assert lab.make(job) == made[0]


@pytest.mark.slow
@case(
    20,
    "`--force` on runs that another command trains",
    remains="the runs of the first command; nothing is discarded",
    says="held by process {pid} on {host} since {time}; wait for it, or end it, then run the same command again",
    code=4,
)
def test_runs_that_another_command_holds_are_never_discarded(lab: Any, case: Case) -> None:
    path = lab.file("long", "epochs=500", "data.batch_size=8")
    with lab.start("run", path) as first:
        first.wait_for("epoch 1/500")
        code, told, wrong = lab.command("run", path, "--force")
        case.check(told + wrong, code)
        first.wait_for("epoch")
    assert lab.records() == []
