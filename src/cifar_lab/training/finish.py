"""The end of a trained run: its weights, its test, and its record last."""

from __future__ import annotations

import torch
from torch import nn

from cifar_lab import models
from cifar_lab.core.host import utc_now
from cifar_lab.store.records import DataIdentity, Environment, Record
from cifar_lab.store.results import metrics_digest
from cifar_lab.training import checkpoint
from cifar_lab.training.callbacks import ActiveRun
from cifar_lab.training.device import Execution
from cifar_lab.training.final_test import missing_reason, read_test_split, save_weights


def finish(
    run: ActiveRun, network: nn.Module, identity: DataIdentity, execution: Execution, here: Environment,
    memory_format: torch.memory_format,
) -> Record:  # fmt: skip
    """Write what a trained run leaves: weights, the test split's predictions if the job says so, its record last."""
    job, folder, member = run.job, run.folder, run.member
    test = None
    files: dict[str, str] = {}
    if member.diverged is None:
        files.update(save_weights(folder, network))
        if job.read_test:
            test, predictions = read_test_split(
                folder, network, job.settings, job.fingerprint, execution, memory_format
            )
            files.update(predictions)
    record = Record(
        run_id=job.run_id,
        recipe=job.recipe,
        settings=job.settings.model_dump(mode="json"),
        label=job.settings.label,
        seed=job.seed,
        status="diverged" if member.diverged else "done",
        reason=member.diverged,
        epochs_trained=len(member.history),
        parameters=models.count_parameters(network),
        val=member.val if member.diverged is None else None,
        test=test,
        test_reason="diverged" if member.diverged else missing_reason(test) if job.read_test else "search",
        train_seconds=sum(line.seconds for line in member.history),
        started=run.started,
        finished=utc_now(),
        data=identity,
        environment=here,
        files=files,
        sizes=folder.sizes(files),
        metrics_sha256=metrics_digest(member.history),
        notes=tuple(run.notes),
    )
    folder.write_metrics(member.history)
    folder.write_record(record)
    checkpoint.remove(folder.checkpoint)
    return record
