"""Settings that are wrong: the real command ends with 2 and one line for each problem, and nothing has been written.

The tables in `tests/config_io` hold every message; here stands one of each kind, through the whole command.
"""

from __future__ import annotations

from typing import Any

import pytest

from cifar_lab.config.io.load import settings_from
from cifar_lab.core.errors import Interrupted, SettingsError
from cifar_lab.execution.plan import plan_runs

from .registry import Case, case


def refused(lab: Any, case: Case, text: str | bytes, command: str = "run") -> None:
    """The command on a file of this content is refused in the words of the case, and leaves the folder as it was."""
    path = lab.folder / "x.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    code, told, wrong = lab.command(command, "x.yaml")
    assert told == ""
    case.check(wrong, code)
    assert [each.name for each in lab.folder.iterdir()] == ["x.yaml"]


@case(
    25,
    "a file that is not YAML, or means something else than it seems to mean",
    remains="nothing new",
    says="x.yaml:2:1: a tab; indent with spaces",
    code=2,
)
def test_broken_yaml(lab: Any, case: Case) -> None:
    refused(lab, case, "epochs: 3\n\tlabel: x\n")


@case(
    25,
    "a file of random bytes",
    remains="nothing new",
    says="x.yaml:2:118: byte 0x80 is not UTF-8; save the file as UTF-8",
    code=2,
)
def test_no_text_at_all(lab: Any, case: Case) -> None:
    refused(lab, case, bytes(range(256)))


@case(
    26,
    "a key with a typo, in a section too; all problems at once",
    remains="nothing new",
    says="x.yaml:1: optimizer.weight_decy: no such setting{more}did you mean weight_decay?",
    code=2,
)
def test_an_unknown_key(lab: Any, case: Case) -> None:
    refused(lab, case, "optimizer: {weight_decy: 0.1}\nepoch: 3\n")


@case(
    27,
    "a value of another type",
    remains="nothing new",
    says="x.yaml:1: epochs: 3.0 is a decimal number; expected a whole number from 1 to 100,000 — did you mean 3?",
    code=2,
)
def test_a_wrong_type(lab: Any, case: Case) -> None:
    refused(lab, case, "epochs: 3.0\n")


@case(
    28,
    "a number out of its range",
    remains="nothing new",
    says="x.yaml:1: optimizer.lr: 0 is {what}; expected {range}",
    code=2,
)
def test_out_of_range(lab: Any, case: Case) -> None:
    refused(lab, case, "optimizer: {lr: 0}\n")


@case(
    29,
    "settings that cannot hold together",
    remains="nothing new",
    says="x.yaml:1: scheduler.warmup_epochs: 10 is not below epochs, which is 10",
    code=2,
)
def test_a_contradiction(lab: Any, case: Case) -> None:
    refused(lab, case, "scheduler: {warmup_epochs: 10}\nepochs: 10\n")


@case(
    30,
    "an axis without values",
    remains="nothing new",
    says="x.yaml:2: space.data.flip: the list is empty; expected a list of values",
    code=2,
)
def test_an_empty_axis(lab: Any, case: Case) -> None:
    lab.file("base")
    (lab.folder / "base.yaml").rename(lab.folder.parent / "base.yaml")
    refused(lab, case, "base: ../base.yaml\nspace: {data.flip: []}\n", "sweep")


@case(
    31,
    "settings change between stop and resume",
    remains="the stopped run as it was; the new settings are another run",
    says="1 run: 1 to train",
)
def test_changed_settings_are_another_run(lab: Any, case: Case) -> None:
    job = lab.job(lab.settings())
    with pytest.raises(Interrupted):
        lab.make(job, should_stop=lambda: True)
    before = lab.run_folder(job).checkpoint.read_bytes()
    other = lab.job(lab.settings("optimizer.lr=0.5"))
    assert other.run_id != job.run_id
    states = {run.job.run_id: run.state for run in plan_runs([job.settings, other.settings], lab.results)}
    assert states == {job.run_id: "interrupted", other.run_id: "missing"}
    lab.make(other)
    assert lab.run_folder(job).checkpoint.read_bytes() == before
    path = lab.file("third", "optimizer.lr=0.6", "epochs=1")
    _, told, _ = lab.command("run", path, "--dry-run")
    case.check(told)


@case(
    31,
    "another version of a library is there when a run goes on",
    remains="the run, with a note of what its first epochs ran with",
    says="epochs 1 to 1 ran with torch {version}",
)
def test_another_library_is_noted(lab: Any, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    from cifar_lab.training import run as experiment

    really = experiment.environment
    monkeypatch.setattr(experiment, "environment", lambda *given: really(*given).model_copy(update={"torch": "1.0"}))
    job = lab.job(lab.settings())
    with pytest.raises(Interrupted):
        lab.make(job, should_stop=lambda: True)
    monkeypatch.setattr(experiment, "environment", really)
    record = lab.make(job)
    case.check("\n".join(record.notes), version="1.0")


@case(
    28,
    "every setting at its bounds and just beyond them",
    remains="nothing new",
    says="{key}: {value} is {what}; expected {range}",
)
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("data.batch_size", 0),
        ("epochs", 0),
        ("data.val_size", -1),
        ("optimizer.momentum", 1.5),
        ("loss.label_smoothing", 1.5),
    ],
)
def test_bounds(key: str, value: object, case: Case) -> None:
    section, _, name = key.rpartition(".")
    with pytest.raises(SettingsError) as caught:
        settings_from({section: {name: value}} if section else {name: value})
    case.check(str(caught.value), key=key, value=value)
