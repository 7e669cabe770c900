from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cifar_lab.core.errors import Paused
from cifar_lab.execution.elsewhere import Elsewhere
from cifar_lab.execution.tasks import Task
from cifar_lab.store.failures import note_failure


def test_each_run_of_a_task_is_free_held_made_or_failed_elsewhere(lab: Any) -> None:
    jobs = [lab.job(lab.settings("epochs=1", "data.train_size=40"), seed=seed) for seed in range(5)]
    free, held, made, failed, retried = jobs

    def fail(job: Any, reason: str) -> None:
        note_failure(lab.run_folder(job), "arm", job.seed, kind="error", reason=reason, exit_code=1, attempts=2)

    for job in jobs:
        lab.run_folder(job).path.mkdir(parents=True)
    fail(retried, "in an earlier command")
    elsewhere = Elsewhere(jobs)
    record = lab.make(made)
    fail(failed, "in a command beside this one")
    with lab.run_folder(held).lock():
        found, ended = elsewhere.divide(Task((tuple(jobs),)))
    assert found == {held.run_id}
    assert [(outcome.job, outcome.status, outcome.elsewhere) for outcome in ended] == [
        (made, "done", True), (failed, "failed", True)
    ]  # fmt: skip
    assert ended[0].test_accuracy == record.test.accuracy
    assert (ended[1].reason, ended[1].kind, ended[1].attempts) == ("in a command beside this one", "error", 2)
    assert free.run_id not in found


def test_a_rung_that_another_command_reached_is_paused(lab: Any) -> None:
    job = lab.job(lab.settings("epochs=3", "data.val_size=10"), read_test=False)
    rung = replace(job, until_epoch=1)
    elsewhere = Elsewhere([rung])
    assert elsewhere.divide(Task(((rung,),))) == (set(), [])
    with pytest.raises(Paused, match="after epoch 1"):
        lab.make(rung)
    _, (outcome,) = elsewhere.divide(Task(((rung,),)))
    assert (outcome.status, outcome.reason, outcome.elsewhere) == ("paused", "after epoch 1", True)
