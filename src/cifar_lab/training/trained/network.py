"""Network of a finished run, loaded from its checked weights, with its normalisation inside."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load as from_safetensors
from torch import Tensor, nn

from cifar_lab import data, models
from cifar_lab.config import CustomModel, Model, Settings
from cifar_lab.config.registry import facts_of
from cifar_lab.config.run_id import recipe
from cifar_lab.core.errors import DataError, LabError, SettingsError
from cifar_lab.data.resident_split import MAX_PIXEL, Normalizer
from cifar_lab.models.input_size import input_size
from cifar_lab.models.outputs import main_output
from cifar_lab.models.user_code import forked_generators
from cifar_lab.store.records import Record
from cifar_lab.store.results import DamagedFileError, RunFolder, model_file
from cifar_lab.training.build import layout
from cifar_lab.training.device import Execution
from cifar_lab.training.evaluate import EVALUATION_BATCH_SIZE, images_per_pass

LOG = logging.getLogger(__name__)

CPU = torch.device("cpu")


class TrainedNetwork(nn.Module):
    """Network of a finished run in evaluation mode.

    Takes float32 images (N, 3, H, W) with pixels from 0 to 1 and returns logits (N, classes) in float32. Normalisation
    and `model.input_size` are inside. Pixels that were bytes give the bits of the run's own evaluation. A run in
    bfloat16 evaluates in bfloat16.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, network: nn.Module, normalizer: Normalizer, record: Record, settings: Settings) -> None:
        super().__init__()
        self.network = network
        self.record = record
        self.settings = settings
        self.bf16 = settings.runtime.precision == "bf16"
        self.resizes = input_size(network) is not None
        facts = facts_of(settings.model)
        self.any_size = self.resizes or facts is None or facts.any_size
        scale, shift = normalizer.scale_shift  # (1, 3, 1, 1)
        self.register_buffer("scale", scale.clone())
        self.register_buffer("shift", shift.clone())
        self.eval()

    @property
    def run_id(self) -> str:
        """Id of the run."""
        return self.record.run_id

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the logits."""
        return self.record.data.classes

    @property
    def side(self) -> int:
        """Rows and columns of the images of the run, in pixels."""
        return int(self.settings.data.side())

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes) of images (N, 3, H, W).

        Raises:
            ValueError: the images have another type or shape.
        """
        if images.dtype != torch.float32 or images.ndim != 4 or images.shape[1] != 3:
            raise ValueError(
                f"images: {images.dtype} of shape {tuple(images.shape)} instead of torch.float32 (N, 3, H, W) with "
                "pixels from 0 to 1"
            )
        if not self.any_size and tuple(images.shape[2:]) != (self.side, self.side):
            raise ValueError(
                f"images: {images.shape[2]} × {images.shape[3]} pixels instead of {self.side} × {self.side}; resize "
                "them"
            )
        normalized = images * MAX_PIXEL * self.scale - self.shift
        with torch.autocast(images.device.type, torch.bfloat16) if self.bf16 else contextlib.nullcontext():
            logits: Tensor = main_output(self.network(normalized))
        return logits.float()

    @torch.no_grad()
    def logits_of(self, pixels: NDArray[np.uint8]) -> Tensor:
        """Logits (N, classes) on the CPU of uint8 pixels (N, 3, H, W), in passes of the run's evaluation."""
        device = self.scale.device
        execution = Execution(device, self.bf16, threads=torch.get_num_threads())
        images_layout = layout(self.settings, execution, stacked=self.record.environment.stacked)
        size = images_per_pass(input_size(self.network) or pixels.shape[2], EVALUATION_BATCH_SIZE)
        logits = []
        for start in range(0, len(pixels), size):
            batch = torch.from_numpy(np.ascontiguousarray(pixels[start : start + size])).to(device)
            logits.append(self((batch.float() / MAX_PIXEL).contiguous(memory_format=images_layout)).cpu())
        return torch.cat(logits) if logits else torch.zeros(0, len(self.classes))


