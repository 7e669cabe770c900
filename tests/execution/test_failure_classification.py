from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from cifar_lab.config import Settings
from cifar_lab.core.errors import DataError, EnvironmentFault, Interrupted, SettingsError, WeightsError
from cifar_lab.execution.failure_classification import classify_end, kind_of
from cifar_lab.execution.tracker import Outcome
from cifar_lab.training.events import Message, RunFailed, decode_event, encode_event
from cifar_lab.training.job import Job

JOB = Job(Settings(), 0, "id", {}, "", Path("results"), True)


def raised(act: Any) -> Exception:
    try:
        act()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def wrapped(cause: Exception) -> Exception:
    def act() -> None:
        raise SettingsError("model.name: mine.py cannot be imported") from cause

    return raised(act)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (raised(lambda: bytearray(2**62)), "oom"),
        (raised(lambda: torch.empty(2**50)), "oom"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), "oom"),
        (OSError(12, "Cannot allocate memory"), "oom"),
        (wrapped(MemoryError()), "oom"),
        (raised(lambda: __import__("no_such_module")), "import"),
        (wrapped(ModuleNotFoundError("No module named 'helper'")), "import"),
        (wrapped(ValueError("wrong")), "settings"),
        (WeightsError("wrong"), "data"),
        (DataError("wrong"), "data"),
        (EnvironmentFault("full"), "environment"),
        (OSError(28, "No space left on device"), "error"),
        (RuntimeError("shapes do not fit"), "error"),
    ],
)
def test_kinds_of_failure(error: Exception, kind: str) -> None:
    assert kind_of(error) == kind


def test_a_lack_of_memory_is_told_with_the_batch_size_and_the_numbers() -> None:
    event = classify_end(raised(lambda: torch.empty(2**50)), JOB)
    assert isinstance(event, RunFailed)
    assert event.reason.startswith("out of memory at batch size 64: RuntimeError: ")
    assert str(2**52) in event.reason
    assert f"({__file__}:" in event.reason
    assert "\n" not in event.reason


def test_an_ending_that_was_sent_is_the_outcome() -> None:
    sent = decode_event(encode_event(Message(classify_end(raised(lambda: 1 // 0), JOB)))).event
    assert isinstance(sent, RunFailed)
    outcome = Outcome.of(JOB, sent, attempts=2)
    assert (outcome.status, outcome.kind, outcome.exit_code, outcome.attempts) == ("failed", "error", 1, 2)
    assert str(outcome.reason).startswith("ZeroDivisionError: ")
    assert "ZeroDivisionError" in str(outcome.traceback)
    refused = Outcome.of(JOB, classify_end(DataError("x.zip: is gone"), JOB))
    assert (refused.kind, refused.exit_code, refused.reason) == ("data", 3, "x.zip: is gone")
    stopped = Outcome.of(JOB, classify_end(Interrupted("stopped after epoch 3, whose checkpoint is kept"), JOB))
    assert (stopped.status, stopped.kind) == ("interrupted", None)
