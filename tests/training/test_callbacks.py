"""Times at which a run is saved, and transfers of a cohort for it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from cifar_lab.core.errors import Interrupted
from cifar_lab.store.records import Record
from cifar_lab.training import callbacks, checkpoint
from cifar_lab.training.cohort import SharedTransfer
from cifar_lab.training.events import EpochCompleted, Event
from cifar_lab.training.job import Job


class Killed(BaseException):
    """The end of the process, as far as a run sees it."""


def ended_after(lab: Any, job: Job, epoch: int) -> None:
    """Train to the end of `epoch` and end there without a word."""

    def tell(event: Event) -> None:
        if isinstance(event, EpochCompleted) and event.epoch == epoch:
            raise Killed

    with pytest.raises(Killed):
        lab.make(job, tell)


def numbers(record: Record) -> tuple[Any, ...]:
    return record.test, record.files, record.epochs_trained, record.metrics_sha256 is not None


@pytest.mark.parametrize(
    ("seconds", "epoch_seconds", "saved"),
    [(0, 0.0, [1, 2, 3, 4, 5]), (10, 4.0, [3]), (10, 12.0, [1, 2, 3, 4, 5]), (1000, 4.0, [])],
)
def test_epochs_after_which_a_run_is_saved(
    seconds: int, epoch_seconds: float, saved: list[int], lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, told, written = [0.0], [], []
    save = checkpoint.save
    monkeypatch.setattr(callbacks.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(
        checkpoint, "save", lambda path, state: (written.append(len(state["history"])), save(path, state))
    )
    epoch = callbacks.CheckpointCallback.epoch

    def later(self: Any, members: Any) -> None:
        now[0] += epoch_seconds
        epoch(self, members)

    monkeypatch.setattr(callbacks.CheckpointCallback, "epoch", later)
    settings = lab.settings("epochs=5", "runtime.threads=1", f"runtime.checkpoint_seconds={seconds}")
    record = lab.make(lab.job(settings), lambda event: told.append(getattr(event, "epoch", None)))
    assert written == saved
    assert [each for each in told if each] == [1, 2, 3, 4, 5]
    assert record.epochs_trained == 5


def test_a_run_that_is_killed_between_checkpoints_is_made_to_the_same_bits(lab: Any) -> None:
    settings = lab.settings("epochs=4", "runtime.checkpoint_seconds=1000")
    job = lab.job(settings)
    ended_after(lab, job, 2)
    assert not lab.run_folder(job).has_checkpoint()
    again = lab.make(job)
    assert again.notes == ()
    assert numbers(again) == numbers(lab.make(lab.job(settings, results="undisturbed")))


def test_a_run_that_is_asked_to_stop_loses_nothing(lab: Any) -> None:
    job = lab.job(lab.settings("runtime.checkpoint_seconds=1000"))
    heard: list[int] = []

    def tell(event: Event) -> None:
        if isinstance(event, EpochCompleted):
            heard.append(event.epoch)

    with pytest.raises(Interrupted, match=r"^stopped after epoch 2, whose checkpoint is kept$"):
        lab.make(job, tell, lambda: heard[-1] == 2)
    assert len(lab.run_folder(job).read_metrics()) == 2
    assert lab.make(job).notes == ("resumed after epoch 2",)


def test_parts_of_one_memory_are_transferred_once() -> None:
    whole = torch.arange(24.0).view(4, 6)
    parts = [whole[1], whole[:, 2], whole[2:, ::2], whole.t()[3:], torch.empty(0), whole[0].to(torch.int64)]
    transfer = SharedTransfer()
    copies = [transfer(part) for part in parts]
    before = [part.clone() for part in parts]
    whole.zero_()
    for copy, part in zip(copies, before, strict=True):
        assert copy.dtype == part.dtype
        assert torch.equal(copy, part)
        assert copy.untyped_storage().nbytes() == part.numel() * part.element_size()
    assert len(transfer._copies) == 3


def test_another_memory_at_the_same_address_is_transferred_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device may give the memory of a freed tensor to the next one."""
    monkeypatch.setattr(torch.UntypedStorage, "cpu", lambda storage: storage.clone())  # as of a GPU: never the same
    transfer = SharedTransfer()
    copies = [transfer(torch.full((1000,), float(number))) for number in range(4)]
    assert [float(copy[0]) for copy in copies] == [0, 1, 2, 3]
