"""Events of runs, and their codec: one JSON object a line between a worker and its parent. No torch.

A worker emits most of them. The supervisor adds retries, silence and the outcome. Displays and mirrors receive them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal, NamedTuple

from cifar_lab.store.failures import Kind


@dataclass(frozen=True)
class Event:
    """Base of all events. A subclass names its word on the wire."""

    word: ClassVar[str]
    """Value of the key `event` in JSON."""
    of_word: ClassVar[dict[str, type[Event]]] = {}
    """Every subclass by its word."""

    def __init_subclass__(cls, *, word: str) -> None:
        cls.word = word
        Event.of_word[word] = cls


@dataclass(frozen=True)
class RunStarted(Event, word="started"):
    """The run was handed to a worker."""


@dataclass(frozen=True)
class NodeAssigned(Event, word="placed"):
    """A node of the cluster has the task of the run."""

    machine: str


@dataclass(frozen=True)
class DeviceChosen(Event, word="device"):
    """Device and CPU threads that the run trains with."""

    device: str
    threads: int


@dataclass(frozen=True)
class RunResumed(Event, word="resumed"):
    """The run continues from a checkpoint."""

    epoch: int
    """Epochs in the checkpoint."""


@dataclass(frozen=True)
class StepCompleted(Event, word="step"):
    """Progress within an epoch. Loss and accuracy are means of the first member's epoch so far."""

    epoch: int
    """From 1."""
    step: int
    steps: int
    loss: float
    accuracy: float


@dataclass(frozen=True)
class EpochCompleted(Event, word="epoch"):
    """Metrics of a complete epoch: the fields of `store.records.EpochMetrics`."""

    epoch: int
    """From 1."""
    lr: float
    train_loss: float
    train_accuracy: float
    val_loss: float | None
    val_accuracy: float | None
    seconds: float
    metrics: dict[str, float | None] = field(default_factory=dict)
    """Of the user, on the validation split."""


@dataclass(frozen=True)
class RunFinished(Event, word="finished"):
    """The run has its record or its pause. Also the answer to a query that succeeded."""

    status: Literal["done", "diverged", "paused"] = "done"
    reason: str | None = None
    val_accuracy: float | None = None
    test_accuracy: float | None = None


@dataclass(frozen=True)
class RunInterrupted(Event, word="interrupted"):
    """The run stopped on request and can be resumed."""

    reason: str


@dataclass(frozen=True)
class RunFailed(Event, word="failed"):
    """An exception ended the run, or refused a query."""

    reason: str
    exit_code: int
    kind: Kind
    traceback: str | None = None


@dataclass(frozen=True)
class RunHeld(Event, word="held"):
    """Another process holds the run."""

    holder: str


@dataclass(frozen=True)
class RunFound(Event, word="found"):
    """Another command has made the run since the plan. `RunFinished` follows."""


RunEnd = RunFinished | RunInterrupted | RunFailed | RunHeld
"""Last event of a run in its worker. The supervisor decides whether the run is retried."""


@dataclass(frozen=True)
class RetryScheduled(Event, word="retry"):
    """An attempt failed and another one follows."""

    reason: str
    attempt: int
    """Number of the next attempt, from 2."""
    alone: bool
    """Whether it waits until no other run is training."""


@dataclass(frozen=True)
class WorkerQuiet(Event, word="quiet"):
    """The worker of the run has sent no event for some time."""

    seconds: float
    pid: int


@dataclass(frozen=True)
class RunsAwaited(Event, word="awaited"):
    """All that is left to do is held by other commands, and this one waits."""

    runs: int
    holder: str
    """Of the first of these runs."""


@dataclass(frozen=True)
class RunOutcome(Event, word="outcome"):
    """Final result of the run in this command. Nothing follows it."""

    status: Literal["done", "diverged", "paused", "failed", "interrupted", "held"]
    reason: str | None = None
    exit_code: int = 0
    kind: Kind | None = None
    attempts: int = 1
    val_accuracy: float | None = None
    test_accuracy: float | None = None
    elsewhere: bool = False
    """Whether it is the result of another command, which made the run meanwhile."""


@dataclass(frozen=True)
class DataProgress(Event, word="preparing"):
    """Progress of preparing images. `total` is 0 if unknown."""

    what: str
    done: int
    total: int


@dataclass(frozen=True)
class WarningIssued(Event, word="warning"):
    """A warning that a worker logged, for example on damaged images that were prepared again."""

    text: str


@dataclass(frozen=True)
class ModelOutput(Event, word="output"):
    """A line that the code of a custom model printed."""

    text: str


@dataclass(frozen=True)
class GpuCount(Event, word="gpus"):
    """Answer to the query for GPUs."""

    count: int


@dataclass(frozen=True)
class ModelBuilt(Event, word="model built"):
    """Answer to the query whether a model builds."""

    parameters: int
    """Trainable ones."""
    resumable: bool = True
    """Whether a checkpoint keeps all state that later steps depend on."""
    notes: str = ""
    """Sentences for the user, one per line."""
    own_kernels: bool = False
    """Whether this project's kernels make the steps of a custom model."""
    kernels_reason: str | None = None
    """Reason why torch's kernels make them on a CPU whose settings allow both."""


@dataclass(frozen=True)
class TrialProgress(Event, word="trying"):
    """A trial has imported what it needs, or has measured its cost. Its time limit counts anew."""

    seconds: float = 0.0
    """Predicted duration of the rest. 0 if unknown."""


@dataclass(frozen=True)
class AttackProgress(Event, word="attacking"):
    """Images of each network that an attack has done."""

    done: int
    total: int


@dataclass(frozen=True)
class TaskDone(Event, word="task done"):
    """Every run of the worker's task has ended."""


class Message(NamedTuple):
    """An event and the id of its run, which is empty for the events of a worker as a whole."""

    event: Event
    run_id: str = ""


def encode_event(message: Message) -> str:
    """Encode a message as one line of JSON."""
    event, run_id = message
    values: dict[str, Any] = {"event": event.word} | {each.name: getattr(event, each.name) for each in fields(event)}
    return json.dumps({**values, "run_id": run_id} if run_id else values)


def decode_event(line: str) -> Message:
    """Decode a line of `encode_event`.

    Raises:
        ValueError: the line is not JSON, for example because the death of its process truncated it.
    """
    values = json.loads(line)
    run_id = values.pop("run_id", "")
    return Message(Event.of_word[values.pop("event")](**values), run_id)
