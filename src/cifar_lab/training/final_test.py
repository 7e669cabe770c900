"""The test split, read once, after training, by this path alone."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from safetensors.torch import load as from_safetensors
from safetensors.torch import save as to_safetensors
from torch import nn

from cifar_lab import data, models
from cifar_lab.config import Settings
from cifar_lab.data.batches import ResidentSplit
from cifar_lab.store.records import SCHEMA, Record, SplitScore
from cifar_lab.store.results import RunFolder
from cifar_lab.training.build import place
from cifar_lab.training.device import Execution, prepare_execution
from cifar_lab.training.evaluate import predict, score
from cifar_lab.training.job import Job
from cifar_lab.training.loading import layout, make_normalizer, training_layout


def read_test_split(
    folder: RunFolder, network: nn.Module, settings: Settings, fingerprint: str, execution: Execution,
    memory_format: torch.memory_format,
) -> tuple[SplitScore | None, Mapping[str, str]]:  # fmt: skip
    """(score, SHA-256 by file name): judge the trained network on the test split and save every prediction.

    predictions.npz holds `labels` int64 (N,) and `logits` fp32 (N, classes) in data-set order. `memory_format` is the
    network's.

    Raises:
        DataError: the images are not those of `fingerprint`, which the network was trained on.
    """
    info = data.prepare(settings.data, fingerprint=fingerprint)
    split = data.load_test(settings.data, fingerprint)
    images = ResidentSplit(split.images, split.labels, make_normalizer(settings, info, execution, memory_format))
    logits = predict(network, images, execution)
    buffer = io.BytesIO()
    np.savez(buffer, labels=split.labels, logits=logits.numpy())
    hashes = _write(folder, folder.predictions.name, buffer.getvalue())
    return score(logits, torch.from_numpy(split.labels), len(info.classes)), hashes


def save_weights(folder: RunFolder, network: nn.Module) -> Mapping[str, str]:
    """Write the trained weights; SHA-256 by file name."""
    state = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in network.state_dict().items()}
    return _write(folder, folder.weights.name, to_safetensors(state))


def add_test(job: Job, folder: RunFolder, record: Record) -> Record:
    """Complete the record of a run that a search left untested, from its saved weights.

    Raises:
        DamagedFileError: the weights are not those that the record names.
    """
    execution = prepare_execution(job.settings.runtime, record.environment.threads)
    execution = replace(execution, own_kernels=record.environment.kernels == "own")
    content = folder.read_file(record, folder.weights.name)
    model = job.settings.model.model_copy(update={"weights": None, "pretrained": False})
    network = models.build(model, len(record.data.classes))
    network.load_state_dict(from_safetensors(content))
    memory_format = layout(model, execution, stacked=record.environment.stacked)
    network = place(network, execution, training_layout(execution, memory_format))
    test, predictions = read_test_split(
        folder, network, job.settings, record.data.fingerprint, execution, memory_format
    )
    files = {**record.files, **predictions}
    tested = record.model_copy(
        update={
            "schema_": SCHEMA,
            "test": test,
            "test_reason": missing_reason(test),
            "files": files,
            "sizes": folder.sizes(files),
        }
    )
    folder.write_record(tested)
    return tested


def missing_reason(test: SplitScore | None) -> str | None:
    """Why a test split that was read has no score; None where it has one."""
    return "a logit was not finite" if test is None else None


def _write(folder: RunFolder, name: str, content: bytes) -> Mapping[str, str]:
    folder.write_file(name, content)
    return {name: hashlib.sha256(content).hexdigest()}
