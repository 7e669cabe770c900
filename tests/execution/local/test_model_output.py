"""Lines that a model prints in a worker: on standard error, each once per run, never among the results."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from cifar_lab.config.io.load import settings_from
from cifar_lab.execution.local.model_output import MOST_LINES, relayed_output
from cifar_lab.training.job import Job

CHATTY = """
import sys
from torch import nn

print("imported")

class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        print("made with", num_classes, "classes")
        self.last = nn.Linear(3072, num_classes)
        self.passes = 0

    def forward(self, images):
        self.passes += 1
        print("every pass")
        sys.stderr.write("to \\x1b[2Jthe other stream\\n")
        if self.training:
            print("pass", self.passes)
        return self.last(images.flatten(1))
"""


def test_each_line_of_a_model_reaches_the_terminal_once_per_run(lab: Any) -> None:
    (lab.folder / "chatty.py").write_text(CHATTY)
    changes = [f"model.name={lab.folder}/chatty.py:Net", "seeds=[0,1]", "data.batch_size=32"]
    with lab.start("run", lab.file("chatty", *changes), "--json", "--no-trial") as command:
        assert command.end() == 0
        errors = [line.rstrip("\n") for line in command.heard]
        results = command.output.removeprefix("".join(command.heard))
    assert json.loads(results)["command"] == "run"
    for seed in (0, 1):
        begin = f"chatty · seed {seed}: output of its model: "
        lines = [line.removeprefix(begin) for line in errors if line.startswith(begin)]
        assert lines[:4] == ["imported", "made with 10 classes", "every pass", "to [2Jthe other stream"]
        assert lines[4:6] == ["pass 2", "pass 3"]  # the first was a pass of the check
        assert len(lines) == MOST_LINES + 1
        assert lines[-1] == "further lines are not shown (more than 20 different ones)"
        assert len(set(lines)) == len(lines)
    assert sum(line == "imported" for line in errors) == 1  # of the check before the start


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", ""])
def test_a_line_ends_as_it_may(end: str, capsys: pytest.CaptureFixture[str]) -> None:
    told: list[str] = []
    job = Job(settings_from({"model": {"name": "net.py:Net"}}), 0, "run", {}, "", Path(), True)
    with relayed_output(job, lambda _, event: told.append(event.text)):
        print("50 %", end=end)
        sys.stdout.writelines(["x" * 600 + "\n", "\n"])
    long = "x" * 500 + "…"
    assert told == (["50 %", long] if end else ["50 %" + "x" * 496 + "…"])
    assert "50 %" in capsys.readouterr().out


def test_output_of_built_in_models_is_not_relayed() -> None:
    before = sys.stdout
    with relayed_output(Job(settings_from({}), 0, "run", {}, "", Path(), True), lambda *_: None):
        assert sys.stdout is before
