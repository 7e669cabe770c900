"""Export of a trained network to a file of another program, which is read again and compared with the network.

The exported program takes float32 images (N, 3, H, W) with pixels from 0 to 1, for any N and the size of the run, and
returns logits (N, classes). safetensors holds the weights of the bare network, and the normalisation in its metadata.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import torch
from safetensors import safe_open
from safetensors.torch import save as to_safetensors
from torch import Tensor, nn

from cifar_lab import models
from cifar_lab.core.atomic_io import remove, write_bytes
from cifar_lab.core.errors import LabError
from cifar_lab.core.extras import require_extra
from cifar_lab.core.identity import NUMERICS
from cifar_lab.data.resident_split import Normalizer
from cifar_lab.models.user_code import forked_generators
from cifar_lab.training.trained.network import CPU, TrainedNetwork

ExportFormat = Literal["onnx", "torch.export", "safetensors"]

LARGEST_DIFFERENCE = 1e-4
"""Largest difference of a logit between the file and the network."""

CHECKED_BATCHES = 1, 2, 61
"""Images of the batches that are compared: the number must be free."""

METADATA_FILE = "cifar_lab.json"
"""Name of the metadata in a file of torch.export."""


def export(network: TrainedNetwork, kind: ExportFormat, path: Path) -> float:
    """Write a file and compare it with the network on random images. The network is then in float32.

    Returns:
        The largest difference of a logit.

    Raises:
        MissingExtraError: the packages of a format are not installed.
        LabError: the network cannot be exported, or the file gives other logits. It is removed then.
        EnvironmentFault: the file cannot be written.
    """
    network.bf16 = False  # another program has no autocast
    network.to(CPU).eval()
    try:
        content = WRITERS[kind](network)
    except LabError:
        raise
    except Exception as error:  # exporters raise anything a stranger's forward leads them to
        raise LabError(
            f"run {network.run_id}: {network.settings.model.name} cannot be exported to {kind} ({_words(error)}); "
            "--format safetensors writes its weights"
        ) from error
    write_bytes(path, content)
    try:
        difference = _largest_difference(network, READERS[kind](path, network))
    except Exception as error:
        remove(path)
        raise LabError(f"{path}: cannot be read after writing ({_words(error)}); it is removed") from error
    if not difference <= LARGEST_DIFFERENCE:
        remove(path)
        raise LabError(
            f"{path}: its logits differ by {difference:.1e} from those of run {network.run_id}, at most "
            f"{LARGEST_DIFFERENCE:.0e} is allowed; it is removed"
        )
    return difference


def metadata(network: TrainedNetwork) -> dict[str, str]:
    """Facts that a reader of the file needs, as text. Lists and mappings are JSON."""
    model, record = network.settings.model, network.record
    normalizer = {name: values.view(-1).tolist() for name, values in _mean_and_std(network).items()}
    return {
        "format": "pt",
        "model": model.name,
        "model_options": json.dumps(getattr(model, "options", None) or {}),
        "input_size": json.dumps(model.input_size),
        "classes": json.dumps(list(network.classes)),
        "normalization": json.dumps(normalizer),
        "image_size": str(network.side),
        "run_id": record.run_id,
        "label": record.label,
        "seed": str(record.seed),
        "numerics": str(NUMERICS),
    }


def _mean_and_std(network: TrainedNetwork) -> dict[str, Tensor]:
    """Mean and standard deviation per channel, (3,) each: (pixel - mean) / std for pixels from 0 to 1."""
    std = 1 / (255.0 * network.scale.double())
    return {"mean": network.shift.double() * std, "std": std}


def _example(network: TrainedNetwork, count: int) -> Tensor:
    """Random images (count, 3, side, side)."""
    generator = torch.Generator().manual_seed(count)
    return torch.rand(count, 3, network.side, network.side, generator=generator)


def _program(network: TrainedNetwork) -> torch.export.ExportedProgram:
    shapes = ({0: torch.export.Dim.DYNAMIC},)  # the other sizes are those of the run
    return torch.export.export(network, (_example(network, 2),), dynamic_shapes=shapes)


def _write_onnx(network: TrainedNetwork) -> bytes:
    require_extra("onnx", "--format onnx")
    with _quiet():
        program = torch.onnx.export(
            network, (_example(network, 2),), input_names=["images"], output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim.DYNAMIC},), dynamo=True, verbose=False, external_data=False,
        )  # fmt: skip
        assert program is not None
        model = program.model_proto
    for name, text in metadata(network).items():
        model.metadata_props.add(key=name, value=text)
    content: bytes = model.SerializeToString()
    return content


def _write_program(network: TrainedNetwork) -> bytes:
    buffer = io.BytesIO()
    with _quiet():
        torch.export.save(_program(network), buffer, extra_files={METADATA_FILE: json.dumps(metadata(network))})
    return buffer.getvalue()


def _write_safetensors(network: TrainedNetwork) -> bytes:
    state = {name: tensor.detach().clone().contiguous() for name, tensor in network.network.state_dict().items()}
    return to_safetensors(state, metadata(network))


def _read_onnx(path: Path, network: TrainedNetwork) -> Callable[[Tensor], Tensor]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors alone
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run(None, {"images": images.numpy()})[0])


def _read_program(path: Path, network: TrainedNetwork) -> Callable[[Tensor], Tensor]:
    with _quiet():
        module: nn.Module = torch.export.load(path).module()
    return module


def _read_safetensors(path: Path, network: TrainedNetwork) -> Callable[[Tensor], Tensor]:
    """A new network with the weights and the normalisation of the file."""
    with safe_open(path, framework="pt") as file:
        facts, state = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    settings = network.settings
    model = settings.model.model_copy(update={"weights": None, "pretrained": False})
    with forked_generators():
        fresh = models.build(model, len(json.loads(facts["classes"])), int(facts["image_size"]))
    fresh.load_state_dict(state)
    stated = json.loads(facts["normalization"])
    mean, std = (torch.tensor(stated[name]).view(1, 3, 1, 1) for name in ("mean", "std"))
    return TrainedNetwork(fresh, Normalizer(mean, std), network.record, settings)


WRITERS: dict[ExportFormat, Callable[[TrainedNetwork], bytes]] = {
    "onnx": _write_onnx,
    "torch.export": _write_program,
    "safetensors": _write_safetensors,
}
READERS: dict[ExportFormat, Callable[[Path, TrainedNetwork], Callable[[Tensor], Tensor]]] = {
    "onnx": _read_onnx,
    "torch.export": _read_program,
    "safetensors": _read_safetensors,
}


@torch.no_grad()
def _largest_difference(network: TrainedNetwork, exported: Callable[[Tensor], Tensor]) -> float:
    """Largest difference of a logit over batches of several sizes. Infinite where a shape differs."""
    largest = 0.0
    for count in CHECKED_BATCHES:
        images = _example(network, count)
        wanted, found = network(images), exported(images.clone())
        if found.shape != wanted.shape:
            return float("inf")
        largest = max(largest, float((found - wanted).abs().max()))
    return largest


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the warnings, prints and logs of the exporters away."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


def _words(error: BaseException) -> str:
    """Type and first line of the innermost cause of an error."""
    while error.__cause__ is not None:
        error = error.__cause__
    line = (str(error).strip().splitlines() or [""])[0][:200]
    return f"{type(error).__name__}: {line}" if line else type(error).__name__