def load_trained(results: Path, record: Record, settings: Settings) -> TrainedNetwork:
    """Load the network of a finished run on the CPU. The code of a custom model runs in this process.

    Args:
        results: the results folder of the record.
        record: of the run.
        settings: of the run, from its record.

    Raises:
        SettingsError: the run diverged, so that it has no weights.
        DamagedFileError: the weights do not have the checksum of the record.
        DataError: the weights do not fit the model, the code of a custom model changed, or the images whose statistics
            the normalisation needs are missing.
    """
    folder = RunFolder(results, record.run_id)
    if record.status == "diverged":
        raise SettingsError(
            f"{record.label}, seed {record.seed} (run {record.run_id}) diverged, so it has no weights; give another run"
        )
    content = folder.read_file(record, folder.weights.name)
    model = settings.model.model_copy(
        update={"name": _moved_with(results, settings.model.name), "weights": None, "pretrained": False}
    )
    _require_same_code(record, model)
    with forked_generators():
        network = models.build(model, len(record.data.classes), settings.data.side())
    try:
        network.load_state_dict(from_safetensors(content))
    except Exception as error:  # torch names every key, safetensors has an exception without a public base
        fault = f"does not fit {settings.model.name} ({type(error).__name__}: {str(error).splitlines()[0][:160]})"
        raise DamagedFileError(folder.weights, fault) from error
    return TrainedNetwork(network, _normalizer(record, settings), record, settings)


def _moved_with(results: Path, name: str) -> str:
    """`model.name`, in the results folder where a model of a notebook was moved with it."""
    where, _, wanted = name.rpartition(":")
    moved = model_file(results, Path(where).name)
    return f"{moved}:{wanted}" if where.endswith(".py") and not Path(where).is_file() and moved.is_file() else name


def normalizer_of(method: str, mean: tuple[float, ...] = (0.0,) * 3, std: tuple[float, ...] = (1.0,) * 3) -> Normalizer:
    """Normalisation of images of any size: mean and standard deviation are (1, 3, 1, 1)."""
    return Normalizer.make(method, mean, std, CPU, side=1)


def _normalizer(record: Record, settings: Settings) -> Normalizer:
    method = settings.data.normalize
    if method != "channel":
        return normalizer_of(method)
    mean, std = record.data.channel_mean, record.data.channel_std
    if mean is not None and std is not None:
        return normalizer_of(method, mean, std)
    fingerprint = record.data.fingerprint  # a record of an earlier version has no statistics
    try:
        info = data.known(settings.data, fingerprint) or data.prepare(settings.data)
    except LabError as error:
        raise DataError(
            f"run {record.run_id}: data.normalize is channel, so its network needs the statistics of the training "
            f"images: {error}"
        ) from error
    if info.fingerprint != fingerprint:
        raise DataError(
            f"run {record.run_id}: data.normalize is channel, so its network needs the statistics of the training "
            f"images, which changed (fingerprint {info.fingerprint[:16]}, expected {fingerprint[:16]}); restore them"
        )
    return normalizer_of(method, info.channel_mean, info.channel_std)


def _require_same_code(record: Record, model: Model) -> None:
    """Refuse a custom model whose code is not that of the run. Another version of a package is noted.

    Raises:
        DataError: the code is missing or changed.
    """
    if not isinstance(model, CustomModel):
        return
    trained, name = record.recipe.get("model", {}).get("source"), model.name
    try:
        found = recipe(Settings().model_copy(update={"model": model}))["model"]["source"]
    except SettingsError as error:
        raise DataError(f"run {record.run_id}: the code of its model {name} is not found; restore it") from error
    if found == trained:
        return
    if not str(found).startswith("sha256:"):
        LOG.warning("run %s was trained with %s, this is %s", record.run_id, trained, found)
        return
    raise DataError(f"run {record.run_id}: the code of its model {name} has changed since the run; restore it")
