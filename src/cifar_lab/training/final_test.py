"""End of a run: save the weights, read the test split once, write the record last. Only this module reads the test."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import numpy as np
import torch
from safetensors.torch import load as from_safetensors
from safetensors.torch import save as to_safetensors
from torch import nn

from cifar_lab import data, models
from cifar_lab.config import CustomLoss, Ema, Settings
from cifar_lab.config.fine_tune_rules import fine_tunes
from cifar_lab.config.io.load import settings_text
from cifar_lab.config.own_code import short_name
from cifar_lab.core.host import utc_now
from cifar_lab.data.resident_split import ResidentSplit
from cifar_lab.store.records import DataIdentity, Environment, Record, SplitScore, schema_of
from cifar_lab.store.results import RunFolder, metrics_digest
from cifar_lab.store.run_texts import text_digest
from cifar_lab.training import checkpoint
from cifar_lab.training.build import layout, make_normalizer, to_device, training_layout
from cifar_lab.training.callbacks import ActiveRun
from cifar_lab.training.device import Execution, prepare_execution, settle_threads
from cifar_lab.training.evaluate import predict, score, with_flip_tta, with_other
from cifar_lab.training.job import Job
from cifar_lab.training.own_functions import own_metrics

Weights = Callable[..., AbstractContextManager[None]]


def finish(
    run: ActiveRun, network: nn.Module, identity: DataIdentity, execution: Execution, environment: Environment,
    memory_format: torch.memory_format, weights: Weights = nullcontext, validation: ResidentSplit | None = None,
) -> Record:  # fmt: skip
    """Write the files of a trained run: weights, predictions on the test split if the job asks, record.

    The checkpoint is removed after the record is on disk, so an interruption at any point leaves one of them.

    Args:
        weights: context in which the network has the weights that count, or with `other` those that do not.
    """
    job, folder, member = run.job, run.folder, run.member
    test = None
    files: dict[str, str] = {}
    if member.diverged is None:
        with weights():
            files.update(save_weights(folder, network))
            if job.settings.evaluate.tta == "flip" and validation is not None and member.val is not None:
                member.val = with_flip_tta(member.val, network, validation, execution)
            if job.read_test:
                split = _test_images(job.settings, job.fingerprint, execution, memory_format)
                test, predictions = read_test_split(folder, network, split, job.settings, execution)
                files.update(predictions)
        if job.read_test and isinstance(used := job.settings.average, Ema):
            with weights(other=True):
                other = score(predict(network, split, execution), split.labels.cpu(), len(identity.classes))
            test = with_other(test, other, used)
    record = _make_record(run, network, test, files, identity, environment)
    folder.write_metrics(member.history)
    folder.write_record(record)
    checkpoint.remove(folder.checkpoint)
    return record


def _make_record(
    run: ActiveRun, network: nn.Module, test: SplitScore | None, files: dict[str, str], identity: DataIdentity,
    environment: Environment,
) -> Record:  # fmt: skip
    job, member = run.job, run.member
    frozen = models.count_frozen(network) if fine_tunes(job.settings) else 0
    return Record(
        schema=schema_of((member.val, test), identity, environment, frozen),
        run_id=job.run_id,
        recipe=job.recipe,
        settings=job.settings.model_dump(mode="json"),
        label=job.settings.label,
        seed=job.seed,
        status="diverged" if member.diverged else "done",
        reason=member.diverged,
        epochs_trained=len(member.history),
        parameters=models.count_parameters(network),
        frozen_parameters=frozen,
        val=member.val if member.diverged is None else None,
        test=test,
        test_reason="diverged" if member.diverged else missing_reason(test) if job.read_test else "search",
        train_seconds=sum(line.seconds for line in member.history),
        started=run.started,
        finished=utc_now(),
        data=identity,
        environment=environment,
        files=files,
        sizes=run.folder.sizes(files),
        settings_sha256=text_digest(settings_text(job.settings, job.seed)),
        metrics_sha256=metrics_digest(member.history),
        notes=(*run.notes, *_notes(job.settings)),
        plan=job.plan,
    )


def _notes(settings: Settings) -> list[str]:
    """Notes on numbers that are not those of other runs."""
    own = isinstance(settings.loss, CustomLoss)
    notes = [f"train_loss is the loss {short_name(settings.loss.name)}, other losses are cross-entropy"] if own else []
    attacked = "train_loss and train_accuracy are those of attacked images, validation and test images are clean"
    return [*notes, *([attacked] if settings.adversarial.eps else [])]


def _test_images(
    settings: Settings, fingerprint: str, execution: Execution, memory_format: torch.memory_format
) -> ResidentSplit:
    """The test split on the device, in the memory format of the network.

    Raises:
        DataError: the images do not have `fingerprint`, so they are not those of the training.
    """
    info = data.prepare(settings.data, fingerprint=fingerprint)
    split = data.load_test(settings.data, fingerprint)
    return ResidentSplit(split.images, split.labels, make_normalizer(settings, info, execution, memory_format))


def read_test_split(
    folder: RunFolder, network: nn.Module, split: ResidentSplit, settings: Settings, execution: Execution
) -> tuple[SplitScore | None, Mapping[str, str]]:
    """Evaluate the trained network on the test split and save its predictions.

    predictions.npz holds `labels` int64 (N,) and `logits` fp32 (N, classes) in data-set order.

    Returns:
        The score, None if a logit is not finite, and SHA-256 by file name.
    """
    logits, labels = predict(network, split, execution), split.labels.cpu()
    buffer = io.BytesIO()
    np.savez(buffer, labels=labels.numpy(), logits=logits.numpy())
    hashes = _write(folder, folder.predictions.name, buffer.getvalue())
    found = score(logits, labels, logits.shape[1], own_metrics(settings))
    if found is not None and settings.evaluate.tta == "flip":
        found = with_flip_tta(found, network, split, execution, logits)
    return found, hashes


def save_weights(folder: RunFolder, network: nn.Module) -> Mapping[str, str]:
    """Write the trained weights and return SHA-256 by file name."""
    state = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in network.state_dict().items()}
    return _write(folder, folder.weights.name, to_safetensors(state))


def add_test(job: Job, folder: RunFolder, record: Record) -> Record:
    """Add the test score to the record of a run that a search left untested, from its saved weights.

    Raises:
        DamagedFileError: the weights do not have the checksum of the record.
    """
    execution = prepare_execution(job.settings.runtime, record.environment.threads)
    execution = replace(execution, own_kernels=record.environment.kernels == "own")
    execution = settle_threads(execution, job.settings, record.environment.threads)
    content = folder.read_file(record, folder.weights.name)
    model = job.settings.model.model_copy(update={"weights": None, "pretrained": False})
    network = models.build(model, len(record.data.classes), job.settings.data.side())
    network.load_state_dict(from_safetensors(content))
    memory_format = layout(job.settings, execution, stacked=record.environment.stacked)
    network = to_device(network, execution, training_layout(execution, memory_format))
    split = _test_images(job.settings, record.data.fingerprint, execution, memory_format)
    test, predictions = read_test_split(folder, network, split, job.settings, execution)
    files = {**record.files, **predictions}
    tested = record.model_copy(
        update={
            "schema_": max(record.schema_, schema_of((test,), record.data, record.environment)),
            "test": test,
            "test_reason": missing_reason(test),
            "files": files,
            "sizes": folder.sizes(files),
        }
    )
    folder.write_record(tested)
    return tested


def missing_reason(test: SplitScore | None) -> str | None:
    """Reason for a missing score of a test split that was read. None if the score exists."""
    return "a logit was not finite" if test is None else None


def _write(folder: RunFolder, name: str, content: bytes) -> Mapping[str, str]:
    folder.write_file(name, content)
    return {name: hashlib.sha256(content).hexdigest()}
