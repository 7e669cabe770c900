"""Files that a run of the cluster needs from the driver."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cifar_lab.config.io.load import settings_from
from cifar_lab.core.host import SHIPPED, below
from cifar_lab.execution.ray.transfers import _files_of, teacher_code, teachers
from cifar_lab.store.results import RunFolder
from tests.execution.own_model import MODEL_CLASS
from tests.training.own_code import write


def test_code_of_the_user_is_sent_with_all_that_it_imports(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "shared.py").write_text("")
    with (tmp_path / "lion.py").open("a") as file:
        file.write("\nimport shared\n")
    settings = settings_from(
        {"optimizer": {"name": "lion.py:Lion"}, "loss": {"name": "parts.py:margin"}, "metrics": ["parts.py:top3"]},
        base=tmp_path,
    )
    assert {path.name for path in _files_of(settings)} == {"lion.py", "shared.py", "parts.py"}


def test_the_teacher_of_a_run_travels_with_it(lab: Any) -> None:
    teacher = lab.job(lab.settings("epochs=1"))
    lab.make(teacher)
    student = lab.settings("epochs=1", f"loss.distill.teacher=run:{teacher.run_id}")
    (sent,) = teachers([lab.job(student), lab.job(student, seed=1)])
    assert (sent.run_id, list(sent.files)) == (teacher.run_id, ["weights.safetensors", "record.json"])
    assert teachers([teacher]) == []
    on_node = lab.job(student, results="node")
    folder = RunFolder(on_node.results, sent.run_id)
    folder.path.mkdir(parents=True)
    for name, content in sent.files.items():
        (folder.path / name).write_bytes(content)
    assert lab.make(on_node).files == lab.make(lab.job(student)).files


def test_the_code_of_a_teacher_travels_with_it(lab: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "layers.py").write_text("WIDTH = 3\n")
    code = tmp_path / "taught.py"
    code.write_text(f"import layers\n{MODEL_CLASS.format(act='pass')}")
    teacher = lab.job(lab.settings("epochs=1", f"model.name={code}:Model"))
    lab.make(teacher)
    student = lab.settings("epochs=1", f"loss.distill.teacher=run:{teacher.run_id}")
    sent = teacher_code([lab.job(student), teacher])
    assert {path.name for path in sent} == {"taught.py", "layers.py"}
    here = lab.make(lab.job(student)).files

    shipped = tmp_path / "node"
    for path in sent:
        below(shipped, path).parent.mkdir(parents=True, exist_ok=True)
        path.rename(below(shipped, path))
    assert teacher_code([lab.job(student)]) == []  # the files are gone
    monkeypatch.setenv(SHIPPED, str(shipped))
    on_node = lab.job(student, results="node")
    (run,) = teachers([lab.job(student)])
    folder = RunFolder(on_node.results, run.run_id)
    folder.path.mkdir(parents=True)
    for name, content in run.files.items():
        (folder.path / name).write_bytes(content)
    assert lab.make(on_node).files == here
