from __future__ import annotations

import io
import threading
from pathlib import Path

import pytest

from cifar_lab.config import Settings
from cifar_lab.core import extras
from cifar_lab.core.errors import MissingExtraError, SettingsError
from cifar_lab.execution.context import Silent
from cifar_lab.progress.lines import PlainLines
from cifar_lab.progress.sinks.relay import Mirrored, mirrors_of
from cifar_lab.training.events import EpochCompleted, Event, RunOutcome, RunStarted, StepCompleted
from cifar_lab.training.job import Job

EPOCH = EpochCompleted(
    epoch=1, train_loss=2.0, train_accuracy=0.1, val_accuracy=None, seconds=1.0, lr=0.1, val_loss=None
)
DONE = RunOutcome(status="done", reason=None)


def job() -> Job:
    return Job(Settings(label="arm"), 0, "0" * 16, {}, "f" * 64, Path("results"), read_test=True)


class Kept:
    """A mirror that keeps what it hears, on another thread than the display's."""

    name = "kept"

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []
        self.threads: set[int] = set()
        self.closed = False

    def event(self, job: Job, event: Event) -> None:
        self.heard.append((job.name, event.word))
        self.threads.add(threading.get_ident())

    def close(self) -> None:
        self.closed = True


class Broken(Kept):
    name = "broken"

    def event(self, job: Job, event: Event) -> None:
        super().event(job, event)
        raise OSError("database is\nlocked")


def test_mirrors_hear_epochs_and_endings_in_a_thread_of_their_own() -> None:
    kept = Kept()
    display = Mirrored(Silent(), [kept])
    display.begin([])
    for event in (RunStarted(), EPOCH, StepCompleted(epoch=1, step=1, steps=2, loss=1.0, accuracy=0.5), DONE):
        display.event(job(), event)
    display.end()
    assert kept.heard == [("arm · seed 0", "epoch"), ("arm · seed 0", "outcome")]
    assert kept.closed
    assert kept.threads.isdisjoint({threading.get_ident()})


def test_a_mirror_that_fails_is_said_once_and_the_others_go_on() -> None:
    said: list[str] = []
    shown = io.StringIO()
    kept, broken = Kept(), Broken()
    display = Mirrored(PlainLines(shown), [broken, kept], said.append)
    display.begin([])
    for event in (EPOCH, EPOCH, DONE):
        display.event(job(), event)
    display.end()
    assert said == [
        "mirror broken: stopped (OSError: database is locked); the runs continue and their records are complete"
    ]
    assert len(broken.heard) == 1
    assert len(kept.heard) == 3
    assert "epoch 1/10" in shown.getvalue()


def test_a_mirror_that_hangs_does_not_keep_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cifar_lab.progress.sinks.relay.END_SECONDS", 0.05)
    wait = threading.Event()

    class Hanging(Kept):
        def event(self, job: Job, event: Event) -> None:
            wait.wait(20)

    said: list[str] = []
    display = Mirrored(Silent(), [Hanging()], said.append)
    display.begin([])
    display.event(job(), EPOCH)
    display.end()
    wait.set()
    assert len(said) == 1
    assert said[0].startswith("mirror kept: is not complete after ")


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("comet", "'comet' is not one of: tensorboard, wandb, mlflow, mlflow:FILE.db"),
        ("wandb:x", "'wandb:x' is not one of:"),
        ("tensorboard:x", "'tensorboard:x' is not one of:"),
        ("mlflow:http://127.0.0.1:5000", "is not an SQLite file; servers are not supported, write mlflow:FILE.db"),
        ("mlflow:postgresql://db", "is not an SQLite file"),
    ],
)
def test_other_mirrors_are_refused(word: str, told: str) -> None:
    with pytest.raises(SettingsError) as caught:
        mirrors_of([word], Path("results"))
    assert told in str(caught.value)


def test_a_missing_package_names_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(
        MissingExtraError, match=r"--mirror mlflow: MLflow is not installed; .*pip install '\.\[mlflow\]'"
    ):
        mirrors_of(["mlflow"], Path("results"))


def test_a_mirror_that_is_named_twice_is_one(tmp_path: Path) -> None:
    words = [
        "tensorboard",
        "tensorboard",
        "mlflow",
        f"mlflow:{tmp_path}/mlflow.db",
        f"mlflow:sqlite:///{tmp_path}/mlflow.db",
    ]
    assert [mirror.name for mirror in mirrors_of(words, tmp_path)] == ["tensorboard", "mlflow"]
